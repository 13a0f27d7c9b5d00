"""What the node answers about tasks, as typed values."""

from __future__ import annotations

from typing import Any

import msgspec

from functory.sdk.answers import Answer

ENDED = frozenset({"Succeeded", "Failed", "Expired", "Stopped"})


class TaskEvent(Answer, frozen=True, kw_only=True):
    """One line of a task's history."""

    event_id: int = 0
    status: str = ""
    timestamp: int = 0
    """Milliseconds since 1970."""
    event_detail: str = ""


class AsyncTask(Answer, frozen=True, kw_only=True):
    """A task as GetAsyncTask answers it. Times are milliseconds since 1970; 0 = not yet."""

    task_id: str
    request_id: str = ""
    function_arn: str = ""
    qualifier: str = ""
    status: str = ""
    """Enqueued, Retrying, Running, Stopping, or how it ended: Succeeded, Failed, Expired, Stopped."""
    started_time: int = 0
    """When it started first; while it has not, when it was accepted."""
    end_time: int = 0
    duration_ms: int = 0
    already_retried_times: int = 0
    instance_id: str = ""
    task_error_message: str = ""
    task_payload: str = ""
    return_payload: str = ""
    destination_status: str = ""
    events: list[TaskEvent] = msgspec.field(default_factory=list)
    progress: Any = None
    """What the function last said by `context.progress`; None if nothing."""

    @property
    def ended(self) -> bool:
        """Nothing will change any more."""
        return self.status in ENDED

    @property
    def succeeded(self) -> bool:
        """The function answered."""
        return self.status == "Succeeded"


class TaskPage(Answer, frozen=True, kw_only=True):
    """One page of tasks."""

    tasks: list[AsyncTask] = msgspec.field(default_factory=list)
    next_token: str = ""


class Why(Answer, frozen=True, kw_only=True):
    """Why a task waits, or that it does not."""

    status: str = ""
    reason: str = ""
    """A stable word: Ended, Running, Delayed, Backoff, ConcurrencyLimit, RateLimit, InLine, Next."""
    message: str = ""
    ahead: int = 0
    wait_ms: int = 0


class Counts(Answer, frozen=True, kw_only=True):
    """How many tasks of a function stand in each state; states without any are left out."""

    function_name: str
    counts: dict[str, int] = msgspec.field(default_factory=dict)


class Summary(Answer, frozen=True, kw_only=True):
    """Counts of all functions that have tasks."""

    functions: list[Counts] = msgspec.field(default_factory=list)


class DeadDelivery(Answer, frozen=True, kw_only=True):
    """A record that no destination took."""

    destination: str
    key: str
    request_id: str = ""
    """Of the task that it tells of."""
    status: str = ""
    error: str = ""
    attempts: int = 0
    created_time: int = 0
    end_time: int = 0


class DeadPage(Answer, frozen=True, kw_only=True):
    """One page of dead deliveries, newest first for each destination."""

    deliveries: list[DeadDelivery] = msgspec.field(default_factory=list)
    next_token: str = ""


class Accepted(Answer, frozen=True, kw_only=True):
    """A task that was accepted."""

    task_id: str = ""
    request_id: str = ""


class SkippedTask(Answer, frozen=True, kw_only=True):
    """A task that was left out when many were run again."""

    task_id: str
    reason: str = ""


class Rerun(Answer, frozen=True, kw_only=True):
    """What one page of running again did."""

    task_ids: list[str] = msgspec.field(default_factory=list)
    """Of the new tasks."""
    skipped: list[SkippedTask] = msgspec.field(default_factory=list)
    next_token: str = ""
    """Where the next page goes on; empty at the end."""


class SkippedDelivery(Answer, frozen=True, kw_only=True):
    """A delivery that was left out when many were sent again."""

    key: str
    reason: str = ""


class Redeliveries(Answer, frozen=True, kw_only=True):
    """What one page of sending again did."""

    keys: list[str] = msgspec.field(default_factory=list)
    """Of the new deliveries."""
    skipped: list[SkippedDelivery] = msgspec.field(default_factory=list)
    next_token: str = ""


class Redelivered(Answer, frozen=True, kw_only=True):
    """Whether a delivery was sent again; false if that was done before."""

    accepted: bool = False


class Secret(Answer, frozen=True, kw_only=True):
    """What deliveries are signed with."""

    secret: str
