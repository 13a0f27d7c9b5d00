"""The loop that brings work from the queue to its handler and its end back into the queue. One per lane.

1  news (a put, a delay that is over) or a free place → plan who is next (`queue.fair`)
2  lease a batch; each row goes to `handler.run`, which answers later with `finish(leased, move)`
3  moves gather for one turn of the loop and are settled in one commit; their places are free at once, as the queue
   keeps the order of calls (`queue.flights`)
4  meanwhile: leases are kept by heartbeats, in batches, by this loop and never by user code
5  the sweep (`queue.sweeper`) lets delayed rows in and finds what is too old or was lost; the handler decides what
   becomes of it

A start takes back what earlier starts of this node held. A stop leases no more, waits with a limit, and hands back what
is left. If the store cannot be written, results are kept and settled again; nothing is dropped but what lost its lease.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable, Sequence
from functools import partial

import msgspec

from functory.clock import Clock
from functory.model import errors
from functory.observe.logs import fields
from functory.queue.base import Grant, Group, Leased, Move, Queue, Want
from functory.queue.fair import Fair
from functory.queue.flights import HEARTBEATS_PER_LEASE, Flights
from functory.queue.handler import Handler
from functory.queue.sweeper import Sweeper, failure_of
from functory.queue.timers import Timers

log = logging.getLogger("functory.queue")


class PumpConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How one lane is worked."""

    capacity: int = 512
    """Rows held at once."""
    lease_ms: int = 15_000
    """Shorter than any run may take: it is the time in which a dead owner is noticed."""
    grace_s: float = 10.0
    """How long a stop waits for what runs."""
    retry_s: float = 0.5
    """Between two tries to write what the store refused."""

    def __post_init__(self) -> None:
        if self.lease_ms < 1000 or self.capacity < 1:
            raise errors.InvalidArgument(f"a lease of {self.lease_ms} ms for {self.capacity} rows is not possible")


