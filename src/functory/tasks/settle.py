"""How a task moves on: its end or its next attempt, and with an end the record of its destination, in one move.

The record of a destination is a row of the delivery lane, keyed by the task's row: so there is at most one for each
end, and as it is part of the move, exactly one for the end that stands. It names the task instead of carrying its
payloads; the task's row is kept longer than any delivery is tried.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from functory.model import errors
from functory.model.invocation import Outcome, Status
from functory.model.task import EMPTY, FAILURE, Content, Failure, TaskState
from functory.queue import base
from functory.queue.base import Group, Item, Lane, Leased, Move, Row
from functory.queue.handler import Overdue
from functory.tasks import head, retry
from functory.tasks.retry import Facts, Next

DAY_MS = 86_400_000
_ENDED_TYPE = {
    TaskState.EXPIRED: "EventAgeExceeded",
    TaskState.STOPPED: "Stopped",
}


class SettleConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How long things are kept and tried."""

    keep_ms: int = 7 * DAY_MS
    """How long an ended task can be looked at, and its id stays taken."""
    delivery_age_ms: int = DAY_MS
    """How long a delivery is tried."""

    def __post_init__(self) -> None:
        if self.keep_ms < self.delivery_age_ms + DAY_MS:
            raise errors.InvalidArgument(
                f"ended tasks are kept for {self.keep_ms} ms, deliveries tried for {self.delivery_age_ms} ms: "
                "a delivery needs the task's row, so tasks must be kept a day longer"
            )


class Settle:
    """Makes moves; writes nothing itself."""

    def __init__(
        self, *, now_ms: Callable[[], int], chance: Callable[[], float], config: SettleConfig | None = None
    ) -> None:
        self._now_ms = now_ms
        self._chance = chance
        self.config = config or SettleConfig()

    def outcome(self, leased: Leased, outcome: Outcome, result: Content) -> Move:
        """What an outcome means for its task. `result`: the answer or the error JSON, stored."""
        if outcome.status is Status.OK:
            return base.move(
                leased,
                TaskState.SUCCEEDED,
                keep_ms=self.config.keep_ms,
                attempts=1,
                instance_id=outcome.instance_id,
                result=result,
                puts=self._delivery(leased, head.decode(leased.head).on_success),
            )
        return self.failure(
            leased,
            FAILURE[outcome.status],
            error_type=outcome.error_type or outcome.status.name,
            error=outcome.message or outcome.payload[: base.MAX_ERROR_CHARS].decode("utf-8", "replace"),
            retry_after_ms=outcome.retry_after_ms,
            instance_id=outcome.instance_id,
            result=result,
        )

    def failure(
        self,
        leased: Leased,
        failure: Failure,
        *,
        error_type: str,
        error: str,
        retry_after_ms: int = 0,
        instance_id: str = "",
        result: Content = EMPTY,
    ) -> Move:
        """What a failure means for its task."""
        rules = head.decode(leased.head)
        facts = Facts(
            leased.attempts,
            leased.deferrals,
            leased.crashes,
            rules.max_retries,
            leased.expires_ms - self._now_ms(),
        )
        next_ = retry.after(failure, facts, self._chance, retry_after_ms=retry_after_ms)
        if next_.to is TaskState.RETRYING:
            return self._again(leased, next_, error_type, error, instance_id)
        return self._end(leased, next_, error_type, error, instance_id, result)

    def overdue(self, row: Row, why: Overdue) -> Move:
        """What becomes of a row that the sweep found."""
        if row.state is TaskState.STOPPING:
            return self.stopped(row)
        if why is Overdue.TOO_OLD:
            return self._end(row, Next(TaskState.EXPIRED), row.error_type, row.error, row.instance_id, EMPTY)
        reason = "the node died with it" if why is Overdue.NODE_DIED else "nobody kept its lease"
        return self.failure(row, Failure.LOST, error_type="WorkerLost", error=f"lost {row.crashes + 1} times: {reason}")

    def stopped(self, row: Leased, *, detail: str = "") -> Move:
        """The end on a caller's wish, of a waiting or a stopping task. It counts as a failure for its destination."""
        return base.move(
            row,
            TaskState.STOPPED,
            keep_ms=self.config.keep_ms,
            detail=detail,
            error_type=_ENDED_TYPE[TaskState.STOPPED],
            error="stopped by a caller",
            puts=self._delivery(row, head.decode(row.head).on_failure),
        )

    def _again(self, leased: Leased, next_: Next, error_type: str, error: str, instance_id: str) -> Move:
        return base.move(
            leased,
            next_.to,
            delay_ms=next_.delay_ms,
            attempts=next_.attempts,
            deferrals=next_.deferrals,
            crashes=next_.crashes,
            detail=f"{error_type}; next attempt in {next_.delay_ms / 1000:g} s",
            error_type=error_type,
            error=error,
            instance_id=instance_id,
        )

    def _end(self, leased: Leased, next_: Next, error_type: str, error: str, instance_id: str, result: Content) -> Move:
        kind = error_type or _ENDED_TYPE.get(next_.to, "")
        return base.move(
            leased,
            next_.to,
            keep_ms=self.config.keep_ms,
            attempts=next_.attempts,
            deferrals=next_.deferrals,
            crashes=next_.crashes,
            detail=_ENDED_TYPE.get(next_.to, kind),
            error_type=kind,
            error=error or "it waited longer than it may",
            instance_id=instance_id,
            result=result,
            puts=self._delivery(leased, head.decode(leased.head).on_failure),
        )

    def _delivery(self, leased: Leased, destination: str) -> tuple[Item, ...]:
        if not destination:
            return ()
        item = Item(
            group=Group(Lane.DELIVERY, leased.group.account_id, destination),
            key=str(leased.id),
            max_age_ms=self.config.delivery_age_ms,
            request_id=leased.request_id,
            qualifier=leased.qualifier,
            head=str(leased.id).encode(),
        )
        return (item,)
