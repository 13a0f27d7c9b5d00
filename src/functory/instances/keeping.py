"""The instances of one pool that stand without work: which are kept, made ahead of need, given up.

Every second a sweep takes each idle one a step further as `standby.py` says (frozen, paged out, gone), makes what is
missing to the minimum, and as many parked ones as `park.py` wants.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from functory.clock import Clock
from functory.instances import evict, park, standby
from functory.instances.habits import Seen
from functory.instances.instance import Instance
from functory.instances.standing import Keep
from functory.instances.starts import Starts
from functory.model.instance import InstanceState


class Budget(Protocol):
    """The node's instances, shared by all pools."""

    def room(self) -> int:
        """How many more may be made now."""

    @property
    def most(self) -> int:
        """How many there may be in all."""

    def why_full(self) -> str:
        """Why no more may be made, with the setting to change; empty if they may."""

    def make_room(self, wanted: int) -> None:
        """The node is full and somebody waits: unused instances of others may go."""

    def count(self, change: int) -> None:
        """One more (+1) or fewer (-1)."""


class Keeper(Protocol):
    """The pool as those without work know it."""

    instances: dict[str, Instance]
    free: list[Instance]
    retired: bool
    keeps: Keep

    @property
    def empty(self) -> bool:
        """Nothing runs, starts or waits."""

    @property
    def crowded(self) -> bool:
        """Somebody waits for an instance."""

    def stop(self, instance: Instance) -> None:
        """Ends it in order."""


class Surroundings(NamedTuple):
    """What of the node a sweep has to know."""

    swap: bool = False
    """There is somewhere to page out to."""
    short: bool = False
    """The memory of all instances is nearly used up."""
    page_out: Callable[[Instance], None] = lambda _: None
    """Moves a frozen one's memory to swap, soon."""


class Keeping:
    """Keeps instances ready, and lets those go that nobody needs."""

    def __init__(
        self,
        pool: Keeper,
        starts: Starts,
        budget: Budget,
        *,
        clock: Clock,
        ladder: standby.Ladder,
        parked: int,
        seen: Seen,
    ) -> None:
        self.waited = 0
        """Callers of the last burst who had to wait at the same time."""
        self.waited_ns = 0
        self._pool = pool
        self._starts = starts
        self._budget = budget
        self._clock = clock
        self._now = clock.monotonic_ns
        self._ladder = ladder
        self._kept_s = ladder.gone_ns / 1e9
        self._seen = seen
        self._parked_base = parked
        self._served = 0
        """Calls served by the instances that a sweep saw."""

    # --- what happened ------------------------------------------------------------------------------------------------

    def first_call_done(self, now_ns: int) -> None:
        """An instance that was new, perhaps parked, has served: another takes its place."""
        self._seen.called(now_ns, self._kept_s)
        if self._parked_base:
            # After the answer is out: making another must not hold it up.
            self._clock.call_later(park.DELAY_S, self._park)

    def somebody_waits(self, waiting: int, now_ns: int) -> None:
        """So many invocations have no instance."""
        self._seen.called(now_ns, self._kept_s)
        if waiting >= self.waited or now_ns - self.waited_ns > park.BURST_NS:
            self.waited, self.waited_ns = waiting, now_ns

    # --- the minimum --------------------------------------------------------------------------------------------------

    def keep(self) -> None:
        """Another number is to stand ready from now on; those too many go when they have been idle long enough."""
        self._starts.retry_at_ns = 0
        self.top_up()

    def top_up(self) -> None:
        """Starts what is missing to the minimum. After a failed start only once in a while: it may fail for ever."""
        if self._pool.retired or self._now() < self._starts.retry_at_ns:
            return
        missing = self._pool.keeps.minimum - len(self._pool.instances) - self._starts.unmade
        for _ in range(min(missing, self._budget.room())):
            self._starts.one()

    # --- parked ones --------------------------------------------------------------------------------------------------

    @property
    def _parked(self) -> list[Instance]:
        return [one for one in self._pool.free if one.state is InstanceState.PARKED]

    def _parked_wanted(self, now_ns: int) -> int:
        interest = park.Interest(
            base=self._parked_base,
            since_call_ns=now_ns - self._seen.called_ns if self._seen.called_ns >= 0 else -1,
            waited=self.waited,
            since_wait_ns=now_ns - self.waited_ns,
            expected=self._seen.due(now_ns),
            provisioned=self._pool.keeps.minimum > 0,
            failed=bool(self._starts.error),
            room=self._budget.room(),
            room_max=self._budget.most,
        )
        return 0 if self._pool.retired else park.wanted(interest)

    def expect_call(self) -> None:
        """Its habit says that it will be called soon: one is made ready if none is there."""
        if not self._pool.instances and not self._starts.under_way and self._parked_wanted(self._now()):
            self._starts.one(ahead=True)

    def _park(self) -> None:
        """Starts what is missing of the parked ones."""
        # An empty pool may have been given up meanwhile: whoever ended with his first call has none beside him.
        if not self._pool.crowded and not self._pool.empty and not self._starts.better_later:
            for _ in range(self._parked_wanted(self._now()) - len(self._parked) - self._starts.ahead):
                self._starts.one(ahead=True)

    def _note_calls(self, now_ns: int) -> None:
        served = sum(one.served for one in self._pool.instances.values())
        if served > self._served:
            self._seen.called(now_ns, self._kept_s)
        self._served = served

    def _sweep_parked(self, now_ns: int) -> None:
        parked = self._parked
        for instance in parked[: max(0, len(parked) - self._parked_wanted(now_ns))]:
            self._pool.stop(instance)
        self._park()

    # --- who goes -----------------------------------------------------------------------------------------------------

    def sweep(self, now_ns: int, around: Surroundings) -> None:
        """Every second: each idle instance takes its next step, missing ones are made."""
        self._note_calls(now_ns)
        spare = len(self._pool.instances) - self._pool.keeps.minimum
        for instance in [one for one in self._pool.free if not one.busy]:
            resting = standby.Resting(
                state=instance.state,
                idle_ns=now_ns - instance.idle_since_ns,
                start_ms=self._starts.mean_ms,
                kept=spare <= 0,
                awake=self._pool.keeps.always,
                swap=around.swap,
                short=around.short,
            )
            wanted = standby.next_state(resting, self._ladder)
            spare -= wanted is InstanceState.STOPPING
            self._step(instance, wanted, around)
        self.top_up()
        if self._parked_base:
            self._sweep_parked(now_ns)

    def _step(self, instance: Instance, wanted: InstanceState | None, around: Surroundings) -> None:
        if wanted is InstanceState.STOPPING:
            self._pool.stop(instance)
        elif wanted is InstanceState.STANDBY:
            instance.freeze()
        elif wanted is InstanceState.IDLE:
            instance.thaw()
        elif wanted is InstanceState.PAGED_OUT:
            around.page_out(instance)

    def unused(self, now_ns: int) -> list[evict.Candidate]:
        """What may go if others need the room."""
        spare = len(self._pool.instances) - self._pool.keeps.minimum
        return [
            evict.Candidate(
                instance_id=one.id,
                parked=one.state is InstanceState.PARKED,
                idle_s=(now_ns - one.idle_since_ns) / 1e9,
                age_s=(self._clock.now_ms() - one.created_ms) / 1e3,
                served=one.served,
                start_ms=self._starts.mean_ms,
                memory_bytes=one.held_bytes,
            )
            for one in [one for one in self._pool.free if not one.busy][: max(0, spare)]
        ]
