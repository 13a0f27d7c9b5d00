"""All parts of asynchronous tasks, put together. A Service: start it after the queue and before the gateway.

service = TaskService(queue, blob, invoke=..., sinks=..., ...)
accepted = await service.submit(Submission(...))      # the 202
task = await service.tasks.get(account, function, accepted.task_id)
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from functory import lifecycle
from functory.blob.base import Blob
from functory.clock import Clock
from functory.model.invocation import Invoke
from functory.model.task import MAX_AGE_S
from functory.queue.base import Group, Lane, Queue
from functory.queue.fair import Limits
from functory.queue.pump import Pump, PumpConfig
from functory.sinks.base import Sinks
from functory.tasks.accept import Accept, AcceptConfig, Accepted, Submission
from functory.tasks.bodies import Bodies
from functory.tasks.configs import Configs, StoredConfigs
from functory.tasks.deliver import Deliver, DeliverConfig
from functory.tasks.dispatch import Cancel, Dispatch, DispatchConfig
from functory.tasks.letters import Letters
from functory.tasks.progress import Progress
from functory.tasks.redrive import Redrive
from functory.tasks.settle import Settle, SettleConfig
from functory.tasks.tasks import Tasks

COLLECT_S = 6 * 3600


class TaskConfig(msgspec.Struct, frozen=True, kw_only=True):
    """All settings of tasks."""

    region: str = "local"
    pump: PumpConfig = PumpConfig()
    deliveries: PumpConfig = PumpConfig(capacity=64)
    accept: AcceptConfig = AcceptConfig()
    dispatch: DispatchConfig = DispatchConfig()
    settle: SettleConfig = SettleConfig()
    delivery_concurrency: int = 16


def default_limits(_account_id: str, _function_name: str) -> Limits:
    """The same for every function."""
    return Limits()


def no_cancel(_request_id: str, _grace_s: float) -> None:
    """Where runs cannot be ended from outside: they end by their own deadline, and a stop takes its grace."""


class TaskService:
    """Accepts tasks, runs them, delivers their ends.

    `node` is the same for all starts of this node, `incarnation` differs per start. `chance` answers numbers from 0 up
    to 1. `check_function` raises what a call of a function would raise. `sinks` may be filled after this object is made
    (the function sink needs its `submit`), but before `start`.
    """

    def __init__(
        self,
        queue: Queue,
        blob: Blob,
        *,
        invoke: Invoke,
        sinks: Sinks,
        stored_configs: StoredConfigs,
        check_function: Callable[[str, str, str], object],
        new_request_id: Callable[[], str],
        chance: Callable[[], float],
        clock: Clock,
        node: str,
        incarnation: str,
        limits_of: Callable[[str, str], Limits] = default_limits,
        cancel: Cancel = no_cancel,
        config: TaskConfig | None = None,
    ) -> None:
        config = config or TaskConfig()
        self._clock = clock
        self._config = config
        self._queue = queue
        self._sinks = sinks
        self._bodies = Bodies(blob, now_ms=queue.now_ms)
        self.configs = Configs(stored_configs)
        settle = Settle(now_ms=queue.now_ms, chance=chance, config=config.settle)
        self._progress = Progress(queue, clock=clock)
        self._dispatch = Dispatch(
            invoke=invoke,
            bodies=self._bodies,
            settle=settle,
            clock=clock,
            limits_of=limits_of,
            cancel=cancel,
            config=config.dispatch,
            said=self._progress.said,
        )
        owner = f"{node}/{incarnation}"
        self.pump = Pump(
            queue, self._dispatch, lane=Lane.TASK, node=f"{node}/", owner=owner, clock=clock, config=config.pump
        )
        self._dispatch.pump = self.pump
        letters = Letters(queue, self._bodies, region=config.region)
        self._deliver = Deliver(
            queue,
            letters,
            sinks,
            chance=chance,
            config=DeliverConfig(concurrency=config.delivery_concurrency, keep_ms=config.settle.keep_ms),
        )
        self.deliveries = Pump(
            queue, self._deliver, lane=Lane.DELIVERY, node=f"{node}/", owner=owner, clock=clock,
            config=config.deliveries,
        )  # fmt: skip
        self._deliver.pump = self.deliveries
        self._accept = Accept(
            queue,
            self._bodies,
            self.pump,
            check_function=check_function,
            config_of=self.configs.find,
            new_request_id=new_request_id,
            config=config.accept,
        )
        redrive = Redrive(queue, self._bodies, self._accept, letters)
        self.tasks = Tasks(queue, self._bodies, settle, redrive, self.pump, limits_of=limits_of)
        self._collector: asyncio.Task[None] | None = None
        self._started: list[lifecycle.Service] = []

    async def start(self) -> None:
        """Configurations first, then what earlier starts left behind, then work."""
        services: list[lifecycle.Service] = [self.configs, *self._sinks.values(), self.deliveries, self.pump]
        await lifecycle.start_all(services)
        self._started = services
        self._collector = asyncio.get_running_loop().create_task(self._collect(), name="task blobs")

    async def stop(self) -> None:
        """Hand back what runs; accept nothing more after the gateway is closed."""
        collector, self._collector = self._collector, None
        if collector is not None:
            collector.cancel()
            await asyncio.wait([collector])
        self._progress.stop()
        started, self._started = self._started, []
        await lifecycle.stop_all(started)
        await self._dispatch.close()
        await self._deliver.close()

    def submit(self, submission: Submission) -> asyncio.Future[Accepted]:
        """Raises a refusal at once; else the future is done once the task is durable: then, and only then, say 202."""
        return self._accept.submit(submission)

    async def submit_for_sink(
        self, account_id: str, function_name: str, qualifier: str, payload: bytes, task_id: str, hops: int
    ) -> None:
        """What `sinks.function.FunctionSink` is made with."""
        await self.submit(
            Submission(
                account_id=account_id,
                function_name=function_name,
                qualifier=qualifier,
                payload=payload,
                task_id=task_id,
                hops=hops,
                by_platform=True,
            )
        )

    def statistics(self) -> dict[str, int]:
        """Numbers of this start."""
        return {
            "running": self.pump.in_flight,
            "fenced": self.pump.fenced,
            "delivering": self.deliveries.in_flight,
        }

    async def backlog(self, account_id: str, function_name: str) -> int:
        """How many tasks of a function wait."""
        counts = await self._queue.counts(Group(Lane.TASK, account_id, function_name))
        return sum(count for state, count in counts.items() if state < 2)

    async def _collect(self) -> None:
        """Blobs whose rows cannot be there any more: of uploads that never became a row, or cut off while dropping."""
        while True:
            await self._clock.sleep(COLLECT_S)
            longest = 2 * (self._config.settle.keep_ms + MAX_AGE_S * 1000)
            await self._bodies.collect(self._queue.now_ms() - longest)
