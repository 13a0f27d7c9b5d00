"""The instances of one function revision: the only owner of them.

    submit ──a slot is free──→ instance.run
       └────else──→ waiting ──freed / started──→ instance.run

Among instances with room the one used last is taken: its memory is warm, it is packed full before the next one is
woken, and those below it grow old and go.
"""

from __future__ import annotations

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol

from functory.clock import Clock
from functory.instances import evict, failures, park, scale, standing
from functory.instances.instance import Instance, InstanceLimits
from functory.instances.seat import Seat
from functory.instances.standing import NOTHING, Keep
from functory.instances.tracking import Total
from functory.model import errors
from functory.model.function import Function
from functory.model.instance import InstanceSpec, InstanceState
from functory.model.invocation import Invocation, Outcome, Pending, Status
from functory.model.usage import Mode
from functory.observe.logs import fields
from functory.spawner.client import Spawner

log = logging.getLogger("functory.instances")

Prepare = Callable[[Function], Awaitable[InstanceSpec]]
"""Makes the spec of a new instance: unpacks the code if need be, finds interpreter and layers."""
RUN_WEIGHT = 0.05
"""Weight of the newest run time in the moving mean."""
START_WEIGHT = 0.3
RETRY_NS = 5_000_000_000
"""After a failed start, how long none is tried for the sake of a minimum alone."""
SHORT_LIVES = 3
"""How many instances in a row may end soon after their start before the next one has to wait."""
MAX_ERROR_BYTES = 1000


class Budget(Protocol):
    """The node's instances, shared by all pools."""

    def room(self) -> int:
        """How many more may be made now."""

    @property
    def most(self) -> int:
        """How many there may be in all."""

    def make_room(self, wanted: int) -> None:
        """The node is full and somebody waits: unused instances of others may go."""

    def count(self, change: int) -> None:
        """One more (+1) or fewer (-1)."""


