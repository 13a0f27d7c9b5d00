"""Requests: what ran, and what it printed."""

from __future__ import annotations

import time
from collections.abc import Iterator

import msgspec

from functory.sdk import answers, errors, signer
from functory.sdk.transport import Transport

PREFIX = "/functory/v1"
_LOOK_AGAIN_S = 0.02


class Cold(answers.Answer, frozen=True, kw_only=True):
    """The parts of a cold start, in microseconds."""

    fork_us: int = 0
    import_us: int = 0
    init_us: int = 0
    template_us: int = 0

    @property
    def total_us(self) -> int:
        return self.fork_us + self.import_us + self.init_us + self.template_us


class Request(answers.Answer, frozen=True, kw_only=True):
    """What is kept of one invocation."""

    request_id: str
    function_name: str = ""
    qualifier: str = ""
    revision: int = 0
    kind: str = ""
    started_at_ms: int = 0
    status: str = ""
    error_type: str = ""
    instance_id: str = ""
    queued_us: int = 0
    duration_us: int = 0
    billed_ms: int = 0
    memory_limit_mb: int = 0
    memory_peak_bytes: int = 0
    cpu_us: int = 0
    cold: Cold | None = None
    """None for a warm call."""
    cost_nano_usd: int = 0
    payload_bytes: int = 0
    reply_bytes: int = 0
    trace_parent: str = ""
    resource_mode: str = "OnDemand"
    """Or `Provisioned`: it ran on an instance that is kept ready."""
    oom_kills: int = 0
    """Processes of the function that were killed for want of memory while it ran; the main one may have lived on."""
    network_in_bytes: int = 0
    """What came through the node's relay."""
    network_out_bytes: int = 0

    @property
    def waited_us(self) -> int:
        """How long it waited before an instance was made or taken: `queued_us` without the parts of a cold start."""
        return max(0, self.queued_us - (self.cold.total_us if self.cold else 0))


class RequestPage(answers.Answer, frozen=True, kw_only=True):
    """One page of requests, newest first."""

    requests: list[Request] = msgspec.field(default_factory=list)
    next_before: str = ""


class RequestLogs(answers.Answer, frozen=True, kw_only=True):
    """What one invocation printed."""

    request_id: str
    text: str = ""


class LogEntry(answers.Answer, frozen=True, kw_only=True):
    """What one invocation of a function printed."""

    request_id: str
    at_ms: int
    text: str


class LogPage(answers.Answer, frozen=True, kw_only=True):
    """Log entries, oldest first."""

    entries: list[LogEntry] = msgspec.field(default_factory=list)


class Requests:
    """`client.requests`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def page(self, *, function: str = "", failed: bool = False, before: str = "", limit: int = 100) -> RequestPage:
        """At most `limit` (1-1000) requests, newest first, older than `before`."""
        query = {
            "function": function or None,
            "failed": True if failed else None,
            "before": before or None,
            "limit": limit,
        }
        return self._transport.json(RequestPage, "ListRequests", "GET", f"{PREFIX}/requests", query=query)

    def list(self, *, function: str = "", failed: bool = False, page_size: int = 100) -> Iterator[Request]:
        """All requests, newest first, fetched page by page."""
        before = ""
        while True:
            page = self.page(function=function, failed=failed, before=before, limit=page_size)
            yield from page.requests
            before = page.next_before
            if not before:
                return

    def get(self, request_id: str, *, wait_s: float = 0) -> Request:
        """One request. `wait_s`: how long to look for one that just ended; records are written in batches."""
        until = time.monotonic() + wait_s
        path = f"{PREFIX}/requests/{signer.percent_encode(request_id)}"
        while True:
            try:
                return self._transport.json(Request, "GetRequest", "GET", path)
            except errors.ApiError as refusal:
                if refusal.code != "RequestNotFound" or time.monotonic() >= until:
                    raise
            time.sleep(_LOOK_AGAIN_S)

    def logs(self, request_id: str) -> RequestLogs:
        """What it printed, between its start and end lines."""
        path = f"{PREFIX}/requests/{signer.percent_encode(request_id)}/logs"
        return self._transport.json(RequestLogs, "GetRequestLogs", "GET", path)
