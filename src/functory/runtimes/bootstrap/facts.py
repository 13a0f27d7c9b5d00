"""What a program is told of its function and of each request: the official `x-fc-` headers."""

from __future__ import annotations

import json
import time

from . import frames, messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any


class Request:
    """One request of the node."""

    __slots__ = ("began_ns", "event", "facts", "left_ms", "name", "stream")

    def __init__(self, stream: int, flags: int, meta: bytes, event: bytes, left_ms: int) -> None:
        self.stream = stream
        self.event = event
        self.left_ms = left_ms
        self.began_ns = time.perf_counter_ns()
        if flags & frames.META:
            self.name, self.facts = frames.read_meta(meta)
        else:
            self.name, self.facts = meta.decode(), {}

    @property
    def retries(self) -> int:
        """How often it was tried before."""
        attempt = self.facts.get("attempt")
        return max(0, attempt - 1) if isinstance(attempt, int) else 0

    def elapsed_us(self) -> int:
        """Since it came."""
        return (time.perf_counter_ns() - self.began_ns) // 1000


class Headers:
    """The headers of one function, made once as bytes."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self._spec = spec
        self.constant = b""
        self._make()

    def renew(self, payload: bytes) -> None:
        """Other credentials count from now on."""
        if self._spec["context"].get("accessKeyId"):
            self._spec["context"].update(json.loads(payload))
            self._make()

    def _make(self) -> None:
        spec = self._spec
        context = spec["context"]
        self._timeout = context.get("timeout", "0")
        named = {
            "x-fc-function-name": context.get("functionName"),
            "x-fc-function-handler": spec["handler"],
            "x-fc-function-memory": context.get("memory") or spec["memory_mb"],
            "x-fc-function-timeout": self._timeout,
            "x-fc-function-initializer": spec["initializer"],
            "x-fc-initialization-timeout": spec["initializer_timeout_s"] if spec["initializer"] else "",
            "x-fc-instance-lifecycle-pre-stop-handler": spec["pre_stop"],
            "x-fc-region": context.get("region"),
            "x-fc-account-id": context.get("accountId"),
            "x-fc-qualifier": context.get("qualifier"),
            "x-fc-version-id": context.get("versionId"),
            "x-fc-access-key-id": context.get("accessKeyId"),
            "x-fc-access-key-secret": context.get("accessKeySecret"),
            "x-fc-security-token": context.get("securityToken"),
        }
        self.constant = b"".join(messages.header(name, value) for name, value in named.items() if value)

    def of_request(self, request: Request) -> bytes:
        """All headers of one request."""
        trace = request.facts.get("traceParent")
        return b"".join(
            (
                messages.header("x-fc-request-id", request.name),
                self.constant,
                messages.header("x-fc-retry-count", request.retries) if request.retries else b"",
                messages.header("x-fc-tracing-opentracing-span-context", trace) if trace else b"",
                messages.header("traceparent", trace) if trace else b"",
            )
        )

    def of_event(self, name: str, kind: int, left_ms: int, request: Request | None = None) -> bytes:
        """The headers of an event of the runtime API."""
        deadline_ms = int(time.time() * 1000) + left_ms
        own = (
            self.of_request(request)
            if request is not None
            else messages.header("x-fc-request-id", name) + self.constant
        )
        return b"".join(
            (
                own,
                messages.header("x-fc-function-deadline", deadline_ms),
                messages.header("x-fc-function-type", kind),
                b"content-type: application/octet-stream\r\n",
            )
        )
