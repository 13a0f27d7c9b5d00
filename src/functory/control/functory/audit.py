"""`GET /functory/v1/audit`: who did what. Events leave in batches, so that no call waits for them."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from functory.clock import Clock
from functory.control import call as calls
from functory.control.call import Call
from functory.control.parts import ControlParts
from functory.model import errors
from functory.model.account import Scope
from functory.model.audit import AuditEvent
from functory.observe.logs import fields
from functory.store.base import Audit

log = logging.getLogger("functory.control")

PATH = "/functory/v1/audit"
MAX_LIMIT = 1000
FLUSH_S = 0.1
KEPT_MAX = 10_000
"""Events held while the store cannot take them."""


class AuditQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which events are listed."""

    before: int = 0
    changes: bool = False
    """Only calls that change things."""
    limit: int = 100


def routes(parts: ControlParts) -> list[Route]:
    """The route of this room."""

    async def page(call: Call) -> Response:
        query = calls.typed_query(call.query, AuditQuery, strict=True)
        if not 1 <= query.limit <= MAX_LIMIT:
            raise errors.InvalidArgument(f"limit {query.limit} is not valid: 1 to {MAX_LIMIT}")
        if not 0 <= query.before < 1 << 62:
            raise errors.InvalidArgument(f"before {query.before} is not valid: the nextBefore of an answer")
        found = await parts.store.audit.list(
            call.account_id, before=query.before, changes_only=query.changes, limit=query.limit
        )
        more = found[-1][0] if len(found) == query.limit else 0
        return calls.answer({"events": [_shown(event) for _, event in found], "nextBefore": more})

    return [calls.route("GET", PATH, Scope.ADMIN, page, query=AuditQuery)]


class Trail:
    """Holds events until they are stored. A Service."""

    def __init__(self, audit: Audit, *, clock: Clock) -> None:
        self._audit = audit
        self._clock = clock
        self._events: list[AuditEvent] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False

    async def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name="audit")

    async def stop(self) -> None:
        """Writes what is left."""
        if self._task is None or self._stopping:
            return
        self._stopping = True
        self._wake.set()
        await self._task

    def add(self, event: AuditEvent) -> None:
        """One more event."""
        self._events.append(event)
        self._wake.set()

    async def _run(self) -> None:
        while not self._stopping:
            await self._wake.wait()
            self._wake.clear()
            if not self._stopping:
                await self._clock.sleep(FLUSH_S)
            await self._flush()
        await self._flush()

    async def _flush(self) -> None:
        events, self._events = self._events, []
        if not events:
            return
        try:
            await self._audit.append(events)
        except errors.FunctoryError as failure:
            self._events = (events + self._events)[-KEPT_MAX:]
            log.error(
                "Audit events cannot be stored; they are kept in memory and tried again",
                extra=fields("store_audit", waiting=len(self._events), reason=failure),
            )


def _shown(event: AuditEvent) -> dict[str, Any]:
    return {
        "requestId": event.request_id,
        "atMs": event.at_ms,
        "accessKeyId": event.access_key_id,
        "method": event.method,
        "path": event.path,
        "operation": event.operation,
        "status": event.status,
        "code": event.code,
    }
