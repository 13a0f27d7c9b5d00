"""The instances of one function revision: the only owner of them.

    submit ──a slot is free──→ instance.run
       └────else──→ waiting ──freed / started──→ instance.run

Among instances with room the one used last is taken: its memory is warm, it is packed full before the next one is
woken, and those below it grow old and go. How they are made is `starts.py`'s, which stand without work `keeping.py`'s.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable

from msgspec import structs

from functory.clock import Clock
from functory.instances import failures, scale, standby, standing
from functory.instances.habits import Seen
from functory.instances.instance import Instance, InstanceLimits
from functory.instances.keeping import Budget, Keeping
from functory.instances.seat import Seat
from functory.instances.standing import NOTHING, Keep
from functory.instances.starts import Prepare, Starts
from functory.instances.tracking import Total
from functory.model.function import Function
from functory.model.instance import InstanceState
from functory.model.invocation import Invocation, Outcome, Pending, Status
from functory.model.usage import Mode
from functory.spawner.base import Spawner

__all__ = ["Budget", "Pool", "Prepare"]

RUN_WEIGHT = 0.05
"""Weight of the newest run time in the moving mean."""


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
        ladder: standby.Ladder,
        parked: int = 0,
        seen: Seen,
        on_empty: Callable[[Pool], None],
        seat: Seat | None = None,
    ) -> None:
        self.function = function
        self.instances: dict[str, Instance] = {}
        self.free: list[Instance] = []
        """Those with room, the next to be used last."""
        self.waiting: deque[tuple[Invocation, Pending]] = deque()
        self.retired = False
        self.keeps = NOTHING
        """What stands ready, called or not."""
        self.standing = standing.Meter()
        """How long they have stood."""
        self._run_ns = 0
        """Run time of all calls so far."""
        self._now = clock.monotonic_ns
        self._budget = budget
        self._on_empty = on_empty
        self._concurrency = function.instance_concurrency
        self._mean_run_ms = -1.0
        self._seat = seat
        self.starts = Starts(
            self, clock=clock, spawner=spawner, prepare=prepare, limits=limits, count=budget.count, seat=seat
        )
        if function.idle_timeout_s:
            ladder = structs.replace(ladder, gone_ns=function.idle_timeout_s * 1_000_000_000, exact=True)
        self.keeping = Keeping(self, self.starts, budget, clock=clock, ladder=ladder, parked=parked, seen=seen)

    # --- invocations --------------------------------------------------------------------------------------------------

    def submit(self, invocation: Invocation) -> Pending:
        """Runs it now or as soon as an instance is free."""
        pending = Pending()
        if self.free and not self.waiting:
            self._give(invocation, pending)
        else:
            self.waiting.append((invocation, pending))
            self.adjust()
        return pending

    def _give(self, invocation: Invocation, pending: Pending) -> None:
        instance = self.free[-1]
        instance.busy += 1
        if instance.busy >= self._concurrency:
            self.free.pop()
        instance.run(invocation, pending)

    def freed(self, instance: Instance) -> None:
        """One invocation less runs on `instance`."""
        if instance.busy == self._concurrency - 1:
            if self.keeps.minimum and instance.mode is Mode.ON_DEMAND:
                self.free.insert(standing.place(self.free), instance)
            else:
                self.free.append(instance)
        instance.idle_since_ns = self._now()
        if self.waiting:
            self._dispatch()
        elif self.retired and not instance.busy:
            self.stop(instance)
        elif instance.served == 1:
            self.keeping.first_call_done(instance.idle_since_ns)

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
        while self.waiting and self.free:
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
        now = self._now()
        self.keeping.somebody_waits(len(self.waiting), now)
        demand = scale.Demand(
            waiting=len(self.waiting),
            oldest_wait_ms=(now - self.waiting[0][0].accepted_ns) / 1e6,
            alive=len(self.instances) - self.starts.under_way,
            starting=self.starts.under_way,
            concurrency=self._concurrency,
            mean_run_ms=self._mean_run_ms,
            start_ms=self.starts.mean_ms,
            room=self._room(),
        )
        if demand.room < len(self.waiting) and self.keeps.most is None:
            self._budget.make_room(len(self.waiting) - self.starts.under_way)
        for _ in range(scale.starts_wanted(demand)):
            self.starts.one()

    def _room(self) -> int:
        """How many more the node, and the owner, allow."""
        room, most = self._budget.room(), self.keeps.most
        return room if most is None else max(0, min(room, most - len(self.instances) - self.starts.unmade))

    def keep(self, keep: Keep) -> None:
        """At least so many instances from now on; those too many go when they have been idle long enough."""
        self.keeps = keep
        self.keeping.keep()
        self._mark()

    def _mark(self) -> None:
        """An instance came or went, or another number is wanted: says which are the kept ones."""
        if self.keeps.minimum or self.standing.kept:
            kept = standing.mark(self.instances.values(), self.keeps, ending=self.retired)
            self.standing.note(self._now(), kept, always=self.keeps.always)
            self.free.sort(key=lambda one: one.mode is not Mode.ON_DEMAND)  # stable: the last used stays last

    def used(self, now_ns: int) -> Total:
        """What its instances have used so far; of what runs, what it has used by now."""
        alive = self.instances.values()
        return Total(
            now_ns,
            self._run_ns + sum(one.open_ns(now_ns) for one in alive),
            sum(one.cpu_ns() for one in alive),
            sum(one.memory_bytes() for one in alive),
        )

    def started(self, instance: Instance, *, ahead: bool) -> None:
        """It may take invocations."""
        parked = ahead and not self.waiting
        instance.stand_ready(parked=parked)
        if parked:
            self.free.insert(0, instance)  # whoever has served before is taken first
        else:
            self.free.append(instance)
        self._mark()
        if self.waiting:
            self._dispatch()
        elif self.retired:
            self.stop(instance)

    def start_failed(self, outcome: Outcome) -> None:
        """Those the failed instance would have served hear why; the next ones get a start of their own."""
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

    def died(self, instance: Instance) -> None:
        """`instance` is gone."""
        if self.instances.pop(instance.id, None) is not None:
            self._budget.count(-1)
        if self._seat is not None:
            self._seat.gone(instance)
        if instance in self.free:
            self.free.remove(instance)
        self._mark()
        if self.waiting:
            self.adjust()
        elif self.keeps.minimum and not self.retired:
            self.starts.note_life(instance)
            self.keeping.top_up()
        elif self.empty:
            self._on_empty(self)

    def give_up(self, instance_id: str) -> None:
        """Others need its room."""
        instance = self.instances.get(instance_id)
        if instance is not None and not instance.busy:
            self.stop(instance)

    def stop(self, instance: Instance) -> None:
        """Ends it in order: what runs may end, nothing new is taken."""
        if instance in self.free:
            self.free.remove(instance)
        instance.stop()

    # --- time ---------------------------------------------------------------------------------------------------------

    def tick(self, judged_ns: int, *, queue_wait_ns: int) -> None:
        """Every few milliseconds while anything runs, starts or waits: deadlines, waits that are too long, scale.

        What is over by `judged_ns` is ended: now, or 0 while nothing can be judged (`heldup`).
        """
        for instance in list(self.instances.values()):
            if instance.state in (InstanceState.BUSY, InstanceState.STARTING):
                instance.expire(judged_ns)
        while self.waiting and judged_ns - self.waiting[0][0].accepted_ns > queue_wait_ns and not self.starts.under_way:
            _, pending = self.waiting.popleft()
            why = self._budget.why_full()
            pending.resolve(
                Outcome(
                    status=Status.THROTTLED,
                    retry_after_ms=1000,
                    message="no instance of the function became free in time" + (f": {why}" if why else ""),
                )
            )
        if self.waiting:
            self.adjust()

    def retire(self) -> None:
        """The function changed or is deleted: what runs may end, nothing new is taken, idle instances go."""
        self.retired = True
        for instance in [one for one in self.free if not one.busy]:
            self.stop(instance)
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

    # --- views --------------------------------------------------------------------------------------------------------

    @property
    def ready(self) -> int:
        """How many instances can run something."""
        not_yet_or_no_more = (InstanceState.STARTING, InstanceState.STOPPING, InstanceState.DEAD)
        return sum(one.state not in not_yet_or_no_more for one in self.instances.values())

    @property
    def crowded(self) -> bool:
        """Somebody waits for an instance."""
        return bool(self.waiting)

    @property
    def empty(self) -> bool:
        """Nothing runs, starts or waits."""
        return not self.instances and not self.waiting and not self.starts.under_way

    @property
    def quiet(self) -> bool:
        """Nothing needs a tick."""
        return (
            not self.waiting
            and not self.starts.under_way
            and all(one.state is not InstanceState.BUSY for one in self.instances.values())
        )
