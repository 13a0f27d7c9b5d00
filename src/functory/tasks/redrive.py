"""Ended work, once more: one task or one dead delivery, or many, page by page.

An end is never taken back: what runs again is a new row beside the old one. In bulk each old row has one successor,
whose key follows from its own (`edit.successor`): a page that is asked for twice, because its answer was lost or its
caller died, starts nothing twice, and neither does a second drive over the same ends.

A page is bounded in rows and in time; its token says where the next one goes on.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple

import msgspec

from functory.model import errors
from functory.model.task import DEAD, ENDED, label
from functory.queue.base import Group, Item, Lane, Query, Queue, Row
from functory.tasks.accept import PLATFORM_MAX_BYTES, Accept, Accepted, Submission
from functory.tasks.bodies import Bodies
from functory.tasks.edit import NO_EDIT, Edit, successor
from functory.tasks.letters import Letters

MAX_PAGE = 100
PAGE_MS = 2_000
"""A page ends after so long, with what it has done so far."""
_TOGETHER = 16
_EXAMINED = 400
"""Rows that one page of dead deliveries looks at: most of them may have been sent again."""
_OF_ITS_OWN = (
    errors.StorageCorrupt,
    errors.EntityTooLarge,
    errors.InvalidArgument,
    errors.ConcurrentUpdate,
    errors.TaskNotFound,
)
"""What speaks against one row and not against the next; all else ends the page."""


class Skipped(NamedTuple):
    """One of many that was left out."""

    key: str
    reason: str


class Redriven(msgspec.Struct, frozen=True, kw_only=True):
    """What a page did."""

    keys: Sequence[str]
    """Of the new rows."""
    skipped: Sequence[Skipped]
    next_token: str
    """Empty at the end."""


class DeadPage(msgspec.Struct, frozen=True, kw_only=True):
    """Dead deliveries that were not sent again, newest first for each destination."""

    rows: Sequence[Row]
    next_token: str


class Redrive:
    """Runs and sends again."""

    def __init__(self, queue: Queue, bodies: Bodies, accept: Accept, letters: Letters) -> None:
        self._queue = queue
        self._bodies = bodies
        self._accept = accept
        self._letters = letters

    # --- tasks --------------------------------------------------------------------------------------------------------

    async def task(self, row: Row, *, edit: Edit = NO_EDIT, new_id: str = "") -> Accepted:
        """Accepts an ended task again, under a new id; `ConcurrentUpdate` if it has not ended."""
        if row.state not in ENDED:
            raise errors.ConcurrentUpdate(f"task '{row.key}' is {label(row.state)}: only an ended one can be run again")
        # What is replaced need not be readable: a damaged payload is a reason to run a task again.
        old = b"" if edit.payload is not None else await self._bodies.load(row.payload)
        payload = edit.apply(old)
        submission = Submission(
            account_id=row.group.account_id,
            function_name=row.group.name,
            qualifier=row.qualifier,
            payload=payload,
            task_id=new_id,
            priority=row.priority,
            rerun_of=row.key,
            by_platform=True,
        )
        return await self._accept.submit(submission)

    async def tasks(self, query: Query, *, until_id: int, edit: Edit = NO_EDIT) -> Redriven:
        """One page of ended tasks, oldest first, from where `query` says to the row `until_id`."""
        _check_limit(query.limit)
        found = await self._queue.list(msgspec.structs.replace(query, limit=query.limit + 1))
        rows = [row for row in found if row.id <= until_id]
        done, skipped, last = await self._in_batches(rows[: query.limit], lambda row: self._task(row, edit))
        more = last is not None and last.id != rows[-1].id
        return Redriven(keys=done, skipped=skipped, next_token=f"{last.id:x}" if last is not None and more else "")

    async def _task(self, row: Row, edit: Edit) -> str | Skipped:
        new_id = successor(row.key)
        try:
            return (await self.task(row, edit=edit, new_id=new_id)).task_id
        except errors.TaskAlreadyExists:
            return Skipped(row.key, f"it was run again before, as '{new_id}'")
        except (
            errors.StorageCorrupt,
            errors.EntityTooLarge,
            errors.InvalidArgument,
            errors.ConcurrentUpdate,
        ) as reason:
            return Skipped(row.key, reason.message)

    # --- deliveries ---------------------------------------------------------------------------------------------------

    async def dead(self, account_id: str, *, destination: str = "", limit: int = MAX_PAGE, token: str = "") -> DeadPage:
        """One page of the dead, of all destinations or of one."""
        _check_limit(limit)
        name, after = _cursor(token)
        found: list[Row] = []
        examined, until_ms = 0, self._queue.now_ms() + PAGE_MS
        groups = sorted(await self._queue.groups(Lane.DELIVERY, account_id))
        for group in groups:
            if group.name < name or destination not in ("", group.name):
                continue
            after_id = after if group.name == name else 0
            while True:
                query = Query(group=group, states=DEAD, limit=MAX_PAGE, after_id=after_id)
                rows = await self._queue.list(query)
                for row in rows:
                    if len(found) == limit or examined == _EXAMINED or self._queue.now_ms() > until_ms:
                        return DeadPage(rows=found, next_token=_token(group.name, after_id))
                    examined += 1
                    after_id = row.id
                    if await self._queue.get(group, successor(row.key)) is None:
                        found.append(row)
                if len(rows) < MAX_PAGE:
                    break
        return DeadPage(rows=found, next_token="")

    async def delivery(self, account_id: str, destination: str, key: str, *, edit: Edit = NO_EDIT) -> bool:
        """Sends a dead delivery again, as a new one. False if it was sent again already; `TaskNotFound`."""
        row = await self._queue.get(Group(Lane.DELIVERY, account_id, destination), key)
        if row is None or row.state not in DEAD:
            raise errors.TaskNotFound(f"{key} (a dead delivery to {destination})")
        return await self._send(row, edit)

    async def deliveries(
        self, account_id: str, *, destination: str = "", limit: int = MAX_PAGE, token: str = "", edit: Edit = NO_EDIT
    ) -> Redriven:
        """One page of dead deliveries, sent again."""
        page = await self.dead(account_id, destination=destination, limit=limit, token=token)
        done, skipped, last = await self._in_batches(page.rows, lambda row: self._delivery(row, edit))
        cut = last is not None and last.id != page.rows[-1].id
        next_token = _token(last.group.name, last.id) if last is not None and cut else page.next_token
        return Redriven(keys=done, skipped=skipped, next_token=next_token)

    async def _delivery(self, row: Row, edit: Edit) -> str | Skipped:
        try:
            if await self._send(row, edit):
                return successor(row.key)
            return Skipped(row.key, "it was sent again before")
        except _OF_ITS_OWN as reason:
            return Skipped(row.key, reason.message)

    async def _send(self, row: Row, edit: Edit) -> bool:
        key, payload = successor(row.key), row.payload
        if edit.changes:
            old = b"" if edit.payload is not None else await self._letters.body(row)
            body = edit.apply(old)
            if len(body) > PLATFORM_MAX_BYTES:
                raise errors.EntityTooLarge(f"the edited record has {len(body)} bytes: at most {PLATFORM_MAX_BYTES}")
            payload = await self._bodies.store(f"{row.id}-{key}", body)
        item = Item(
            group=row.group,
            key=key,
            max_age_ms=row.expires_ms - row.created_ms,
            request_id=row.request_id,
            qualifier=row.qualifier,
            head=row.head,
            payload=payload,
        )
        (stored,) = await self._queue.put([item])
        return stored is not None

    # --- both ---------------------------------------------------------------------------------------------------------

    async def _in_batches(
        self, rows: Sequence[Row], again: Callable[[Row], Awaitable[str | Skipped]]
    ) -> tuple[list[str], list[Skipped], Row | None]:
        """What became of the rows, up to the last one that there was time for. A batch is one commit."""
        done: list[str] = []
        skipped: list[Skipped] = []
        last, until_ms = None, self._queue.now_ms() + PAGE_MS
        for start in range(0, len(rows), _TOGETHER):
            batch = rows[start : start + _TOGETHER]
            for result in await asyncio.gather(*(again(row) for row in batch)):
                if isinstance(result, Skipped):
                    skipped.append(result)
                else:
                    done.append(result)
            last = batch[-1]
            if self._queue.now_ms() > until_ms:
                break
        return done, skipped, last


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= MAX_PAGE:
        raise errors.InvalidArgument(f"limit {limit} is not between 1 and {MAX_PAGE}")


def _token(destination: str, after_id: int) -> str:
    return f"{after_id:x}.{base64.urlsafe_b64encode(destination.encode()).decode()}"


def _cursor(token: str) -> tuple[str, int]:
    if not token:
        return "", 0
    after, dot, name = token.partition(".")
    try:
        if not dot or not 1 <= len(after) <= 15 or len(name) > 8_192:
            raise ValueError
        return base64.b64decode(name, altchars=b"-_", validate=True).decode(), int(after, 16)
    except (ValueError, binascii.Error):
        raise errors.InvalidArgument(f"nextToken {token[:40]!r} is not one of ours") from None
