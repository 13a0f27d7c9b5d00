"""The handler of the delivery lane: records of destinations, written with the ends of tasks, go out through sinks.

A record is Succeeded once its sink took it, Failed where that will never be, Expired when it was tried for too long;
the last two are dead letters, which can be listed and sent again.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

import msgspec

from functory.model import errors
from functory.model.task import Failure, TaskState
from functory.observe.logs import fields
from functory.queue import base
from functory.queue.base import Group, Leased, Move, Queue, Row
from functory.queue.fair import Limits
from functory.queue.handler import Overdue
from functory.sinks import base as sinks
from functory.sinks.base import Delivery, NotNow, Sinks, Undeliverable
from functory.tasks import head, retry
from functory.tasks.dispatch import Finish
from functory.tasks.letters import Letters
from functory.tasks.retry import Facts

log = logging.getLogger("functory.tasks")

UNLIMITED = 1 << 30


class DeliverConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How deliveries are made."""

    concurrency: int = 16
    """Deliveries to one destination at once."""
    keep_ms: int = 7 * 86_400_000
    """How long a delivery can be looked at once it has ended."""


class Deliver:
    """`queue.handler.Handler` for deliveries. `pump` is set before the first `run`."""

    pump: Finish

    def __init__(
        self,
        queue: Queue,
        letters: Letters,
        sinks: Sinks,
        *,
        chance: Callable[[], float],
        config: DeliverConfig,
    ) -> None:
        self._queue = queue
        self._letters = letters
        self._sinks = sinks
        self._chance = chance
        self._config = config
        self._jobs: dict[int, asyncio.Task[None]] = {}

    def limits(self, group: Group) -> Limits:
        """The same for every destination."""
        return Limits(concurrency=self._config.concurrency, account_concurrency=UNLIMITED)

    def run(self, leased: Leased) -> None:
        """Begin."""
        job = asyncio.get_running_loop().create_task(self._run(leased))
        self._jobs[leased.id] = job
        job.add_done_callback(lambda ended: self._forget(leased.id, ended))

    def overdue(self, row: Row, why: Overdue) -> Move:
        """Too old: dead. Lost: whoever held it died or forgot it; sending again is harmless."""
        if row.state is TaskState.STOPPING:
            return self.stopped(row)
        if why is Overdue.TOO_OLD:
            return self._end(row, TaskState.EXPIRED, row.error or "never tried", "EventAgeExceeded")
        return base.move(row, TaskState.RETRYING, crashes=1, detail=str(why), error=row.error)

    def stop(self, leased: Leased) -> None:
        """End it."""
        self.pump.finish(leased, self.stopped(leased))
        self.abandon(leased)

    def stopped(self, leased: Leased) -> Move:
        """The end on a caller's wish."""
        return base.move(leased, TaskState.STOPPED, keep_ms=self._config.keep_ms)

    def abandon(self, leased: Leased) -> None:
        """End what runs for nothing."""
        job = self._jobs.pop(leased.id, None)
        if job is not None:
            job.cancel()

    def dropped(self, refs: Sequence[str]) -> None:
        """An edited record that was kept in a blob is found by its day (`Bodies.collect`): they are few."""

    async def close(self) -> None:
        """End what still runs; its rows were handed back."""
        jobs = list(self._jobs.values())
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)

    # --- one delivery -------------------------------------------------------------------------------------------------

    async def _run(self, leased: Leased) -> None:
        try:
            delivery = await self._delivery(leased)
            target = sinks.parse(delivery.destination)
            await self._sinks[target.kind].deliver(delivery)
        except (Undeliverable, errors.InvalidArgument, errors.TaskNotFound, errors.StorageCorrupt, KeyError) as refusal:
            self._finish(leased, self._end(leased, TaskState.FAILED, str(refusal), "Undeliverable"))
        except NotNow as failure:
            self._again(leased, str(failure), failure.retry_after_ms)
        except Exception as failure:
            log.exception("A delivery failed unexpectedly", extra=fields("deliver", to=leased.group.name))
            self._again(leased, f"{type(failure).__name__}: {failure}", 0)
        else:
            self.pump.succeeded(leased.group)
            self._finish(leased, base.ack(leased, keep_ms=self._config.keep_ms))

    async def _delivery(self, leased: Leased) -> Delivery:
        task = await self._letters.task_of(leased)
        rules, again = head.decode(task.head), leased.key != str(task.id)
        return Delivery(
            id=f"{task.id}-{leased.key}" if again else str(task.id),
            account_id=leased.group.account_id,
            destination=leased.group.name,
            body=await self._letters.body(leased, task),
            trace_parent=rules.trace_parent,
            hops=0 if again else rules.hops,  # who sends it again by hand means it
        )

    def _again(self, leased: Leased, error: str, retry_after_ms: int) -> None:
        """Full jitter, and fewer at once: a destination that comes back is not run over."""
        left_ms = leased.expires_ms - self._queue.now_ms()
        facts = Facts(leased.attempts, leased.deferrals, leased.crashes, UNLIMITED, left_ms)
        next_ = retry.after(Failure.USER, facts, self._chance, retry_after_ms=retry_after_ms)
        self.pump.throttled(leased.group, 0)
        if next_.to is not TaskState.RETRYING:
            self._finish(leased, self._end(leased, next_.to, error, "EventAgeExceeded"))
            return
        detail = f"{error}; next attempt in {next_.delay_ms / 1000:g} s"
        move = base.move(
            leased, next_.to, delay_ms=next_.delay_ms, attempts=1, detail=detail, error=error, error_type="NotNow"
        )
        self._finish(leased, move)

    def _end(self, leased: Leased, to: TaskState, error: str, error_type: str) -> Move:
        return base.move(
            leased, to, keep_ms=self._config.keep_ms, attempts=1, detail=error, error=error, error_type=error_type
        )

    def _finish(self, leased: Leased, move: Move) -> None:
        self.pump.finish(leased, move)

    def _forget(self, id_: int, ended: asyncio.Task[None]) -> None:
        if self._jobs.get(id_) is ended:
            del self._jobs[id_]
