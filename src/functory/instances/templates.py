"""The templates of the node: they share its memory, and are looked after together.

seat(function) ──→ the pool of that revision       sweep, once a second ──→ those that the policy wants gone go
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from functory.clock import Clock
from functory.instances import snapshot
from functory.instances.instance import Instance, InstanceLimits
from functory.instances.seat import Prepare, Seat
from functory.model.function import Function
from functory.model.instance import InstanceSpec, InstanceState
from functory.model.template import TemplateState, TemplateView
from functory.spawner.base import Spawner


class Templates:
    """All seats. Looked after by the pools' own sweep; `stop` ends what is left."""

    def __init__(
        self, *, clock: Clock, spawner: Spawner, prepare: Prepare, limits: InstanceLimits, bytes_max: int
    ) -> None:
        """`bytes_max`: what they may hold together; 0 = none are made."""
        self.prepare = prepare
        self._clock = clock
        self._spawner = spawner
        self._limits = limits
        self._bytes_max = bytes_max
        self._seats: dict[str, Seat] = {}
        self._old: set[Seat] = set()
        self._looked_ns = clock.monotonic_ns()
        self._tasks: set[asyncio.Task[None]] = set()

    def seat(self, function: Function) -> Seat:
        """The place of this revision's template; that of the one before goes."""
        found = self._seats.get(function.pool_id)
        if found is None or found.function.epoch != function.epoch:
            self.retire(function.pool_id)
            found = self._seats[function.pool_id] = Seat(function, self)
        return found

    def adopt(self, function: Function) -> None:
        """Another revision that runs alike."""
        found = self._seats.get(function.pool_id)
        if found is not None:
            found.function = function

    def retire(self, pool_id: str) -> None:
        """The revision is not in use any more."""
        seat = self._seats.pop(pool_id, None)
        if seat is not None:
            self._old = {one for one in self._old if one.children}
            self._old.add(seat)
            seat.retire()

    def sweep(self, now_ns: int) -> None:
        """Once a second: those that the policy wants gone go."""
        window_ns, self._looked_ns = now_ns - self._looked_ns, now_ns
        seats = (*self._seats.values(), *self._old)
        looks = {one.id: (seat, one) for seat in seats if (one := seat.look(window_ns, now_ns)) is not None}
        if looks:
            standing = [one for _, one in looks.values()]
            drop = snapshot.to_drop(standing, bytes_max=self._bytes_max, memory_free=self.memory_free())
            for name, why in drop.items():
                looks[name][0].drop(why)

    def stop(self) -> None:
        """No more templates: those that stand end with their last instance."""
        for pool_id in list(self._seats):
            self.retire(pool_id)

    def view(self, function: Function) -> TemplateView:
        """How the template of this revision stands."""
        found = self._seats.get(function.pool_id)
        return (found if found is not None else Seat(function, self)).view()

    def statistics(self) -> dict[str, int]:
        """`{ready, memoryBytes}` of all that stand: what the platform holds for it, and nobody is billed."""
        views = [seat.view() for seat in (*self._seats.values(), *self._old)]
        ready = [view for view in views if view.state is TemplateState.READY]
        return {"ready": len(ready), "memoryBytes": sum(view.memory_bytes for view in ready)}

    # --- what seats need: seat.House ----------------------------------------------------------------------------------

    def now(self) -> int:
        """Monotonic, in ns."""
        return self._clock.monotonic_ns()

    def memory_free(self) -> float:
        """The share of the machine's memory that is free; none where no templates are wanted."""
        return _memory_free() if self._bytes_max else 0.0

    def instance(self, spec: InstanceSpec, seat: Seat) -> Instance:
        """A template's process, not started yet."""
        return Instance(spec, seat.function, clock=self._clock, limits=self._limits, spawner=self._spawner, owner=seat)

    def watch(self, one: Instance) -> None:
        """Ends it if it does not get ready in time."""

        def look() -> None:
            if one.state is InstanceState.STARTING:
                one.expire(self.now())
                self._clock.call_later(1.0, look)

        self._clock.call_later(1.0, look)

    def run(self, work: Coroutine[None, None, None]) -> None:
        """Runs `work` beside everything else."""
        task = asyncio.get_running_loop().create_task(work, name="make a template")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


def _memory_free() -> float:
    try:
        with open("/proc/meminfo", "rb", buffering=0) as file:
            facts = dict(line.split(b":", 1) for line in file.read(4096).splitlines() if b":" in line)
        return int(facts[b"MemAvailable"].split()[0]) / int(facts[b"MemTotal"].split()[0])
    except (OSError, KeyError, ValueError, IndexError):
        return 1.0
