"""The starts of one pool's instances: begun, counted, measured, and told to the pool when they end well or badly."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Protocol

from functory.clock import Clock
from functory.instances import failures, scale
from functory.instances.instance import Instance, InstanceLimits, Owner
from functory.instances.seat import Seat
from functory.model import errors
from functory.model.function import Function
from functory.model.instance import InstanceSpec, InstanceState
from functory.model.invocation import Outcome
from functory.observe.logs import fields
from functory.spawner.base import Spawner

log = logging.getLogger("functory.instances")

Prepare = Callable[[Function], Awaitable[InstanceSpec]]
"""Makes the spec of a new instance: unpacks the code if need be, finds interpreter and layers."""
START_WEIGHT = 0.3
"""Weight of the newest start in the moving mean."""
RETRY_NS = 5_000_000_000
"""After a failed start, how long none is tried for the sake of a minimum alone."""
SHORT_LIVES = 3
"""How many instances in a row may end soon after their start before the next one has to wait."""
MAX_ERROR_BYTES = 1000


class Starter(Owner, Protocol):
    """The pool as its starts know it."""

    function: Function
    instances: dict[str, Instance]

    def started(self, instance: Instance, *, ahead: bool) -> None:
        """It may take invocations."""

    def start_failed(self, outcome: Outcome) -> None:
        """One start less is under way, and no instance more."""

    def adjust(self) -> None:
        """Whether more are wanted may have changed."""


class Starts:
    """Makes instances for one pool."""

    def __init__(
        self,
        owner: Starter,
        *,
        clock: Clock,
        spawner: Spawner,
        prepare: Prepare,
        limits: InstanceLimits,
        count: Callable[[int], None],
        seat: Seat | None = None,
    ) -> None:
        """`count`: one instance of the node more (+1) or fewer (-1). `seat`: of the template they are forked from."""
        self.under_way = 0
        self.unmade = 0
        """Those under way that have no instance yet."""
        self.ahead = 0
        """Those under way for nobody."""
        self.mean_ms = scale.DEFAULT_START_MS
        self.error = ""
        """Why the last start failed; empty since one went well."""
        self.retry_at_ns = 0
        """Before this time none is made for the sake of a minimum alone."""
        self._owner = owner
        self._clock = clock
        self._now = clock.monotonic_ns
        self._spawner = spawner
        self._prepare = prepare
        self._limits = limits
        self._count = count
        self._seat = seat
        self._short_lives = 0
        self._tasks: set[asyncio.Task[None]] = set()

    def one(self, *, ahead: bool = False) -> None:
        """Begins one more. `ahead`: for nobody yet."""
        self.under_way += 1
        self.unmade += 1
        self.ahead += ahead
        self._count(1)
        task = asyncio.get_running_loop().create_task(self._start(ahead), name=f"start {self._owner.function.name}")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _start(self, ahead: bool) -> None:
        begin = self._now()
        instance: Instance | None = None
        try:
            spec = await self._prepare(self._owner.function)
            instance = self._instance(spec, ahead)
            await instance.start(self._seat.parent() if self._seat is not None else "")
        except failures.StartFailed as failure:
            assert instance is not None
            if self._seat is not None and self._seat.failed(instance, failure.outcome):
                asyncio.get_running_loop().call_soon(self._owner.adjust)  # who waits gets one that is no copy
            else:
                self._failed(failure.outcome)
            return
        except errors.FunctoryError as failure:
            self._failed(failures.system(f"the function's code cannot be prepared: {failure}"))
            return
        except Exception:
            log.exception(
                "An instance could not be started; its caller is told",
                extra=fields("start_instance", function=self._owner.function.name),
            )
            self._failed(failures.system("no instance could be started"))
            return
        finally:
            self.under_way -= 1
            self.ahead -= ahead
            if instance is None:
                self.unmade -= 1
                self._count(-1)
        took_ms = (self._now() - begin) / 1e6
        self.mean_ms += START_WEIGHT * (took_ms - self.mean_ms)
        self.error = ""
        if instance.state is InstanceState.STARTING:
            if self._seat is not None:
                self._seat.started(instance)
            self._owner.started(instance, ahead=ahead)
        else:  # ended while it said hello
            instance.kill()  # the first word may have come too early
            asyncio.get_running_loop().call_soon(self._owner.adjust)

    @property
    def better_later(self) -> bool:
        """One that is made a moment later is forked from the template that is being made."""
        return self._seat is not None and self._seat.making

    def _instance(self, spec: InstanceSpec, ahead: bool) -> Instance:
        owner = self._owner
        instance = Instance(
            spec, owner.function, clock=self._clock, limits=self._limits, spawner=self._spawner, owner=owner
        )
        instance.ahead = ahead
        owner.instances[instance.id] = instance
        self.unmade -= 1
        return instance

    def _failed(self, outcome: Outcome) -> None:
        self.error = outcome.message or outcome.payload[:MAX_ERROR_BYTES].decode("utf-8", "replace") or "?"
        self.retry_at_ns = self._now() + RETRY_NS
        self._owner.start_failed(outcome)
        asyncio.get_running_loop().call_soon(self._owner.adjust)

    def note_life(self, instance: Instance) -> None:
        """Several that end right after they started are replaced no faster than starts that fail."""
        lived_ms = self._clock.now_ms() - instance.created_ms
        self._short_lives = self._short_lives + 1 if lived_ms < RETRY_NS // 1_000_000 else 0
        if self._short_lives > SHORT_LIVES:
            self.retry_at_ns = self._now() + RETRY_NS
