"""The net under a lane: what is due comes into line, what is too old or was lost is found, and no news is missed.

It is a loop of the node and never a piece of work itself, so that nothing that holds up work can hold it up. Whatever
it finds it settles by compare-and-set as everybody does: an owner that was only slow wins or loses, but never both.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from functory.clock import Clock
from functory.model import errors
from functory.model.task import HELD
from functory.observe.logs import fields
from functory.queue.base import Group, Move, Moved, Queue, Row, Swept
from functory.queue.handler import Handler, Overdue
from functory.queue.timers import Timers

log = logging.getLogger("functory.queue")

SWEEPS_PER_LEASE = 2
LONGEST_S = 86_400
"""Timers of years overflow, and the net is cast far more often."""


class Sweeper:
    """A Service. `joined` is told of groups that have rows in line; `ours` says whether a row is held here."""

    def __init__(
        self,
        queue: Queue,
        handler: Handler,
        *,
        lane: int,
        clock: Clock,
        lease_ms: int,
        retry_s: float,
        beat: Callable[[], None],
        joined: Callable[[Iterable[Group]], None],
        ours: Callable[[int], bool],
    ) -> None:
        self._queue = queue
        self._handler = handler
        self._lane = lane
        self._clock = clock
        self._period_s = lease_ms / SWEEPS_PER_LEASE / 1000
        self._retry_s = retry_s
        self._beat = beat
        self._joined = joined
        self._ours = ours
        self._timers = Timers(clock)
        self._listener: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._sweeping = False
        self._wake_ms = 0

    async def start(self) -> None:
        """Begin."""
        self._timers = Timers(self._clock)
        self._listener = asyncio.get_running_loop().create_task(self._listen(), name=f"news of lane {self._lane}")
        self._timers.every("net", self._period_s, self._cast_net)
        self._start_sweep()

    async def stop(self) -> None:
        """End; what is under way changes nothing any more that others could not do."""
        self._timers.end()
        for task in (self._listener, self._looking):
            if task is not None:
                task.cancel()

    async def take_back(self, node: str, owner: str) -> None:
        """What earlier starts of this node held: they are dead, as this one lives."""
        after, count = 0, 0
        while rows := await self._queue.lost(self._lane, node=node, owner=owner, after_id=after):
            await self._queue.settle(self._decided(rows, Overdue.NODE_DIED))
            after, count = rows[-1].id, count + len(rows)
        if count:
            log.info("Work of an earlier start goes on", extra=fields("take_back", lane=self._lane, count=count))

    # --- news ---------------------------------------------------------------------------------------------------------

    async def _listen(self) -> None:
        while True:
            news = await self._queue.wait(self._lane)
            if news.groups:
                self._joined(news.groups)
            if news.wake_ms != self._wake_ms:
                self._wake_ms = news.wake_ms
                delay_s = max(0, news.wake_ms - self._queue.now_ms()) / 1000
                self._timers.at("sweep", min(delay_s, LONGEST_S), self._start_sweep)

    def _cast_net(self) -> None:
        """Whatever news should ever be missed is found here: lines and overdue rows, from the rows themselves."""
        self._start_sweep()
        if self._looking is None or self._looking.done():
            self._looking = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        try:
            self._joined(await self._queue.lines(self._lane))
        except errors.FunctoryError as failure:
            self._complain(failure)

    # --- sweeps -------------------------------------------------------------------------------------------------------

    def _start_sweep(self) -> None:
        if not self._sweeping:
            self._sweeping = True
            self._beat()  # what runs here is not overdue, even if the machine slept
            self._sweep_on((0, 0))

    def _sweep_on(self, after: tuple[int, int]) -> None:
        try:
            swept = self._queue.sweep(self._lane, after=after)
        except errors.FunctoryError as failure:
            self._failed(failure)
            return
        swept.add_done_callback(self._swept)

    def _swept(self, future: asyncio.Future[Swept]) -> None:
        failure = failure_of(future)
        if failure is not None:
            self._failed(failure)
            return
        swept = future.result()
        if swept.ready:
            self._joined(swept.ready)
        if swept.dropped:
            self._handler.dropped(swept.dropped)
        moves = self._decided([row for row in swept.overdue if not (row.state in HELD and self._ours(row.id))])
        if moves and not self._settle(moves):
            return
        if swept.more:
            self._sweep_on(swept.after)
        else:
            self._sweeping = False

    def _settle(self, moves: Sequence[Move]) -> bool:
        try:
            self._queue.settle(moves).add_done_callback(self._settled)
        except errors.FunctoryError as failure:
            self._failed(failure)
            return False
        return True

    def _settled(self, settled: asyncio.Future[Sequence[Moved]]) -> None:
        failure = failure_of(settled)
        if failure is not None:
            self._failed(failure)

    def _failed(self, failure: BaseException) -> None:
        self._sweeping = False
        self._complain(failure)
        self._timers.at("again", self._retry_s, self._start_sweep)

    def _decided(self, rows: Sequence[Row], why: Overdue | None = None) -> list[Move]:
        moves = []
        for row in rows:
            reason = why or (Overdue.LEASE_OVER if row.state in HELD else Overdue.TOO_OLD)
            try:
                moves.append(self._handler.overdue(row, reason))
            except Exception:
                # One row that cannot be decided about must not keep the others from being swept.
                log.exception("A row cannot be swept", extra=fields("sweep", key=row.key))
        return moves

    def _complain(self, failure: BaseException) -> None:
        log.error("A sweep failed; another one follows", extra=fields("sweep", lane=self._lane, reason=failure))


def failure_of(future: asyncio.Future[Any]) -> BaseException | None:
    """What a future failed with; None if it has a result."""
    return asyncio.CancelledError() if future.cancelled() else future.exception()
