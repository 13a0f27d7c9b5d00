"""The queue's in-memory twin: the same promises and the same strictness, but for durability."""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

import msgspec

from functory.clock import Clock
from functory.model import errors
from functory.model.task import EMPTY, ENDED, HELD, SOURCES, WAITING, TaskEvent, TaskState
from functory.queue import rules
from functory.queue.base import (
    AGING_MS,
    MAX_AHEAD,
    MAX_ERROR_CHARS,
    Grant,
    Group,
    Item,
    Leased,
    Move,
    Moved,
    Place,
    Query,
    Ready,
    Ref,
    Row,
    Stored,
    Swept,
    Want,
)
from functory.queue.news import NEVER, News
from functory.queue.steady import Steady

T = TypeVar("T")


class MemoryQueue:
    """`queue.base.Queue` for tests. What it holds outlives `stop` for a next `start`."""

    def __init__(self, *, clock: Clock) -> None:
        self._steady = Steady(clock)
        self._rows: dict[int, Row] = {}
        self._owners: dict[int, str] = {}
        self._keys: dict[tuple[Group, str], int] = {}
        self._groups: set[Group] = set()
        self._news = News()
        self._last_id = 0
        self._open = False

    async def start(self) -> None:
        """Open."""
        self._open = True

    async def stop(self) -> None:
        """Refuse everything."""
        self._open = False

    def now_ms(self) -> int:
        """The clock that decides."""
        return self._steady.now_ms()

    # --- changes ------------------------------------------------------------------------------------------------------

    def put(self, items: Sequence[Item]) -> asyncio.Future[Sequence[Stored | None]]:
        """Stores items."""
        rules.check_items(items)
        return self._done(lambda: [self._put(item) for item in items])

    def lease(self, wants: Sequence[Want], *, owner: str, lease_ms: int) -> asyncio.Future[Grant]:
        """Gives out the first of each group's line, within the limits."""

        def lease() -> Grant:
            leased: list[Leased] = []
            empty: list[Group] = []
            for want in wants:
                room = self._room(want)
                line = self._line(want.group)[: max(0, room)]
                leased += [self._lease(row, owner, lease_ms) for row in line]
                if room > len(line):
                    empty.append(want.group)
            return Grant(leased=leased, empty=empty)

        return self._done(lease)

    def extend(self, refs: Sequence[Ref], *, lease_ms: int) -> asyncio.Future[Sequence[TaskState | None]]:
        """Keeps leases."""

        def extend(ref: Ref) -> TaskState | None:
            row = self._rows.get(ref.id)
            if row is None or row.epoch != ref.epoch or row.state not in HELD:
                return None
            row.wake_ms = self.now_ms() + lease_ms
            return row.state

        return self._done(lambda: [extend(ref) for ref in refs])

    def settle(self, moves: Sequence[Move]) -> asyncio.Future[Sequence[Moved]]:
        """Moves rows on."""
        rules.check_moves(moves)
        return self._done(lambda: [self._settle(move) for move in moves])

    def note(self, ref: Ref, progress: str) -> asyncio.Future[bool]:
        """Keeps what a running row says of itself."""

        def note() -> bool:
            row = self._rows.get(ref.id)
            if row is None or row.epoch != ref.epoch or row.state not in HELD:
                return False
            row.progress = progress
            return True

        return self._done(note)

    async def wait(self, lane: int) -> Ready:
        """Returns once there is news of the lane."""
        return await self._news.wait(lane)

    def sweep(self, lane: int, *, limit: int = 500, after: tuple[int, int] = (0, 0)) -> asyncio.Future[Swept]:
        """Lets delayed rows into line, drops old ones, finds what is overdue."""
        return self._done(lambda: self._sweep(lane, limit, after))

    def lost(
        self, lane: int, *, node: str, owner: str, limit: int = 500, after_id: int = 0
    ) -> asyncio.Future[Sequence[Row]]:
        """Rows held by earlier starts of a node."""

        def theirs(row: Row) -> bool:
            holder = self._owners.get(row.id, "")
            return row.group.lane == lane and holder.startswith(node) and holder != owner and row.id > after_id

        return self._done(lambda: [_copy(row) for row in self._rows.values() if theirs(row)][:limit])

    # --- reads --------------------------------------------------------------------------------------------------------

    async def lines(self, lane: int) -> Collection[Group]:
        """The groups that have a line now."""
        self._check_open()
        return {row.group for row in self._rows.values() if row.rank is not None and row.group.lane == lane}

    async def get(self, group: Group, key: str) -> Row | None:
        """A row by its key."""
        return await self.by_id(self._keys.get((group, key), 0))

    async def by_id(self, id: int) -> Row | None:
        """A row by its id."""
        self._check_open()
        row = self._rows.get(id)
        return None if row is None else _copy(row)

    async def list(self, query: Query) -> Sequence[Row]:
        """A page, in order of acceptance."""
        rules.check_query(query)
        self._check_open()
        found = sorted((row for row in self._rows.values() if _matches(row, query)), key=lambda row: row.id)
        if query.newest_first:
            found.reverse()
        return [_copy(row) for row in found[: query.limit]]

    async def counts(self, group: Group) -> dict[TaskState, int]:
        """How many rows of a group stand in each state."""
        self._check_open()
        counts: dict[TaskState, int] = {}
        for row in self._rows.values():
            if row.group == group:
                counts[row.state] = counts.get(row.state, 0) + 1
        return counts

    async def groups(self, lane: int, account_id: str = "") -> Sequence[Group]:
        """The groups that were ever put to."""
        return sorted(group for group in self._groups if group.lane == lane and account_id in ("", group.account_id))

    async def place(self, group: Group, key: str) -> Place | None:
        """A row, and what stands before it."""
        row = await self.get(group, key)
        if row is None:
            return None
        line = [] if row.rank is None else self._line(group)
        ahead = sum((each.rank or 0, each.id) < (row.rank or 0, row.id) for each in line)
        return Place(row, self.now_ms(), min(ahead, MAX_AHEAD), self._slots(group))

    # --- inside -------------------------------------------------------------------------------------------------------

    def _put(self, item: Item) -> Stored | None:
        if (item.group, item.key) in self._keys:
            return None
        now = self.now_ms()
        self._last_id += 1
        held = bool(item.owner)
        row = Row(
            id=self._last_id, epoch=int(held), group=item.group, key=item.key, request_id=item.request_id,
            qualifier=item.qualifier, priority=item.priority, created_ms=now, due_ms=now + item.delay_ms,
            expires_ms=now + item.delay_ms + item.max_age_ms, head=item.head, payload=item.payload,
            state=TaskState.RUNNING if held else TaskState.ENQUEUED, rank=None, wake_ms=now + item.lease_ms,
            started_ms=now if held else 0, ended_ms=0, error_type="", error="", instance_id="", progress="",
            events=(TaskEvent(TaskState.ENQUEUED, now),), result=EMPTY,
        )  # fmt: skip
        self._rows[row.id] = row
        self._keys[item.group, item.key] = row.id
        self._groups.add(item.group)
        if held:
            self._owners[row.id] = item.owner
            row.events += (TaskEvent(TaskState.RUNNING, now),)
        else:
            self._to_line(row, now)
        return Stored(row.id, now)

    def _to_line(self, row: Row, now: int) -> None:
        """In line if it is due; else the sweep brings it there."""
        if row.due_ms <= now:
            row.rank = row.due_ms + row.priority * AGING_MS
            row.wake_ms = row.expires_ms
            self._news.ready((row.group,))
        else:
            row.wake_ms = min(row.due_ms, row.expires_ms)
        self._news.wake(row.group.lane, row.wake_ms)

    def _line(self, group: Group) -> builtins.list[Row]:
        line = [row for row in self._rows.values() if row.group == group and row.rank is not None]
        return sorted(line, key=lambda row: (row.rank, row.id))

    def _slots(self, group: Group) -> int:
        return sum(row.group == group and row.state in HELD for row in self._rows.values())

    def _room(self, want: Want) -> int:
        ours = (want.group.lane, want.group.account_id)
        held = [row for row in self._rows.values() if row.state in HELD]
        account = sum((row.group.lane, row.group.account_id) == ours for row in held)
        return min(want.rows, want.concurrency - self._slots(want.group), want.account_concurrency - account)

    def _lease(self, row: Row, owner: str, lease_ms: int) -> Leased:
        now = self.now_ms()
        row.state, row.rank, row.epoch = TaskState.RUNNING, None, row.epoch + 1
        row.wake_ms, row.started_ms = now + lease_ms, row.started_ms or now
        row.events += (TaskEvent(TaskState.RUNNING, now),)
        self._owners[row.id] = owner
        return Leased(**{name: getattr(row, name) for name in Leased.__struct_fields__})

    def _settle(self, move: Move) -> Moved:
        row = self._rows.get(move.ref.id)
        if row is None or row.epoch != move.ref.epoch or row.state not in SOURCES[move.to]:
            stopping = row is not None and (row.state, row.epoch) == (TaskState.STOPPING, move.ref.epoch)
            return Moved.STOPPING if stopping and move.to is not TaskState.STOPPING else Moved.FENCED
        now = self.now_ms()
        row.state = move.to
        row.events += (TaskEvent(move.to, now, move.detail),)
        if move.to is TaskState.STOPPING:
            return Moved.DONE
        self._owners.pop(row.id, None)
        row.rank = None
        row.attempts += move.attempts
        row.deferrals += move.deferrals
        row.crashes += move.crashes
        row.error_type, row.error, row.instance_id = move.error_type, move.error[:MAX_ERROR_CHARS], move.instance_id
        if move.to in WAITING:
            row.due_ms = now + move.delay_ms
            self._to_line(row, now)
        else:
            row.ended_ms, row.wake_ms, row.result = now, now + move.keep_ms, move.result
            for item in move.puts:
                self._put(item)
        return Moved.DONE

    def _sweep(self, lane: int, limit: int, after: tuple[int, int]) -> Swept:
        now = self.now_ms()
        due = sorted((row.wake_ms, row.id) for row in self._rows.values() if row.group.lane == lane)
        looked = [self._rows[id_] for wake, id_ in due if wake <= now]
        ready: set[Group] = set()
        overdue: builtins.list[Row] = []
        dropped: builtins.list[str] = []
        purged = 0
        for row in looked:
            if row.state in ENDED and purged < limit:
                purged += 1
                dropped += [ref for ref in (row.payload.ref, row.result.ref) if ref]
                del self._rows[row.id], self._keys[row.group, row.key]
            elif row.state in WAITING and row.expires_ms > now:
                self._to_line(row, now)
                ready.add(row.group)
            elif row.state not in ENDED and (row.wake_ms, row.id) > after and len(overdue) < limit:
                overdue.append(_copy(row))
        later = [row.wake_ms for row in self._rows.values() if row.group.lane == lane and row.wake_ms > now]
        next_ms = min(later, default=NEVER)
        self._news.looked(lane, next_ms)
        last = (overdue[-1].wake_ms, overdue[-1].id) if overdue else after
        return Swept(
            ready=frozenset(ready), overdue=overdue, purged=purged, dropped=dropped, next_ms=next_ms, after=last,
            more=limit in (len(overdue), purged),
        )  # fmt: skip

    def _done(self, job: Callable[[], T]) -> asyncio.Future[Any]:
        self._check_open()
        future: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        future.set_result(job())
        return future

    def _check_open(self) -> None:
        if not self._open:
            raise errors.Unavailable("the queue is not running")


def _matches(row: Row, query: Query) -> bool:
    beyond = query.after_id and (row.id >= query.after_id if query.newest_first else row.id <= query.after_id)
    return (
        row.group == query.group
        and not beyond
        and (not query.states or row.state in query.states)
        and row.key.startswith(query.key_prefix)
        and query.qualifier in ("", row.qualifier)
        and query.created_from_ms <= row.created_ms <= (query.created_to_ms or NEVER)
    )


def _copy(row: Row) -> Row:
    return msgspec.structs.replace(row)
