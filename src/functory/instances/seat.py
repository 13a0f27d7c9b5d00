"""The place of one function revision's template: who sits there, how it comes and goes.

    started: was loading slow? ──→ make ──HELLO──→ stands: `parent` of every start ──→ dropped
                                     └─ refused, failed: starts go on without it

A template is an instance that is never given a request; it is made, watched and ended like one. `snapshot` decides,
this carries out. A pool knows its seat only: where its instances are forked from, and what became of them.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Protocol

import msgspec

from functory.instances import failures, snapshot
from functory.instances.instance import Instance
from functory.model import errors
from functory.model.function import Function
from functory.model.instance import InstanceSpec, InstanceState
from functory.model.invocation import Outcome
from functory.model.template import SNAPSHOT_VARIABLE, TemplateState, TemplateView
from functory.observe.logs import fields

log = logging.getLogger("functory.instances")

Prepare = Callable[[Function], Awaitable[InstanceSpec]]
_REFUSED, _HOOK = "TemplateRefused", "SnapshotHookError"
_OWN_NETWORK = "each instance has a network of its own (vpcConfig, or internetAccess off), which copies would share"
REASON_CHARS = 1000
LOG_BYTES = 4096
KILLS_WAITED = 3
"""So many looks may find one of its instances still there after it was killed."""


class House(Protocol):
    """What a seat needs of the node."""

    prepare: Prepare

    def now(self) -> int:
        """Monotonic, in ns."""

    def memory_free(self) -> float:
        """The share of the machine's memory that is free; none where no templates are wanted."""

    def instance(self, spec: InstanceSpec, seat: Seat) -> Instance:
        """A template's process, not started yet."""

    def watch(self, one: Instance) -> None:
        """Ends it if it does not get ready in time."""

    def run(self, work: Coroutine[None, None, None]) -> None:
        """Runs `work` beside everything else."""


class _Failure(msgspec.Struct, rename="camel"):
    """What a process says before it ends."""

    error_message: str = ""
    error_type: str = ""


