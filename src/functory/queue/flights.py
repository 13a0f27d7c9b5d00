"""The rows in a pump's hands: begun, kept by heartbeats, settled.

A row is in flight from its lease until its end is stored. If the store cannot be written its end is kept and settled
again; nothing is dropped but what lost its lease.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from functools import partial

from functory.clock import Clock
from functory.model import errors
from functory.model.task import TaskState
from functory.observe.logs import fields
from functory.queue import base
from functory.queue.base import Group, Leased, Move, Moved, Queue, Ref
from functory.queue.handler import Handler
from functory.queue.sweeper import failure_of

log = logging.getLogger("functory.queue")

HEARTBEATS_PER_LEASE = 4
_STOPS = "handed back: the node stops"


class Flight:
    """A row in our hands."""

    __slots__ = ("beat_ms", "leased", "move", "stopping")

    def __init__(self, leased: Leased, now_ms: int) -> None:
        self.leased = leased
        self.beat_ms = now_ms
        self.move: Move | None = None  # its end, once it is known
        self.stopping = False


class Flights:
    """All of them, by the id of the row.

    `freed` is told of each group that has a place free again, `changed` after whatever may let the pump go on.
    """

    def __init__(
        self,
        queue: Queue,
        handler: Handler,
        *,
        lane: int,
        clock: Clock,
        lease_ms: int,
        retry_s: float,
        freed: Callable[[Group], None],
        changed: Callable[[], None],
    ) -> None:
        self._queue = queue
        self._handler = handler
        self._lane = lane
        self._clock = clock
        self._lease_ms = lease_ms
        self._retry_s = retry_s
        self._freed = freed
        self._changed = changed
        self._held: dict[int, Flight] = {}
        self._ended: list[Flight] = []
        self._closed = False
        self.fenced = 0
        """Ends that came after the lease was lost, and changed nothing."""

    def open(self) -> None:
        """Rows may be begun."""
        self._closed = False

    def __len__(self) -> int:
        return len(self._held)

    def __contains__(self, id_: int) -> bool:
        return id_ in self._held

    @property
    def ending(self) -> bool:
        """Whether ends have gathered."""
        return bool(self._ended)

    def begin(self, leased: Leased, now_ms: int) -> None:
        """Run a row that was leased."""
        if self._closed:  # it came after the stop had handed everything back
            self._queue.settle([base.release(leased, detail=_STOPS)]).add_done_callback(failure_of)
            return
        old = self._held.get(leased.id)
        if old is not None:  # its lease was lost and came back to us: the first one does not count
            self._abandon(old)
        flight = self._held[leased.id] = Flight(leased, now_ms)
        try:
            self._handler.run(leased)
        except Exception as failure:
            log.exception("Work cannot be begun", extra=fields("run", key=leased.key))
            if flight.move is None:
                self.finish(leased, base.release(leased, delay_ms=1000, detail=f"cannot be begun: {failure}"))

    def finish(self, leased: Leased, move: Move) -> None:
        """What became of a row; it is settled with the next `settle_ended`."""
        flight = self._held.get(leased.id)
        if flight is None or flight.leased is not leased or flight.move is not None:
            self.fenced += 1
            return
        flight.move = move
        self._ended.append(flight)
        self._changed()

    def stop_row(self, id_: int) -> bool:
        """The row is to be stopped, and the queue knows. False if it is not held here."""
        flight = self._held.get(id_)
        if flight is None or flight.move is not None:
            return False
        if not flight.stopping:
            flight.stopping = True
            self._handler.stop(flight.leased)
        return True

    # --- settling -----------------------------------------------------------------------------------------------------

    def settle_ended(self) -> None:
        """All ends that have gathered go in one commit; their places are free at once."""
        if self._ended:
            ended, self._ended = self._ended, []
            for flight in ended:
                self._freed(flight.leased.group)
            self._settle(ended)

    def _settle(self, flights: Sequence[Flight]) -> None:
        moves = [flight.move for flight in flights if flight.move is not None]
        try:
            settled = self._queue.settle(moves)
        except errors.FunctoryError as failure:
            self._settle_failed(flights, failure)
            return
        settled.add_done_callback(partial(self._settled, flights))

    def _settled(self, flights: Sequence[Flight], settled: asyncio.Future[Sequence[Moved]]) -> None:
        failure = failure_of(settled)
        if failure is not None:
            self._settle_failed(flights, failure)
            return
        stopped: list[Flight] = []
        for flight, moved in zip(flights, settled.result(), strict=True):
            if moved is Moved.STOPPING:
                # Somebody asked to stop it before it came to its end: that stands.
                flight.move = self._handler.stopped(flight.leased)
                stopped.append(flight)
                continue
            if moved is Moved.FENCED:
                self.fenced += 1
                log.info("An end came after its lease was lost", extra=fields("fenced", key=flight.leased.key))
            if self._held.get(flight.leased.id) is flight:
                del self._held[flight.leased.id]
        if stopped:
            self._settle(stopped)
        self._changed()

    def _settle_failed(self, flights: Sequence[Flight], failure: BaseException) -> None:
        self._complain("Ends of work cannot be stored; they are kept and tried again", failure)

        def again() -> None:
            ours = [flight for flight in flights if self._held.get(flight.leased.id) is flight]
            # Each for itself: one that can never be stored must not keep the others from it.
            for flight in ours:
                self._settle([flight])

        self._clock.call_later(self._retry_s, again)

    # --- heartbeats ---------------------------------------------------------------------------------------------------

    def beat(self) -> None:
        """Keep the leases that are not fresh."""
        now = self._queue.now_ms()
        fresh = now - self._lease_ms // HEARTBEATS_PER_LEASE // 2
        flights = [flight for flight in self._held.values() if flight.beat_ms <= fresh]
        if not flights:
            return
        try:
            kept = self._queue.extend([_ref(flight) for flight in flights], lease_ms=self._lease_ms)
        except errors.FunctoryError:
            return
        kept.add_done_callback(partial(self._kept, flights, now))

    def _kept(self, flights: Sequence[Flight], now_ms: int, kept: asyncio.Future[Sequence[TaskState | None]]) -> None:
        failure = failure_of(kept)
        if failure is not None:
            self._complain("Leases cannot be kept; another beat follows", failure)
            return
        for flight, state in zip(flights, kept.result(), strict=True):
            if self._held.get(flight.leased.id) is not flight:
                continue
            if state is None and flight.move is None:
                self._abandon(flight)
            elif state is TaskState.STOPPING:
                self.stop_row(flight.leased.id)
            flight.beat_ms = now_ms

    def _abandon(self, flight: Flight) -> None:
        """Its lease is lost: somebody else has the row, or will have it."""
        log.warning("A lease was lost; its result will not count", extra=fields("lost", key=flight.leased.key))
        self.fenced += 1
        del self._held[flight.leased.id]
        if flight.move is None:
            self._freed(flight.leased.group)
            self._handler.abandon(flight.leased)
        self._changed()

    # --- the stop -----------------------------------------------------------------------------------------------------

    async def hand_back(self) -> None:
        """What did not end in time goes back in line, as if it had not been leased."""
        self._closed = True
        flights = list(self._held.values())
        self._held.clear()
        for flight in flights:
            if flight.move is None:
                self._handler.abandon(flight.leased)
        moves = [flight.move or self._back(flight) for flight in flights]
        if moves:
            await self._queue.settle(moves)

    def _back(self, flight: Flight) -> Move:
        if flight.stopping:
            return self._handler.stopped(flight.leased)
        return base.release(flight.leased, detail=_STOPS)

    # --- plumbing -----------------------------------------------------------------------------------------------------

    def _complain(self, sentence: str, failure: BaseException) -> None:
        log.error(sentence, extra=fields("queue_failure", lane=self._lane, reason=failure))


def _ref(flight: Flight) -> Ref:
    return Ref(flight.leased.id, flight.leased.epoch)
