"""Outcomes as HTTP bytes, with the headers of the official InvokeFunction answer (API reference, section 1.5).

A function's own failure is HTTP 200 with `x-fc-error-type`; what Functory refuses is an error status with JSON.
"""

from __future__ import annotations

import base64

from functory.model import errors, ids, logtext
from functory.model.function import Function
from functory.model.invocation import Invocation, Outcome, Status

_EXPOSED = (
    b"access-control-expose-headers: x-fc-request-id,x-fc-invocation-duration,x-fc-max-memory-usage,x-fc-instance-id,"
    b"x-fc-code-checksum,x-fc-invocation-service-version,x-fc-log-result,x-fc-error-type,server-timing\r\n"
)


class FunctionHeaders:
    """The headers that are the same for all answers of a function revision, made once."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Function, bytes]] = {}

    def of(self, function: Function) -> bytes:
        """The header lines."""
        known = self._known.get(function.pool_id)
        if known is None or known[0] is not function:
            if len(self._known) > 10_000:
                self._known.clear()
            lines = b"x-fc-code-checksum: %b\r\nx-fc-invocation-service-version: %b\r\n%b" % (
                function.code_checksum.encode(),
                (function.version or ids.LATEST).encode(),
                _EXPOSED,
            )
            known = self._known[function.pool_id] = (function, lines)
        return known[1]


def head(
    invocation: Invocation, outcome: Outcome, constant: bytes, *, length: int | None, tail: bool, keep_alive: bool
) -> bytes:
    """Status line and headers. `length` None: the body is sent chunked (HTTP/1.1) or until the connection closes."""
    duration_ns = outcome.duration_ns
    extra = b""
    if outcome.error_type:
        extra = b"x-fc-error-type: %b\r\n" % outcome.error_type.encode()
    if outcome.cold is not None:
        cold = outcome.cold
        extra += b"server-timing: queue;dur=%.3f, fork;dur=%.3f, import;dur=%.3f, init;dur=%.3f, run;dur=%.3f" % (
            outcome.queued_ns / 1e6,
            cold.fork_us / 1e3,
            cold.import_us / 1e3,
            cold.init_us / 1e3,
            duration_ns / 1e6,
        )
        extra += b", template;dur=%.3f\r\n" % (cold.template_us / 1e3) if cold.template_us else b"\r\n"
    else:
        extra += b"server-timing: queue;dur=%.3f, run;dur=%.3f\r\n" % (outcome.queued_ns / 1e6, duration_ns / 1e6)
    if tail:
        extra += b"x-fc-log-result: %b\r\n" % base64.b64encode(_log_tail(invocation, outcome))
    if not keep_alive:
        extra += b"connection: close\r\n"
    size = (
        b"content-length: %d\r\n" % length
        if length is not None
        else (b"transfer-encoding: chunked\r\n" if keep_alive else b"")
    )
    return (
        b"HTTP/1.1 200 OK\r\ncontent-type: application/octet-stream\r\n%bx-fc-request-id: %b\r\n"
        b"x-fc-invocation-duration: %d\r\nx-fc-max-memory-usage: %.2f\r\nx-fc-instance-id: %b\r\n%b%b\r\n"
        % (
            size,
            invocation.request_id.encode(),
            -(-duration_ns // 1_000_000),
            outcome.memory_peak_bytes / 1048576,
            outcome.instance_id.encode(),
            constant,
            extra,
        )
    )


def _log_tail(invocation: Invocation, outcome: Outcome) -> bytes:
    function = invocation.function
    assert function is not None
    text = logtext.render(
        invocation.request_id,
        outcome.log,
        error_type=outcome.error_type,
        cold=outcome.cold is not None,
        duration_us=outcome.duration_ns // 1000,
        billed_ms=outcome.billed_ms,
        memory_mb=function.memory_mb,
        peak_bytes=outcome.memory_peak_bytes,
    )
    return text[-logtext.TAIL_BYTES :]


def refusal(outcome: Outcome) -> errors.FunctoryError | None:
    """The error for an outcome in which nothing ran; None if something did."""
    if outcome.status is Status.THROTTLED:
        return errors.Throttled(outcome.message, retry_after_ms=outcome.retry_after_ms or 1000)
    if outcome.status is Status.SYSTEM:
        return errors.Unavailable(outcome.message)
    return None


def small(status: int, reason: str, headers: list[tuple[bytes, bytes]], body: bytes, *, keep_alive: bool) -> bytes:
    """Any small answer."""
    lines = [b"HTTP/1.1 %d %b" % (status, reason.encode())]
    lines += [b"%b: %b" % header for header in headers if header[0] != b"content-length"]
    lines.append(b"content-length: %d" % len(body))
    if not keep_alive:
        lines.append(b"connection: close")
    return b"\r\n".join(lines) + b"\r\n\r\n" + body