class Seat:
    """One revision's. Implements `instance.Owner` for the template."""

    def __init__(self, function: Function, owner: House) -> None:
        self.function = function
        self.refused = ""
        """Why this revision cannot be copied."""
        self.retired = False
        self.children: dict[str, Instance] = {}
        self._owner = owner
        self._mode = function.environment.get(SNAPSHOT_VARIABLE, "auto")
        self._template: Instance | None = None
        self._making = False
        self._ready_ns = self._failed_ns = 0
        self._started_ns = -1
        self._failures = 0
        self._forks = self._forks_seen = 0
        self._burns = self._cpu_ns = self._bytes = 0
        self._load_us = self._load_before_us = -1
        self._import_us = self._init_us = 0
        self._why_gone = ""
        self._kills: dict[str, int] = {}
        self._log = b""

    # --- what the pool asks and tells ---------------------------------------------------------------------------------

    @property
    def making(self) -> bool:
        """One is being made: starts that can wait had better."""
        return self._making

    def parent(self) -> str:
        """The template that an instance shall be forked from; empty if there is none."""
        one = self._template
        return one.id if one is not None and one.state is InstanceState.PARKED and not self.retired else ""

    def started(self, instance: Instance) -> None:
        """An instance has started, from the template or without it."""
        self._started_ns = self._owner.now()
        if instance.parent:
            self._forks += 1
            self.children[instance.id] = instance
        elif instance.load_us >= 0:
            self._load_before_us, self._load_us = self._load_us, instance.load_us
            self._consider(instance)

    def failed(self, instance: Instance, outcome: Outcome) -> bool:
        """The start of an instance failed; whether it was the template's fault, so that one without it may go well."""
        if not instance.parent_asked:
            return False
        said = _said(outcome)
        if said.error_type == _HOOK:
            self._refuse(said.error_message)
        elif self._template is not None and self._template.id == instance.parent_asked:
            self._fail(f"an instance forked from it did not start: {_reason(outcome)}")
        return True

    def gone(self, instance: Instance) -> None:
        """One of the pool's instances has ended."""
        self.children.pop(instance.id, None)
        self._kills.pop(instance.id, None)
        if self.retired and not self.children:
            self._drop("the function has changed")

    def retire(self) -> None:
        """The revision is not in use any more; what was forked from the template may end first."""
        self.retired = True
        if not self.children:
            self._drop("the function has changed")

    # --- making one ---------------------------------------------------------------------------------------------------

    def _consider(self, started: Instance) -> None:
        wish = snapshot.Wish(
            mode=self._mode,
            copies=started.copies,
            load_us=self._load_us,
            load_before_us=self._load_before_us,
            refused=self.refused,
            failures=self._failures,
            since_failure_s=(self._owner.now() - self._failed_ns) / 1e9,
            memory_free=self._owner.memory_free(),
        )
        if self._template is None and not self._making and not self.retired and snapshot.wanted(wish):
            if started.network != "host":
                self._refuse(_OWN_NETWORK)
                return
            self._making = True
            self._owner.run(self._make())

    async def _make(self) -> None:
        try:
            spec = await self._owner.prepare(self.function)
            self._template = one = self._owner.instance(msgspec.structs.replace(spec, template=True), self)
            self._owner.watch(one)
            await one.start()
        except failures.StartFailed as failure:
            self._start_failed(failure.outcome)
        except errors.FunctoryError as failure:
            self._fail(str(failure))
        else:
            self._stands(one)
        finally:
            self._making = False
            if self.retired:
                self.retire()

    def _stands(self, one: Instance) -> None:
        if one.state is not InstanceState.STARTING:
            one.kill()
            return
        one.stand_ready(parked=True)
        self._ready_ns = self._owner.now()
        self._cpu_ns, self._bytes = one.cpu_ns(), one.memory_bytes()
        self._forks = self._forks_seen = self._burns = 0
        self._import_us, self._init_us = one.loaded_us
        self._load_us = self._load_before_us = sum(one.loaded_us)
        self._log = one.take_log()[:LOG_BYTES]
        self._why_gone = ""
        log.info(
            "A function is loaded once and copied from now on",
            extra=fields("template_ready", function=self.function.name, load_ms=self._load_us // 1000),
        )

    def _start_failed(self, outcome: Outcome) -> None:
        said = _said(outcome)
        self._log = outcome.log[:LOG_BYTES]
        if said.error_type in (_REFUSED, _HOOK):
            self._refuse(said.error_message)
        else:
            self._fail(_reason(outcome))

    def _refuse(self, reason: str) -> None:
        self.refused = reason[:REASON_CHARS]
        self._drop(self.refused)
        log.warning(
            "A function cannot be copied, so each instance loads it; its status says why",
            extra=fields("template_refused", function=self.function.name, reason=self.refused),
        )

    def _fail(self, reason: str) -> None:
        self._failures += 1
        self._failed_ns = self._owner.now()
        self._drop(reason[:REASON_CHARS])

    def _drop(self, why: str) -> None:
        one, self._template = self._template, None
        self._why_gone = why
        if one is not None:
            one.kill()

    # --- what the template itself tells (instance.Owner) --------------------------------------------------------------

    def freed(self, instance: Instance) -> None:
        """Never: it runs nothing."""

    def died(self, instance: Instance) -> None:
        """It is gone. One that nobody has dropped comes back."""
        if self._template is not instance or self._making:
            return
        if (self._owner.now() - self._ready_ns) / 1e9 >= snapshot.LONG_LIFE_S:
            self._failures = 0
        self._template = None
        self._why_gone = f"its process ended: {instance.how_it_ended}"
        self._failures += 1
        self._failed_ns = self._owner.now()
        interest_s = (self._owner.now() - self._started_ns) / 1e9 if self._started_ns >= 0 else snapshot.INTEREST_S
        if self._failures == 1 and interest_s < snapshot.INTEREST_S:
            self._failed_ns -= int(snapshot.FIRST_RETRY_S * 1e9)
            self._consider(instance)

    # --- time ---------------------------------------------------------------------------------------------------------

    def standing(self, now_ns: int, cpu_share: float) -> snapshot.Standing | None:
        """How it stands; `cpu_share`: of one processor, since the last look."""
        one = self._template
        if one is None or one.state is not InstanceState.PARKED:
            return None
        quiet = self._forks == self._forks_seen and now_ns - self._ready_ns > 1_000_000_000
        self._burns = self._burns + 1 if quiet and cpu_share > snapshot.BURN_SHARE else 0
        self._forks_seen = self._forks
        return snapshot.Standing(
            id=one.id,
            age_s=(now_ns - self._ready_ns) / 1e9,
            idle_s=(now_ns - max(self._ready_ns, self._started_ns)) / 1e9,
            forks=self._forks,
            load_us=self._load_us,
            bytes=self._bytes,
            children=len(self.children),
            burns=self._burns,
        )

    def look(self, cpu_window_ns: int, now_ns: int) -> snapshot.Standing | None:
        """Once in a while: how it stands, and whether its instances die when they are killed."""
        self._check_kills()
        if self._template is None:
            return None
        before_ns, self._cpu_ns = self._cpu_ns, self._template.cpu_ns()
        self._bytes = self._template.memory_bytes()
        return self.standing(now_ns, (self._cpu_ns - before_ns) / max(cpu_window_ns, 1))

    def _check_kills(self) -> None:
        for instance in self.children.values():
            if instance.being_killed:
                looks = self._kills[instance.id] = self._kills.get(instance.id, 0) + 1
                if looks > KILLS_WAITED:
                    self._refuse("an instance forked from it could not be ended")
                    return

    def drop(self, why: str) -> None:
        """The policy wants it gone."""
        if why.startswith("it uses processor time"):
            self._refuse(why)
        else:
            self._drop(why)

    def view(self) -> TemplateView:
        """How the API shows it."""
        one = self._template
        stands = one is not None and one.state is InstanceState.PARKED
        state = TemplateState.NONE
        if stands:
            state = TemplateState.READY
        elif self._making:
            state = TemplateState.MAKING
        elif self.refused:
            state = TemplateState.REFUSED
        elif self._mode == "off":
            state = TemplateState.OFF
        return TemplateView(
            function=self.function,
            state=state,
            reason=self.refused or self._why_gone,
            instance_id=one.id if one is not None and stands else "",
            import_us=self._import_us,
            init_us=self._init_us,
            memory_bytes=self._bytes if stands else 0,
            forks=self._forks,
            children=len(self.children),
            log=self._log.decode("utf-8", "replace"),
        )


def _said(outcome: Outcome) -> _Failure:
    try:
        return msgspec.json.decode(outcome.payload, type=_Failure)
    except msgspec.MsgspecError:
        return _Failure()


def _reason(outcome: Outcome) -> str:
    said = _said(outcome)
    kind = f"{said.error_type}: " if said.error_type else ""
    return kind + said.error_message if said.error_message else outcome.message or str(outcome.status)