class Pool:
    """Instances of one function revision, and the invocations that wait for one."""

    def __init__(
        self,
        function: Function,
        *,
        clock: Clock,
        spawner: Spawner,
        prepare: Prepare,
        budget: Budget,
        limits: InstanceLimits,
        idle_ns: int,
        parked: int = 0,
        on_empty: Callable[[Pool], None],
        seat: Seat | None = None,
    ) -> None:
        self.function = function
        self.instances: dict[str, Instance] = {}
        self.waiting: deque[tuple[Invocation, Pending]] = deque()
        self.retired = False
        self.keeps = NOTHING
        self.minimum = 0
        """How many instances stand ready, called or not: `keeps.minimum`."""
        self.standing = standing.Meter()
        """How long they have stood."""
        self._run_ns = 0
        """Run time of all calls so far."""
        self.start_error = ""
        """Why the last start failed; empty since one went well."""
        self._clock = clock
        self._now = clock.monotonic_ns
        self._spawner = spawner
        self._prepare = prepare
        self._budget = budget
        self._limits = limits
        self._idle_ns = function.idle_timeout_s * 1_000_000_000 or idle_ns
        self._on_empty = on_empty
        self._seat = seat
        self._free: list[Instance] = []
        self._parked_base = parked
        self._called_ns = -1
        """When the last cold start or first call of an instance was, or a sweep that saw any call."""
        self._seen = 0
        """Calls served by the instances that a sweep saw."""
        self._waited = 0
        self._waited_ns = 0
        self._parking = 0
        """Starts under way for nobody."""
        self._concurrency = function.instance_concurrency
        self._starting = 0
        self._unmade = 0
        """Starts under way that have no instance yet."""
        self._retry_at_ns = 0
        self._short_lives = 0
        self._mean_run_ms = -1.0
        self._start_ms = scale.DEFAULT_START_MS
        self._tasks: set[asyncio.Task[None]] = set()
        self._dispatching = False

    # --- invocations --------------------------------------------------------------------------------------------------

    def submit(self, invocation: Invocation) -> Pending:
        """Runs it now or as soon as an instance is free."""
        pending = Pending()
        if self._free and not self.waiting:
            self._give(invocation, pending)
        else:
            self.waiting.append((invocation, pending))
            self.adjust()
        return pending

    def _give(self, invocation: Invocation, pending: Pending) -> None:
        instance = self._free[-1]
        instance.busy += 1
        if instance.busy >= self._concurrency:
            self._free.pop()
        instance.run(invocation, pending)

    def freed(self, instance: Instance) -> None:
        """One invocation less runs on `instance`."""
        if instance.busy == self._concurrency - 1:
            if self.minimum and instance.mode is Mode.ON_DEMAND:
                self._free.insert(standing.place(self._free), instance)
            else:
                self._free.append(instance)
        instance.idle_since_ns = self._now()
        if self.waiting:
            self._dispatch()
        elif self.retired and not instance.busy:
            self._stop(instance)
        elif instance.served == 1:  # it was new, perhaps parked: another takes its place
            self._called_ns = instance.idle_since_ns
            if self._parked_base:
                # After the answer is out: making another must not hold it up.
                self._clock.call_later(park.DELAY_S, self._park)

    def cancel(self, request_id: str) -> bool:
        """Takes an invocation out of the line, as nobody wants it any more; False if it does not wait here."""
        for waiting in self.waiting:
            invocation, pending = waiting
            if invocation.request_id == request_id:
                self.waiting.remove(waiting)
                if invocation.body is not None:
                    invocation.body.close()
                pending.resolve(Outcome(status=Status.CANCELLED, message="it was stopped while it waited"))
                return True
        return False

    def _dispatch(self) -> None:
        while self.waiting and self._free:
            invocation, pending = self.waiting.popleft()
            self._give(invocation, pending)

    def observe_run(self, duration_ns: int) -> None:
        """A run took this long: the mean follows."""
        self._run_ns += duration_ns
        ms = duration_ns / 1e6
        self._mean_run_ms = ms if self._mean_run_ms < 0 else self._mean_run_ms + RUN_WEIGHT * (ms - self._mean_run_ms)

    # --- instances ----------------------------------------------------------------------------------------------------

    def adjust(self) -> None:
        """Starts instances if the policy wants more."""
        if not self.waiting:
            return
        now = self._called_ns = self._now()
        if len(self.waiting) >= self._waited or now - self._waited_ns > park.BURST_NS:
            self._waited, self._waited_ns = len(self.waiting), now
        demand = scale.Demand(
            waiting=len(self.waiting),
            oldest_wait_ms=(now - self.waiting[0][0].accepted_ns) / 1e6,
            alive=len(self.instances) - self._starting,
            starting=self._starting,
            concurrency=self._concurrency,
            mean_run_ms=self._mean_run_ms,
            start_ms=self._start_ms,
            room=self._room(),
        )
        if demand.room < len(self.waiting) and self.keeps.most is None:
            self._budget.make_room(len(self.waiting) - self._starting)
        for _ in range(scale.starts_wanted(demand)):
            self._start_one()

    def _room(self) -> int:
        """How many more the node, and the owner, allow."""
        room, most = self._budget.room(), self.keeps.most
        return room if most is None else max(0, min(room, most - len(self.instances) - self._unmade))

    def unused(self, now_ns: int) -> list[evict.Candidate]:
        """What may go if others need the room."""
        spare = len(self.instances) - self.minimum
        return [
            evict.Candidate(
                instance_id=one.id,
                parked=one.state is InstanceState.PARKED,
                idle_s=(now_ns - one.idle_since_ns) / 1e9,
                age_s=(self._clock.now_ms() - one.created_ms) / 1e3,
                served=one.served,
                start_ms=self._start_ms,
                memory_bytes=one.memory_peak_bytes,
            )
            for one in [one for one in self._free if not one.busy][: max(0, spare)]
        ]

    def give_up(self, instance_id: str) -> None:
        """Others need its room."""
        instance = self.instances.get(instance_id)
        if instance is not None and not instance.busy:
            self._stop(instance)

    @property
    def _parked(self) -> list[Instance]:
        return [one for one in self._free if one.state is InstanceState.PARKED]

    def _parked_wanted(self, now_ns: int) -> int:
        interest = park.Interest(
            base=self._parked_base,
            since_call_ns=now_ns - self._called_ns if self._called_ns >= 0 else -1,
            waited=self._waited,
            since_wait_ns=now_ns - self._waited_ns,
            provisioned=self.minimum > 0,
            failed=bool(self.start_error),
            room=self._budget.room(),
            room_max=self._budget.most,
        )
        return 0 if self.retired else park.wanted(interest)

    def _park(self) -> None:
        """Starts what is missing of the parked ones."""
        # An empty pool may have been given up meanwhile: whoever ended with his first call has none beside him.
        # And one that is made a moment later is forked from the template that is being made.
        making = self._seat is not None and self._seat.making
        if not self.waiting and not self.empty and not making:
            for _ in range(self._parked_wanted(self._now()) - len(self._parked) - self._parking):
                self._start_one(parked=True)

    def _sweep_parked(self, now_ns: int) -> None:
        served = sum(one.served for one in self.instances.values())
        if served > self._seen:
            self._called_ns = now_ns
        self._seen = served
        parked = self._parked
        for instance in parked[: max(0, len(parked) - self._parked_wanted(now_ns))]:
            self._stop(instance)
        self._park()

    def keep(self, keep: Keep) -> None:
        """At least so many instances from now on; those too many go when they have been idle long enough."""
        self.keeps, self.minimum = keep, keep.minimum
        self._retry_at_ns = 0
        self._top_up()
        self._mark()

    def _mark(self) -> None:
        """An instance came or went, or another number is wanted: says which are the kept ones."""
        if self.minimum or self.standing.kept:
            kept = standing.mark(self.instances.values(), self.keeps, ending=self.retired)
            self.standing.note(self._now(), kept, always=self.keeps.always)
            self._free.sort(key=lambda one: one.mode is not Mode.ON_DEMAND)  # stable: the last used stays last

    def used(self, now_ns: int) -> Total:
        """What its instances have used so far; of what runs, what it has used by now."""
        alive = self.instances.values()
        return Total(
            now_ns,
            self._run_ns + sum(one.open_ns(now_ns) for one in alive),
            sum(one.cpu_ns() for one in alive),
            sum(one.memory_bytes() for one in alive),
        )

    def _top_up(self) -> None:
        """Starts what is missing to the minimum. After a failed start only once in a while: it may fail for ever."""
        if self.retired or self._now() < self._retry_at_ns:
            return
        for _ in range(min(self.minimum - len(self.instances) - self._unmade, self._budget.room())):
            self._start_one()

    def _note_life(self, instance: Instance) -> None:
        """Several that end right after they started are replaced no faster than starts that fail."""
        lived_ms = self._clock.now_ms() - instance.created_ms
        self._short_lives = self._short_lives + 1 if lived_ms < RETRY_NS // 1_000_000 else 0
        if self._short_lives > SHORT_LIVES:
            self._retry_at_ns = self._now() + RETRY_NS

    @property
    def ready(self) -> int:
        """How many instances can run something."""
        alive = (InstanceState.PARKED, InstanceState.IDLE, InstanceState.BUSY)
        return sum(one.state in alive for one in self.instances.values())

    def _start_one(self, *, parked: bool = False) -> None:
        self._starting += 1
        self._unmade += 1
        self._parking += parked
        self._budget.count(1)
        task = asyncio.get_running_loop().create_task(self._start(parked), name=f"start {self.function.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start(self, parked: bool) -> None:
        begin = self._now()
        instance: Instance | None = None
        try:
            spec = await self._prepare(self.function)
            instance = Instance(
                spec, self.function, clock=self._clock, limits=self._limits, spawner=self._spawner, owner=self
            )
            instance.ahead = parked
            self.instances[instance.id] = instance
            self._unmade -= 1
            await instance.start(self._seat.parent() if self._seat is not None else "")
        except failures.StartFailed as failure:
            assert instance is not None
            if self._seat is not None and self._seat.failed(instance, failure.outcome):
                asyncio.get_running_loop().call_soon(self.adjust)  # who waits gets one that is no copy
                return
            self._start_failed(failure.outcome)
            return
        except errors.FunctoryError as failure:
            self._start_failed(failures.system(f"the function's code cannot be prepared: {failure}"))
            return
        except Exception:
            log.exception(
                "An instance could not be started; its caller is told",
                extra=fields("start_instance", function=self.function.name),
            )
            self._start_failed(failures.system("no instance could be started"))
            return
        finally:
            self._starting -= 1
            self._parking -= parked
            if instance is None:
                self._unmade -= 1
                self._budget.count(-1)
        took_ms = (self._now() - begin) / 1e6
        self._start_ms += START_WEIGHT * (took_ms - self._start_ms)
        self.start_error = ""
        if instance.state is not InstanceState.STARTING:  # ended while it said hello
            instance.kill()  # the first word may have come too early
            asyncio.get_running_loop().call_soon(self.adjust)
            return
        if self._seat is not None:
            self._seat.started(instance)
        parked = parked and not self.waiting
        instance.stand_ready(parked=parked)
        if parked:
            self._free.insert(0, instance)  # whoever has served before is taken first
        else:
            self._free.append(instance)
        self._mark()
        if self.waiting:
            self._dispatch()
        elif self.retired:
            self._stop(instance)

    def _start_failed(self, outcome: Outcome) -> None:
        """Those the failed instance would have served hear why; the next ones get a start of their own."""
        self.start_error = outcome.message or outcome.payload[:MAX_ERROR_BYTES].decode("utf-8", "replace") or "?"
        self._retry_at_ns = self._now() + RETRY_NS
        for _ in range(min(self._concurrency, len(self.waiting))):
            invocation, pending = self.waiting.popleft()
            own = Outcome(
                status=outcome.status,
                payload=outcome.payload,
                error_type=outcome.error_type,
                message=outcome.message,
                retry_after_ms=outcome.retry_after_ms,
                log=outcome.log,
                queued_ns=self._now() - invocation.accepted_ns,
            )
            if invocation.body is not None:
                invocation.body.close()
            pending.resolve(own)
        asyncio.get_running_loop().call_soon(self.adjust)

    def died(self, instance: Instance) -> None:
        """`instance` is gone."""
        if self.instances.pop(instance.id, None) is not None:
            self._budget.count(-1)
        if self._seat is not None:
            self._seat.gone(instance)
        if instance in self._free:
            self._free.remove(instance)
        self._mark()
        if self.waiting:
            self.adjust()
        elif self.minimum and not self.retired:
            self._note_life(instance)
            self._top_up()
        elif self.empty:
            self._on_empty(self)

    def _stop(self, instance: Instance) -> None:
        if instance in self._free:
            self._free.remove(instance)
        instance.stop()

    # --- time ---------------------------------------------------------------------------------------------------------

    def tick(self, judged_ns: int, *, queue_wait_ns: int) -> None:
        """Every few milliseconds while anything runs, starts or waits: deadlines, waits that are too long, scale.

        What is over by `judged_ns` is ended: now, or 0 while nothing can be judged (`heldup`).
        """
        for instance in list(self.instances.values()):
            if instance.state in (InstanceState.BUSY, InstanceState.STARTING):
                instance.expire(judged_ns)
        while self.waiting and judged_ns - self.waiting[0][0].accepted_ns > queue_wait_ns and not self._starting:
            _, pending = self.waiting.popleft()
            pending.resolve(
                Outcome(
                    status=Status.THROTTLED,
                    retry_after_ms=1000,
                    message="no instance of the function became free in time",
                )
            )
        if self.waiting:
            self.adjust()

    def sweep(self, now_ns: int) -> None:
        """Every second: idle instances whose time is over go."""
        spare = len(self.instances) - self.minimum
        for instance in [one for one in self._free if not one.busy]:
            if self.retired or (spare > 0 and now_ns - instance.idle_since_ns >= self._idle_ns):
                self._stop(instance)
                spare -= 1
        self._top_up()
        if self._parked_base:
            self._sweep_parked(now_ns)

    def retire(self) -> None:
        """The function changed or is deleted: what runs may end, nothing new is taken, idle instances go."""
        self.retired = True
        for instance in [one for one in self._free if not one.busy]:
            self._stop(instance)
        for instance in [one for one in self.instances.values() if one.ahead_of_need]:
            instance.kill()  # nobody waits for its start
        if self.empty:
            self._on_empty(self)

    def kill(self, why: str) -> None:
        """Ends everything now; who still waits is told."""
        while self.waiting:
            _, pending = self.waiting.popleft()
            pending.resolve(failures.system(why))
        for instance in list(self.instances.values()):
            instance.kill()

    @property
    def empty(self) -> bool:
        """Nothing runs, starts or waits."""
        return not self.instances and not self.waiting and not self._starting

    @property
    def quiet(self) -> bool:
        """Nothing needs a tick."""
        return (
            not self.waiting
            and not self._starting
            and all(one.state is not InstanceState.BUSY for one in self.instances.values())
        )
