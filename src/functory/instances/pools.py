"""All pools of the node: finds the pool of an invocation's function, keeps the time, ends everything at stop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import msgspec

from functory.clock import Clock, Timer
from functory.instances import budget, credentials, evict, failures, heldup, standby
from functory.instances.credentials import Credentials
from functory.instances.habits import Habits
from functory.instances.instance import InstanceLimits
from functory.instances.pool import Pool, Prepare
from functory.instances.rounds import Rounds
from functory.instances.standing import NOTHING, Keep
from functory.instances.templates import Templates
from functory.instances.tracking import Total
from functory.model.function import Function
from functory.model.instance import FROZEN, InstanceState, InstanceView
from functory.model.invocation import Invocation, Pending, resolved
from functory.model.template import TemplateState, TemplateView
from functory.spawner.base import Spawner

TICK_S = 0.01
"""Deadlines are kept to this, at no cost per call."""
TICK_NS = round(TICK_S * 1e9)
_TALKING = frozenset({InstanceState.PARKED, InstanceState.IDLE, InstanceState.BUSY, *FROZEN})


class PoolsConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How many instances, how long."""

    instances_max: int = 300
    parked: int = 0
    """Instances that stand ready, uncalled, for each function in use."""
    idle_s: float = 180.0
    """How long an idle instance is kept."""
    freeze_s: float = 1.0
    """How long after its last call an idle instance is frozen."""
    page_out_s: float = 10.0
    """How long after its last call a frozen instance is moved to swap, where there is some."""
    memory_bytes: int = 0
    """What all instances together may hold; 0 = not bounded."""
    queue_wait_s: float = 10.0
    """How long an invocation waits for an instance before it is refused."""
    grace_s: float = 10.0
    """At stop: how long what runs may go on."""
    limits: InstanceLimits = InstanceLimits()


