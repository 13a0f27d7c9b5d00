"""The queue over the store's SQLite file.

Rows are numbered here and not by SQLite, so that a number is never given twice, not even after everything was purged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

import apsw

from functory.clock import Clock
from functory.model import errors
from functory.model.task import WAITING, TaskState
from functory.queue import rules
from functory.queue.base import Grant, Group, Item, Move, Moved, Place, Query, Ready, Ref, Row, Stored, Swept, Want
from functory.queue.news import NEVER, News
from functory.queue.sqlite import jobs, reading, rows
from functory.queue.sqlite.database import Reads, Writes
from functory.queue.sqlite.groups import Groups
from functory.queue.sqlite.rows import SQL
from functory.queue.steady import Steady

T = TypeVar("T")
R = TypeVar("R")


class SqliteQueue:
    """`queue.base.Queue`. Start it after the store whose writer and readers it is given, stop it before."""

    def __init__(self, writes: Writes, reads: Reads, *, clock: Clock) -> None:
        self._writes = writes
        self._reads = reads
        self._steady = Steady(clock)
        self._groups = Groups()
        self._news = News()
        self._last_id = 0
        self._open = False

    async def start(self) -> None:
        """Read what groups there are."""
        found, last = await self._reads.run(_known)
        self._groups.load(found)
        # Numbers go on from the time, so that those of purged rows are not given again.
        self._last_id = max(last, self.now_ms() << 18)
        self._open = True

    async def stop(self) -> None:
        """Refuse everything."""
        self._open = False

    def now_ms(self) -> int:
        """The clock that decides."""
        return self._steady.now_ms()

    # --- changes ------------------------------------------------------------------------------------------------------

    def put(self, items: Sequence[Item]) -> asyncio.Future[Sequence[Stored | None]]:
        """Stores items, one commit."""
        rules.check_items(items)
        now = self.now_ms()
        values = [self._values(item, now) for item in items]
        new_groups = self._groups.unsaved(item.group for item in items)

        def stored(fresh: list[bool]) -> list[Stored | None]:
            self._groups.saved(new_groups)
            self._tell(items, now)
            return [Stored(row[0], now) if new else None for row, new in zip(values, fresh, strict=True)]

        return self._submit(lambda connection: jobs.put(connection, new_groups, values), stored)

    def lease(self, wants: Sequence[Want], *, owner: str, lease_ms: int) -> asyncio.Future[Grant]:
        """Gives out the first of each group's line, within the limits."""
        now = self.now_ms()
        numbered = [(self._groups.known(want.group), want) for want in wants]
        find = self._groups.by_id

        def granted(result: tuple[list[Any], list[int]]) -> Grant:
            leased, empty = result
            return Grant(leased=leased, empty=[find(group_id) for group_id in empty if group_id])

        return self._submit(lambda c: jobs.lease(c, numbered, owner, now, now + lease_ms, find), granted)

    def extend(self, refs: Sequence[Ref], *, lease_ms: int) -> asyncio.Future[Sequence[TaskState | None]]:
        """Keeps leases."""
        until = self.now_ms() + lease_ms
        return self._submit(lambda connection: jobs.extend(connection, refs, until), _same)

    def settle(self, moves: Sequence[Move]) -> asyncio.Future[Sequence[Moved]]:
        """Moves rows on, all in one commit."""
        rules.check_moves(moves)
        now = self.now_ms()
        changes = [self._change(move, now) for move in moves]
        puts = [item for move in moves for item in move.puts]
        new_groups = self._groups.unsaved(item.group for item in puts)

        def settled(results: list[Moved]) -> list[Moved]:
            done = [move for move, result in zip(moves, results, strict=True) if result is Moved.DONE]
            if any(move.puts for move in done):
                self._groups.saved(new_groups)
            self._tell([item for move in done for item in move.puts], now)
            self._back([move for move in done if move.to in WAITING], now)
            return results

        return self._submit(lambda connection: jobs.settle(connection, new_groups, changes), settled)

    def note(self, ref: Ref, progress: str) -> asyncio.Future[bool]:
        """Keeps what a running row says of itself."""

        def job(connection: apsw.Connection) -> bool:
            connection.execute(SQL["progress"], (progress, *ref))
            return connection.changes() > 0

        return self._submit(job, _same)

    async def wait(self, lane: int) -> Ready:
        """Returns once there is news of the lane."""
        return await self._news.wait(lane)

    def sweep(self, lane: int, *, limit: int = 500, after: tuple[int, int] = (0, 0)) -> asyncio.Future[Swept]:
        """Lets delayed rows into line, drops old ones, finds what is overdue."""
        now = self.now_ms()
        find = self._groups.by_id

        def swept(result: tuple[list[int], list[Any], list[Any], int]) -> Swept:
            ready, overdue, purged, next_ms = result
            found = [rows.to_row(values, find) for values in overdue]
            self._news.looked(lane, next_ms or NEVER)
            return Swept(
                ready=frozenset(map(find, ready)),
                overdue=found,
                purged=len(purged),
                dropped=[ref for refs in purged for ref in refs if ref],
                next_ms=next_ms or NEVER,
                after=(found[-1].wake_ms, found[-1].id) if found else after,
                more=limit in (len(ready), len(overdue), len(purged)),
            )

        return self._submit(lambda connection: jobs.sweep(connection, lane, now, limit, after), swept)

    def lost(
        self, lane: int, *, node: str, owner: str, limit: int = 500, after_id: int = 0
    ) -> asyncio.Future[Sequence[Row]]:
        """Rows held by earlier starts of a node."""
        bound = {"lane": lane, "node": node, "owner": owner, "limit": limit, "after_id": after_id}
        find = self._groups.by_id
        return self._submit(
            lambda connection: connection.execute(SQL["lost"], bound).fetchall(),
            lambda found: [rows.to_row(values, find) for values in found],
        )

    # --- reads --------------------------------------------------------------------------------------------------------

    async def lines(self, lane: int) -> Collection[Group]:
        """The groups that have a line now."""
        ids = await self._read(lambda connection: [id_ for (id_,) in connection.execute(SQL["lines"])])
        return [group for group in map(self._groups.by_id, ids) if group.lane == lane]

    async def get(self, group: Group, key: str) -> Row | None:
        """A row by its key."""
        return await self._row("get", (self._groups.known(group), key))

    async def by_id(self, id: int) -> Row | None:
        """A row by its id."""
        return await self._row("get_id", (id,))

    async def list(self, query: Query) -> Sequence[Row]:
        """A page, in order of acceptance."""
        sql, bound = reading.page(rules.check_query(query), self._groups.known(query.group))
        found = await self._read(lambda connection: connection.execute(sql, bound).fetchall())
        return [rows.to_row(values, self._groups.by_id) for values in found]

    async def counts(self, group: Group) -> dict[TaskState, int]:
        """How many rows of a group stand in each state."""
        group_id = self._groups.known(group)
        found: Any = await self._read(lambda connection: connection.execute(SQL["counts"], (group_id,)).fetchall())
        return {TaskState(state): count for state, count in found}

    async def groups(self, lane: int, account_id: str = "") -> Sequence[Group]:
        """The groups that were ever put to."""
        return self._groups.of(lane, account_id)

    async def place(self, group: Group, key: str) -> Place | None:
        """A row, and what stands before it."""
        group_id, find = self._groups.known(group), self._groups.by_id
        found = await self._read(lambda connection: reading.place(connection, group_id, key, find))
        return None if found is None else Place(found[0], self.now_ms(), *found[1:])

    # --- plumbing -----------------------------------------------------------------------------------------------------

    async def _row(self, query: str, key: tuple[Any, ...]) -> Row | None:
        values = await self._read(lambda connection: connection.execute(SQL[query], key).fetchone())
        return None if values is None else rows.to_row(values, self._groups.by_id)

    async def _read(self, job: Callable[[apsw.Connection], T]) -> T:
        self._check_open()
        return await self._reads.run(job)

    def _submit(self, job: Callable[[apsw.Connection], T], answer: Callable[[T], R]) -> asyncio.Future[R]:
        """Hand a job to the writer; what it answers is turned into ours on the loop, in the order of the commits."""
        self._check_open()
        outer: asyncio.Future[R] = asyncio.get_running_loop().create_future()

        def done(inner: asyncio.Future[T]) -> None:
            try:
                result = answer(inner.result())
            except asyncio.CancelledError:
                outer.cancel()
            except Exception as failure:
                if not outer.done():
                    outer.set_exception(failure)
            else:
                if not outer.done():  # else its caller was cancelled
                    outer.set_result(result)

        self._writes.submit(job).add_done_callback(done)
        return outer

    def _check_open(self) -> None:
        if not self._open:
            raise errors.Unavailable("the queue is not running")

    def _values(self, item: Item, now_ms: int) -> tuple[Any, ...]:
        self._last_id += 1
        return rows.of_item(item, self._last_id, self._groups.id_of(item.group), now_ms)

    def _change(self, move: Move, now_ms: int) -> jobs.Change:
        query, bind = rows.statement(move)
        return jobs.Change(move, query, bind(move, now_ms), [self._values(item, now_ms) for item in move.puts])

    def _tell(self, items: Sequence[Item], now_ms: int) -> None:
        """Some may have been duplicates: news is a hint, and a false one costs a look."""
        for item in items:
            if not item.owner:
                self._news.wake(item.group.lane, rows.wake_of(item, now_ms))
        self._news.ready({item.group for item in items if not item.owner and not item.delay_ms})

    def _back(self, moves: Sequence[Move], now_ms: int) -> None:
        for move in moves:
            if move.delay_ms:
                self._news.wake(move.group.lane, now_ms + move.delay_ms)
            else:
                self._news.ready((move.group,))


def _known(connection: apsw.Connection) -> tuple[list[Any], int]:
    (last,) = connection.execute(SQL["last_id"]).fetchone() or (0,)
    return connection.execute(SQL["groups"]).fetchall(), last


def _same(value: T) -> T:
    return value
