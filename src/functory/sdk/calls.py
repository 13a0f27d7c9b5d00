"""InvokeFunction, waited for: the call and its answer, for both kinds of client."""

from __future__ import annotations

import base64
import binascii

from functory.sdk import answers
from functory.sdk.functions import path_of
from functory.sdk.wire import Ask, Reply


def invoke(
    name: str,
    payload: bytes | str = b"",
    *,
    qualifier: str = "",
    tail: bool = False,
    trace_parent: str = "",
    wait_s: float | None = None,
) -> Ask[answers.Invoked]:
    headers = {"content-type": "application/octet-stream"}
    if tail:
        headers["x-fc-log-type"] = "Tail"
    if trace_parent:
        headers["traceparent"] = trace_parent
    return Ask(
        "InvokeFunction",
        "POST",
        f"{path_of(name)}/invocations",
        invoked,
        query={"qualifier": qualifier or None},
        headers=headers,
        body=payload.encode() if isinstance(payload, str) else payload,
        wait_s=wait_s,
    )


def invoked(reply: Reply) -> answers.Invoked:
    """The answer of a call, of its headers and body. What a header does not say rightly counts as not said."""
    headers = reply.headers
    return answers.Invoked(
        status=reply.status,
        payload=reply.body,
        request_id=headers.get("x-fc-request-id", ""),
        duration_ms=_number(headers.get("x-fc-invocation-duration", "")),
        memory_mb=_number(headers.get("x-fc-max-memory-usage", "")),
        error_type=headers.get("x-fc-error-type", ""),
        log_tail=_unpacked(headers.get("x-fc-log-result", "")),
        instance_id=headers.get("x-fc-instance-id", ""),
    )


def _number(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _unpacked(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except binascii.Error:
        return b""