class Pools:
    """The pools by function id and version. A Service; also the budget the pools share."""

    def __init__(
        self,
        *,
        clock: Clock,
        spawner: Spawner,
        prepare: Prepare,
        config: PoolsConfig,
        templates: Templates | None = None,
    ) -> None:
        self._clock = clock
        self._spawner = spawner
        self._prepare = prepare
        self._config = config
        self._templates = templates
        self._pools: dict[str, Pool] = {}
        self._old: set[Pool] = set()
        self._ended_kept: list[tuple[Function, bool, int]] = []
        """What `take_kept` has still to tell of pools that are gone."""
        self._alive = 0
        self._ticking: Timer | None = None
        self._tick_ns = 0
        self._judge_ns = 0
        self._habits = Habits()
        self._mean_bytes = 0
        """What an instance holds on average."""
        self._ladder = standby.Ladder(
            freeze_ns=int(config.freeze_s * 1e9),
            page_out_ns=int(config.page_out_s * 1e9),
            gone_ns=int(config.idle_s * 1e9),
        )
        self.rounds = Rounds(self, clock=clock)
        self._stopping = False
        self._stopped = asyncio.Event()

    async def start(self) -> None:
        await self.rounds.start()

    async def stop(self) -> None:
        """Refuses new work, lets what runs end within the grace time, then ends every instance."""
        if self._stopping:
            return
        self._stopping = True
        await self.rounds.stop()
        everything = self.all()
        for pool in everything:
            pool.retire()
        if self._templates is not None:
            self._templates.stop()
        if self._alive:
            grace = self._clock.call_later(self._config.grace_s, self._stopped.set)
            await self._stopped.wait()
            grace.cancel()
        for pool in everything:
            pool.kill("the node stops")
        if self._ticking is not None:
            self._ticking.cancel()

    # --- invocations --------------------------------------------------------------------------------------------------

    def submit(self, invocation: Invocation) -> Pending:
        """Runs the invocation on an instance of `invocation.function`, which `route` has bound."""
        function = invocation.function
        assert function is not None, "route binds the function first"
        pool = self._pools.get(function.pool_id)
        if pool is None or pool.function is not function:
            if self._stopping:
                return resolved(failures.system("the node is stopping"))
            pool = self._pool_for(function)
        if self._ticking is None:
            self._tick_soon(self._clock.monotonic_ns())
        return pool.submit(invocation)

    def observe_run(self, function: Function, duration_ns: int) -> None:
        """`record` tells how long a run took."""
        pool = self._pools.get(function.pool_id)
        if pool is not None:
            pool.observe_run(duration_ns)

    def _pool_for(self, function: Function) -> Pool:
        old = self._pools.get(function.pool_id)
        if old is not None and old.function.epoch >= function.epoch:
            if old.function.epoch == function.epoch:
                return old
            # Routed just before the change: the newest revision may serve it as well.
            return old
        pool = Pool(
            function,
            clock=self._clock,
            spawner=self._spawner,
            prepare=self._prepare,
            budget=self,
            limits=self._config.limits,
            ladder=self._ladder,
            parked=self._config.parked,
            seen=self._habits.of(function),
            on_empty=self._emptied,
            seat=self._templates.seat(function) if self._templates is not None else None,
        )
        self._pools[function.pool_id] = pool
        if old is not None:
            self._old.add(old)
            old.retire()
        return pool

    def retire(self, function: Function) -> None:
        """The function changed or is deleted: its instances finish what they run and go."""
        self._habits.forget(function)
        pool = self._pools.pop(function.pool_id, None)
        if pool is not None:
            self._old.add(pool)
            pool.retire()
        if self._templates is not None:
            self._templates.retire(function.pool_id)

    def retire_all(self, concerned: Callable[[Function], bool]) -> Sequence[Function]:
        """What stands around these functions changed: their instances finish and go. Answers whose there were."""
        found = [pool.function for pool in self._pools.values() if concerned(pool.function)]
        for function in found:
            self.retire(function)
        return found

    def _emptied(self, pool: Pool) -> None:
        gone = pool in self._old
        self._old.discard(pool)
        if self._pools.get(pool.function.pool_id) is pool and pool.keeps == NOTHING:
            del self._pools[pool.function.pool_id]
            gone = True
        if gone and (kept_ms := pool.standing.take_ms(self._clock.monotonic_ns())):
            self._ended_kept.append((pool.function, pool.standing.always, kept_ms))

    # --- instances kept ready -----------------------------------------------------------------------------------------

    def keep(self, function: Function, keep: Keep) -> None:
        """So many instances stand ready for this revision from now on, called or not."""
        pool = self._pools.get(function.pool_id)
        if keep != NOTHING and not self._stopping and (pool is None or pool.function is not function):
            pool = self._pool_for(function)
        if pool is None:
            return
        pool.keep(keep)
        if keep == NOTHING and pool.empty:
            self._emptied(pool)
        if self._ticking is None and not pool.quiet:
            self._tick_soon(self._clock.monotonic_ns())

    def used(self, function: Function) -> Total:
        """What the instances of the function's version have used so far."""
        pool = self._pools.get(function.pool_id)
        now = self._clock.monotonic_ns()
        return pool.used(now) if pool is not None else Total(now, 0, 0, 0)

    def take_kept(self) -> list[tuple[Function, bool, int]]:
        """For how long instances were kept since this was asked last: of what, with its processors, instance ms."""
        now = self._clock.monotonic_ns()
        found = [(pool.function, pool.standing.always, pool.standing.take_ms(now)) for pool in self.all()]
        found += self._ended_kept
        self._ended_kept = []
        return [one for one in found if one[2]]

    def adopt(self, function: Function) -> bool:
        """A revision that instances of the one before may serve as well; whether there was a pool to take it."""
        pool = self._pools.get(function.pool_id)
        if pool is None or pool.function.epoch > function.epoch:
            return False
        pool.function = self._habits.of(function).function
        if self._templates is not None:
            self._templates.adopt(function)
        return True

    def kept(self, function: Function) -> tuple[int, str]:
        """How many instances of the function's version run, and why there are not more (empty if nothing failed)."""
        pool = self._pools.get(function.pool_id)
        if pool is None:
            return 0, ""
        return pool.ready, pool.starts.error or self.why_full()

    def template(self, function: Function) -> TemplateView:
        """How the template of this revision stands."""
        if self._templates is None:
            return TemplateView(function=function, state=TemplateState.NONE)
        return self._templates.view(function)

    def kill(self, account_id: str, name: str, why: str) -> None:
        """Ends all instances of a function now; what runs on them, or waits for one, fails with `why`."""
        for pool in [*self._pools.values(), *self._old]:
            if (pool.function.account_id, pool.function.name) == (account_id, name):
                pool.kill(why)

    def cancel(self, request_id: str, grace_s: float) -> None:
        """The invocation is not wanted any more: its instance is told, and ended if it still runs after `grace_s`."""
        deadline_ns = self._clock.monotonic_ns() + int(grace_s * 1e9)
        for pool in (*self._pools.values(), *self._old):
            if pool.cancel(request_id) or any(
                instance.cancel(request_id, deadline_ns) for instance in pool.instances.values()
            ):
                return

    # --- credentials --------------------------------------------------------------------------------------------------

    def renew_credentials(self, make: Callable[[Function], Credentials | None], spare_until_ms: int) -> None:
        """Gives others to instances whose own would end before a run that starts at `spare_until_ms` does."""
        for pool in (*self._pools.values(), *self._old):
            if not pool.function.role_id:
                continue
            latest_end_ms = spare_until_ms + pool.function.timeout_s * 1000
            for instance in pool.instances.values():
                if instance.state in _TALKING and 0 < instance.credentials_until_ms < latest_end_ms:
                    made = make(pool.function)
                    if made is not None:
                        instance.give_credentials(msgspec.json.encode(credentials.told(made)), made.expires_at_ms)

    # --- budget -------------------------------------------------------------------------------------------------------

    @property
    def most(self) -> int:
        return self._config.instances_max

    def room(self) -> int:
        return budget.room(self._memory(), self._config.instances_max - self._alive)

    def why_full(self) -> str:
        """Why no more instances are made, with the setting to change; empty if they are."""
        if self._alive >= self._config.instances_max:
            return f"the node's limit of {self._config.instances_max} instances is reached"
        memory = self._memory()
        if budget.room(memory, 1) > 0:
            return ""
        held_mb, may_mb = memory.held_bytes >> 20, memory.budget_bytes >> 20
        return f"the node's instances hold {held_mb} MB of the {may_mb} MB they may (setting instances_memory_bytes)"

    def _memory(self) -> budget.Memory:
        # What was made since the last look is taken to hold as much as the others.
        held = self._mean_bytes * self._alive
        return budget.Memory(budget_bytes=self._config.memory_bytes, held_bytes=held, instances=self._alive)

    @property
    def memory_short(self) -> bool:
        """The memory for instances is nearly used up."""
        return self._memory().short

    def memory_seen(self, held_bytes: int, instances: int) -> None:
        """What so many instances hold together; who holds too much goes, if he is unused."""
        self._mean_bytes = held_bytes // instances if instances else 0
        over = budget.too_many(self._memory())
        if over:
            self._evict(over)

    def make_room(self, wanted: int) -> None:
        """Ends unused instances of whoever has them, as many as are missing and not on their way out already."""
        leaving = sum(
            instance.state is InstanceState.STOPPING
            for pool in (*self._pools.values(), *self._old)
            for instance in pool.instances.values()
        )
        missing = wanted - self.room() - leaving
        if missing <= 0:
            return
        self._evict(missing)

    def _evict(self, count: int) -> None:
        now = self._clock.monotonic_ns()
        owners = {one.instance_id: (pool, one) for pool in self._pools.values() for one in pool.keeping.unused(now)}
        for instance_id in evict.choose((one for _, one in owners.values()), count):
            owners[instance_id][0].give_up(instance_id)

    def count(self, change: int) -> None:
        self._alive += change
        if self._stopping and self._alive == 0:
            self._stopped.set()

    # --- views --------------------------------------------------------------------------------------------------------

    def views(self, account_id: str = "", name: str = "") -> Sequence[InstanceView]:
        """The instances, all or of one function. Parked ones are the platform's: nobody has called or billed them."""
        return [
            instance.view()
            for pool in (*self._pools.values(), *self._old)
            if not account_id or (pool.function.account_id, pool.function.name) == (account_id, name)
            for instance in pool.instances.values()
            if not instance.ahead_of_need
        ]

    def statistics(self) -> dict[str, int]:
        """Counts by state, and bytes held by all; parked ones are not among the alive."""
        states = [view.state for view in self.views()]
        return {
            "alive": len(states),
            "busy": states.count(InstanceState.BUSY),
            "starting": states.count(InstanceState.STARTING),
            "parked": self._alive - len(states),
            "standby": sum(state in FROZEN for state in states),
            "pagedOut": states.count(InstanceState.PAGED_OUT),
            "heldBytes": self._memory().held_bytes,
        }

    # --- time ---------------------------------------------------------------------------------------------------------

    def _tick_soon(self, now_ns: int) -> None:
        self._tick_ns = now_ns + TICK_NS
        self._ticking = self._clock.call_later(TICK_S, self._tick)

    def _tick(self) -> None:
        now = self._clock.monotonic_ns()
        self._judge_ns = heldup.judge_from_ns(self._tick_ns, now, self._judge_ns)
        judged_ns = now if now >= self._judge_ns else 0
        wait_ns = int(self._config.queue_wait_s * 1e9)
        busy = False
        for pool in (*self._pools.values(), *self._old):
            if not pool.quiet:
                busy = True
                pool.tick(judged_ns, queue_wait_ns=wait_ns)
        if busy:
            self._tick_soon(now)
        else:
            self._ticking = None

    def all(self) -> list[Pool]:
        """Every pool, old revisions too."""
        return [*self._pools.values(), *self._old]

    def after_round(self, now_ns: int) -> None:
        """Looks after templates, and makes ready those functions that will be called soon, as far as they are told."""
        if self._templates is not None:
            self._templates.sweep(now_ns)
        if self._config.parked and not self._stopping:
            for function in self._habits.due(now_ns):
                self._pool_for(function).keeping.expect_call()
