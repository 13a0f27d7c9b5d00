"""The rounds over all pools: every second each idle instance takes its next step, and memory is looked at.

    pool by pool, half a millisecond at a time ──→ sweep ──→ what each instance holds ──→ too much in all: the least
    worth go ──→ templates are looked after, functions that are expected to be called soon get an instance

All of it is off the way of calls: a slice ends early so that what has come meanwhile is served, and what takes
milliseconds (paging out, looking at processes without a group) runs on a thread, one instance after the other.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Callable, Iterator
from typing import Protocol

from functory.clock import Clock, Timer
from functory.instances import memory
from functory.instances.instance import Instance
from functory.instances.keeping import Surroundings
from functory.instances.pool import Pool
from functory.model.instance import FROZEN, InstanceState
from functory.observe.logs import fields
from functory.sandbox import pageout

log = logging.getLogger("functory.instances")

SWEEP_S = 1.0
SLICE_NS = 500_000
"""How long one slice may take."""
BETWEEN_S = 0.005
"""How long calls have the loop to themselves between two slices."""
LOOK_AGAIN_ROUNDS = 30
"""What idle instances hold hardly changes: so many rounds it is taken to stay the same."""


class Rounded(Protocol):
    """The pools as the rounds know them."""

    def all(self) -> list[Pool]:
        """Every pool, old revisions too."""

    def memory_seen(self, held_bytes: int, instances: int) -> None:
        """What those instances hold that were looked at."""

    @property
    def memory_short(self) -> bool:
        """The memory for instances is nearly used up."""

    def after_round(self, now_ns: int) -> None:
        """Every instance was looked at: templates, and functions that will be called soon, have their turn."""


class Rounds:
    """A Service."""

    def __init__(self, pools: Rounded, *, clock: Clock, why_no_swap: Callable[[], str] = pageout.why_not) -> None:
        self._pools = pools
        self._clock = clock
        self._why_no_swap = why_no_swap
        self.no_swap = "not looked at yet"
        """Why nothing is paged out; empty if it is."""
        self._timer: Timer | None = None
        self._left: Iterator[Pool] = iter(())
        self._round = 0
        self._for_thread: deque[tuple[Instance, bool]] = deque()
        """Whose memory is to be looked at, and whether it is to be paged out before."""
        self._thread: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._begin()

    async def stop(self) -> None:
        """No round begins any more; what is on the thread comes to its end."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._for_thread.clear()
        if self._thread is not None:
            await self._thread

    def _begin(self) -> None:
        self._round += 1
        if self._round % LOOK_AGAIN_ROUNDS == 1:
            self.no_swap = self._why_no_swap()
        self._left = iter(self._pools.all())
        self._slice()

    def _slice(self) -> None:
        began = self._clock.monotonic_ns()
        around = Surroundings(not self.no_swap, self._pools.memory_short, self._page_out)
        for pool in self._left:
            try:
                if not pool.retired:
                    pool.keeping.sweep(began, around)
                self._look_at(pool)
            except Exception:  # of one function: the others' instances shall still be frozen, and go
                log.exception(
                    "The instances of a function could not be looked after; the next round tries again",
                    extra=fields("sweep_instances", function=pool.function.name),
                )
            if self._clock.monotonic_ns() - began > SLICE_NS:
                self._timer = self._clock.call_later(BETWEEN_S, self._slice)
                return
        self._timer = self._clock.call_later(SWEEP_S, self._begin)
        self._end(began)

    def _end(self, now_ns: int) -> None:
        held = [one.held_bytes for pool in self._pools.all() for one in pool.instances.values() if one.held_bytes]
        self._pools.memory_seen(sum(held), len(held))
        self._pools.after_round(now_ns)

    # --- memory -------------------------------------------------------------------------------------------------------

    def _look_at(self, pool: Pool) -> None:
        again = self._round % LOOK_AGAIN_ROUNDS == 0
        for instance in pool.instances.values():
            changed = instance.looked_at != instance.served or instance.state is InstanceState.BUSY
            if not instance.pid or not (changed or (again and instance.state not in FROZEN)):
                continue
            instance.looked_at = instance.served
            if instance.files.memory:
                instance.held_bytes = memory.held_bytes(instance.pid, instance.files)
            else:
                self._on_thread(instance, out=False)

    def _page_out(self, instance: Instance) -> None:
        self._on_thread(instance, out=True)

    def _on_thread(self, instance: Instance, *, out: bool) -> None:
        if (instance, out) in self._for_thread:
            return
        self._for_thread.append((instance, out))
        if self._thread is None:
            self._thread = asyncio.get_running_loop().create_task(self._work(), name="memory of instances")

    async def _work(self) -> None:
        """One after the other: paging out competes with calls for the processors."""
        try:
            while self._for_thread:
                instance, out = self._for_thread.popleft()
                pid, files = instance.pid, instance.files
                if out and instance.state is InstanceState.STANDBY and not self.no_swap:
                    if await asyncio.to_thread(pageout.page_out, pid, files):
                        instance.paged_out()
                    else:
                        self.no_swap = "the kernel refuses to page instances out"
                instance.held_bytes = await asyncio.to_thread(memory.held_bytes, pid, files)
        finally:
            self._thread = None