class Pump:
    """A Service. `owner` is unique per start and begins with `node`, which is the same for all starts of one node."""

    def __init__(
        self, queue: Queue, handler: Handler, *, lane: int, node: str, owner: str, clock: Clock, config: PumpConfig
    ) -> None:
        if not owner.startswith(node) or owner == node:
            raise errors.InvalidArgument(f"owner {owner!r} does not begin with its node {node!r}")
        self._queue = queue
        self._handler = handler
        self._lane = lane
        self._node = node
        self._owner = owner
        self._clock = clock
        self._config = config
        self._fair = Fair(handler.limits, config.capacity)
        self._flights = Flights(
            queue,
            handler,
            lane=lane,
            clock=clock,
            lease_ms=config.lease_ms,
            retry_s=config.retry_s,
            freed=self._fair.ended,
            changed=self._changed,
        )
        self._taken = 0  # planned or reserved, but not yet in flight
        self._leasing = False
        self._turn_due = False
        self._timers = Timers(clock)
        self._sweeper = Sweeper(
            queue,
            handler,
            lane=lane,
            clock=clock,
            lease_ms=config.lease_ms,
            retry_s=config.retry_s,
            beat=self._flights.beat,
            joined=self._joined,
            ours=self._flights.__contains__,
        )
        self._idle = asyncio.Event()
        self._running = False

    # --- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Take back what earlier starts held, see who waits, begin."""
        await self._sweeper.take_back(self._node, self._owner)
        lines = await self._queue.lines(self._lane)
        self._timers, self._running = Timers(self._clock), True
        self._flights.open()
        self._timers.every("beat", self._config.lease_ms / HEARTBEATS_PER_LEASE / 1000, self._flights.beat)
        await self._sweeper.start()
        self._joined(lines)

    async def stop(self) -> None:
        """Lease no more, wait with a limit, hand back the rest."""
        if not self._running:
            return
        self._running = False
        if self._flights or self._leasing or self._taken:
            self._idle.clear()
            timer = self._clock.call_later(self._config.grace_s, self._idle.set)
            await self._idle.wait()
            timer.cancel()
        self._timers.end()
        await self._sweeper.stop()
        await self._flights.hand_back()

    @property
    def owner(self) -> str:
        """Who holds the leases."""
        return self._owner

    @property
    def in_flight(self) -> int:
        """Rows held now."""
        return len(self._flights)

    @property
    def fenced(self) -> int:
        """Ends that came after the lease was lost, and changed nothing."""
        return self._flights.fenced

    # --- rows that need not stand in line -----------------------------------------------------------------------------

    def reserve(self, group: Group) -> bool:
        """Whether a new row of the group may be put under a lease of ours; then `began` or `cancel` must follow."""
        if not self._running or not self._fair.reserve(group, self._free(), self._clock.monotonic_ns()):
            return False
        self._taken += 1
        return True

    @property
    def lease_ms(self) -> int:
        """How long a lease lasts."""
        return self._config.lease_ms

    def began(self, leased: Leased) -> None:
        """The reserved row is stored: run it."""
        self._taken -= 1
        self._flights.begin(leased, self._queue.now_ms())

    def cancel(self, group: Group) -> None:
        """The reserved row was not stored."""
        self._taken -= 1
        self._fair.untake(group)
        self._look_idle()
        self._soon()

    # --- ends ---------------------------------------------------------------------------------------------------------

    def finish(self, leased: Leased, move: Move) -> None:
        """What became of a row that `run` was given."""
        self._flights.finish(leased, move)

    def throttled(self, group: Group, pause_s: float) -> None:
        """The platform refused a row of the group: be modest for a while."""
        now = self._clock.monotonic_ns()
        self._fair.line(group, now).throttled(now + int(pause_s * 1e9))

    def succeeded(self, group: Group) -> None:
        """A row of the group ran."""
        self._fair.line(group, 0).succeeded()

    def stop_row(self, id_: int) -> bool:
        """The row is to be stopped, and the queue knows. False if it is not held here."""
        return self._flights.stop_row(id_)

    def _joined(self, groups: Iterable[Group]) -> None:
        """These groups have rows in line. In a fixed order, so that a seed decides everything."""
        now = self._clock.monotonic_ns()
        for group in sorted(groups):
            self._fair.joined(group, now)
        if self._fair.has_turns:
            self._soon()

    # --- turns --------------------------------------------------------------------------------------------------------

    def _soon(self) -> None:
        """One turn for all that happens in this round of the loop."""
        if not self._turn_due:
            self._turn_due = True
            asyncio.get_running_loop().call_soon(self._turn)

    def _turn(self) -> None:
        self._turn_due = False
        self._flights.settle_ended()
        if self._running and not self._leasing:
            self._lease()

    def _free(self) -> int:
        return self._config.capacity - len(self._flights) - self._taken

    def _lease(self) -> None:
        now = self._clock.monotonic_ns()
        wants = self._fair.plan(self._free(), now)
        if not wants:
            next_ns = self._fair.next_ns(now)
            if next_ns:
                self._timers.at("turn", (next_ns - now) / 1e9, self._turn)
            return
        self._leasing = True
        planned = sum(want.rows for want in wants)
        self._taken += planned
        try:
            grant = self._queue.lease(wants, owner=self._owner, lease_ms=self._config.lease_ms)
        except errors.FunctoryError as failure:
            self._lease_failed(wants, planned, failure)
            return
        grant.add_done_callback(partial(self._leased, wants, planned))

    def _leased(self, wants: Sequence[Want], planned: int, grant: asyncio.Future[Grant]) -> None:
        failure = failure_of(grant)
        if failure is not None:
            self._lease_failed(wants, planned, failure)
            return
        self._leasing = False
        self._taken -= planned
        given: dict[Group, int] = {}
        now = self._queue.now_ms()
        for leased in grant.result().leased:
            given[leased.group] = given.get(leased.group, 0) + 1
            self._flights.begin(leased, now)
        for group in grant.result().empty:
            self._fair.left(group)
        short = False
        for want in wants:
            missing = want.rows - given.get(want.group, 0)
            self._fair.untake(want.group, missing)
            short = short or (missing == want.rows and want.group not in grant.result().empty)
        self._look_idle()
        if short:  # rows still hold slots that were thought free: ask again once their end is written
            self._timers.at("turn", self._config.retry_s, self._turn)
        elif given:
            self._soon()

    def _lease_failed(self, wants: Sequence[Want], planned: int, failure: BaseException) -> None:
        self._leasing = False
        self._taken -= planned
        for want in wants:
            self._fair.untake(want.group, want.rows)
        self._look_idle()
        if self._running:
            self._complain("Work cannot be leased; it waits and is tried again", failure)
            self._timers.at("turn", self._config.retry_s, self._turn)

    # --- plumbing -----------------------------------------------------------------------------------------------------

    def _changed(self) -> None:
        """An end is to be stored, or a row has left our hands."""
        self._look_idle()
        if self._flights.ending or self._fair.has_turns:
            self._soon()

    def _look_idle(self) -> None:
        if not self._running and not self._flights and not self._leasing and not self._taken:
            self._idle.set()

    def _complain(self, sentence: str, failure: BaseException) -> None:
        log.error(sentence, extra=fields("queue_failure", lane=self._lane, reason=failure))
