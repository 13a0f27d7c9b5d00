"""Requests: what ran, and what it printed."""

from __future__ import annotations

import time
from collections.abc import Iterator

from functory.sdk import answers, errors, signer
from functory.sdk.transport import Transport

PREFIX = "/functory/v1"
_LOOK_AGAIN_S = 0.02


class Requests:
    """`client.requests`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def page(
        self, *, function: str = "", failed: bool = False, before: str = "", limit: int = 100
    ) -> answers.RequestPage:
        """At most `limit` (1-1000) requests, newest first, older than `before`."""
        query = {
            "function": function or None,
            "failed": True if failed else None,
            "before": before or None,
            "limit": limit,
        }
        return self._transport.json(answers.RequestPage, "ListRequests", "GET", f"{PREFIX}/requests", query=query)

    def list(self, *, function: str = "", failed: bool = False, page_size: int = 100) -> Iterator[answers.Request]:
        """All requests, newest first, fetched page by page."""
        before = ""
        while True:
            page = self.page(function=function, failed=failed, before=before, limit=page_size)
            yield from page.requests
            before = page.next_before
            if not before:
                return

    def get(self, request_id: str, *, wait_s: float = 0) -> answers.Request:
        """One request. `wait_s`: how long to look for one that just ended; records are written in batches."""
        until = time.monotonic() + wait_s
        path = f"{PREFIX}/requests/{signer.percent_encode(request_id)}"
        while True:
            try:
                return self._transport.json(answers.Request, "GetRequest", "GET", path)
            except errors.ApiError as refusal:
                if refusal.code != "RequestNotFound" or time.monotonic() >= until:
                    raise
            time.sleep(_LOOK_AGAIN_S)

    def logs(self, request_id: str) -> answers.RequestLogs:
        """What it printed, between its start and end lines."""
        path = f"{PREFIX}/requests/{signer.percent_encode(request_id)}/logs"
        return self._transport.json(answers.RequestLogs, "GetRequestLogs", "GET", path)
