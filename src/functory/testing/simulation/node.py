"""One life of the node: the real queue and task service, on a clock and a disk that fail."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Collection, Sequence
from functools import partial
from typing import Any, Protocol

from functory.blob.base import Blob
from functory.model import errors, ids
from functory.model.invocation import Invocation, Pending
from functory.queue.base import Grant, Group, Move, Moved, Row
from functory.queue.fair import Limits
from functory.queue.pump import PumpConfig
from functory.queue.sqlite import SqliteQueue
from functory.sinks.base import Kind, Sink
from functory.tasks.configs import StoredConfigs
from functory.tasks.dispatch import DispatchConfig
from functory.tasks.service import TaskConfig, TaskService
from functory.testing.simulation.disk import LIMIT, Disk, SimReaders, SimWriter
from functory.testing.simulation.faults import Broken
from functory.testing.virtual import VirtualClock, VirtualLoop

LEASE_MS = 8_000

current: contextvars.ContextVar[Generation | None] = contextvars.ContextVar("generation", default=None)
"""Whose code runs: what it starts dies with it."""


class Surroundings(Sink, Protocol):
    """What a node finds around it: `world.World`."""

    loop: VirtualLoop
    disk: Disk
    blob: Blob
    configs: StoredConfigs
    wall_step_s: float

    def invoke(self, generation: Generation, invocation: Invocation) -> Pending:
        """An instance."""

    def cancel(self, generation: Generation, request_id: str, grace_s: float) -> None:
        """Ends a run."""


class Generation:
    """One life of the node."""

    def __init__(self, world: Surroundings, number: int) -> None:
        self.tasks: dict[asyncio.Task[Any], None] = {}  # in order, as a seed has to decide everything
        self.answered: set[tuple[str, str]] = set()
        """Function and id of tasks that have answered well in this life."""
        self.running: dict[str, Pending] = {}
        """By request id, what its instances do."""
        self.awake = asyncio.Event()
        self.awake.set()
        self._loop = world.loop
        self._rng = world.disk.rng
        self._outside: list[Callable[[], None]] = []
        self.clock = VirtualClock(world.loop)
        self.clock.step_wall(world.wall_step_s)
        self.writer = SimWriter(world.disk, world.loop)
        self.queue = GhostQueue(self.writer, SimReaders(world.disk, self.awake), clock=self.clock)
        self.service = TaskService(
            self.queue,
            world.blob,
            invoke=partial(world.invoke, self),
            sinks={Kind.HTTP: world},
            stored_configs=world.configs,
            check_function=lambda *_: None,
            new_request_id=ids.request_id_maker(number, self.clock.now_s),
            chance=self._rng.random,
            clock=self.clock,
            node="n1",
            incarnation=str(number),
            limits_of=lambda _a, _f: Limits(concurrency=LIMIT, account_concurrency=2 * LIMIT),
            cancel=partial(world.cancel, self),
            config=TaskConfig(
                pump=PumpConfig(capacity=6, lease_ms=LEASE_MS, grace_s=3),
                deliveries=PumpConfig(capacity=4, lease_ms=LEASE_MS, grace_s=3),
                dispatch=DispatchConfig(stop_grace_s=2),
            ),
        )

    async def start(self) -> None:
        """Up."""
        await self.queue.start()
        await self.service.start()

    # --- a process that stands still ----------------------------------------------------------------------------------

    def suspend(self) -> None:
        """It stands still: time passes, and what comes from outside lies and waits."""
        self.awake.clear()
        self.clock.hold()
        self.writer.freeze(lose=False)

    def resume(self) -> None:
        """It goes on, and finds timers that are long due and all that has come, in either order."""
        piles = [self.clock.let_go(), self._outside]
        self._outside = []
        if self._rng.random() < 0.5:
            piles.reverse()
        for callback in (callback for pile in piles for callback in pile):
            self._loop.call_soon(callback)
        self.awake.set()
        self.writer.thaw()

    def hear(self, callback: Callable[[], None]) -> None:
        """Something comes from outside."""
        if self.awake.is_set():
            callback()
        else:
            self._outside.append(callback)

    # --- the end of a life --------------------------------------------------------------------------------------------

    def crash(self, *, ghost: bool) -> None:
        """Gone at once; or frozen, to come back as a ghost."""
        if ghost:
            self.queue.ghost = True
            self.writer.freeze(lose=True)
            return
        self.writer.crash(after_commit=self._rng.random() < 0.5)
        self._end()

    def haunt(self) -> None:
        """A ghost's end: another node has taken over, and now it writes what it had in its hands."""
        delay_s = self._rng.uniform(0, 20)
        self._loop.call_later(delay_s, self.writer.thaw)
        self._loop.call_later(delay_s + 5, self._end)

    def _end(self) -> None:
        self.writer.crash(after_commit=False)
        self.clock.kill()
        for task in list(self.tasks):
            task.cancel()


class GhostQueue(SqliteQueue):
    """The queue of a node that may become a ghost: then it can settle and keep leases, but begins nothing new.

    That is the harm a process can do that was frozen while another one took over: it writes what it had in its hands.
    """

    ghost = False

    def lease(self, wants: Any, *, owner: str, lease_ms: int) -> asyncio.Future[Grant]:
        """Nothing, for a ghost."""
        return super().lease([] if self.ghost else wants, owner=owner, lease_ms=lease_ms)

    def sweep(self, lane: int, *, limit: int = 500, after: tuple[int, int] = (0, 0)) -> Any:
        """Refused, for a ghost."""
        if self.ghost:
            raise errors.Unavailable("a ghost")
        return super().sweep(lane, limit=limit, after=after)

    def settle(self, moves: Sequence[Move]) -> asyncio.Future[Sequence[Moved]]:
        """Law 6: what a ghost settles is fenced, all of it."""
        settled = super().settle(moves)
        if self.ghost:
            settled.add_done_callback(_all_fenced)
        return settled

    async def get(self, group: Group, key: str) -> Row | None:
        """Refused, for a ghost: who reads a row anew may change it, and is none."""
        if self.ghost:
            raise errors.Unavailable("a ghost")
        return await super().get(group, key)

    async def lines(self, lane: int) -> Collection[Group]:
        """None, for a ghost."""
        return [] if self.ghost else await super().lines(lane)

    def put(self, items: Any) -> Any:
        """Refused, for a ghost."""
        if self.ghost:
            raise errors.Unavailable("a ghost")
        return super().put(items)


def _all_fenced(settled: asyncio.Future[Sequence[Moved]]) -> None:
    if not settled.cancelled() and settled.exception() is None and Moved.DONE in settled.result():
        raise Broken("a ghost changed a row that another node had taken over")
