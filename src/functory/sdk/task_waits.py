"""Waiting for the end of a task: when to ask again, when to give up, and what an end without an answer is called."""

from __future__ import annotations

import time
from collections.abc import Callable

from functory.sdk import errors
from functory.sdk.task_answers import AsyncTask

FIRST_PAUSE_S = 0.01
LONGEST_PAUSE_S = 1.0
PAUSE_GROWTH = 1.5
PATIENCE_S = 30.0
"""A node that does not answer may be starting again: for so long, waiting goes on."""
_PASSING = frozenset({429, 503})


class TaskFailed(errors.SdkError):
    """The task ended without an answer: the function failed and no attempt is left."""

    def __init__(self, task: AsyncTask) -> None:
        reason = task.task_error_message or "no reason is known"
        super().__init__(f"task '{task.task_id}' ended {task.status}: {reason}")
        self.task = task


class TaskExpired(TaskFailed):
    """The task grew older than it may (`maxAsyncEventAgeInSeconds`)."""


class TaskStopped(TaskFailed):
    """Somebody stopped the task."""


class TaskNotEnded(errors.SdkError):
    """The task goes on; only the wait for it is over."""

    def __init__(self, task: AsyncTask, wait_s: float) -> None:
        super().__init__(f"task '{task.task_id}' is {task.status} after {wait_s:g} s of waiting")
        self.task = task


def check_succeeded(task: AsyncTask) -> None:
    """Passes if the function answered; `TaskFailed`, `TaskExpired` or `TaskStopped`."""
    if not task.succeeded:
        raise {"Expired": TaskExpired, "Stopped": TaskStopped}.get(task.status, TaskFailed)(task)


class Pace:
    """One wait: pauses grow, so that short tasks are seen soon and long ones cost little."""

    def __init__(self, wait_s: float | None, *, now: Callable[[], float] = time.monotonic) -> None:
        self._wait_s = wait_s
        self._now = now
        self._until = None if wait_s is None else now() + wait_s
        self._pause_s = FIRST_PAUSE_S
        self._silent_since: float | None = None

    def after(self, task: AsyncTask) -> float:
        """The pause after the task was seen, not ended yet; `TaskNotEnded` when the time is over."""
        self._silent_since = None
        left_s = self._left_s()
        if left_s <= 0:
            raise TaskNotEnded(task, self._wait_s or 0)
        return self._next_s(left_s)

    def after_failure(self, failure: errors.SdkError) -> float:
        """The pause after a call that did not succeed; raises it again if it will not pass or has lasted too long."""
        passing = isinstance(failure, errors.ConnectionFailed)
        said_s = 0.0
        if isinstance(failure, errors.ApiError):
            passing, said_s = failure.status in _PASSING, failure.retry_after_ms / 1000
        if self._silent_since is None:
            self._silent_since = self._now()
        left_s = min(self._left_s(), self._silent_since + PATIENCE_S - self._now())
        if not passing or left_s <= 0:
            raise failure
        return min(left_s, max(said_s, self._next_s(left_s)))

    def _left_s(self) -> float:
        return LONGEST_PAUSE_S if self._until is None else self._until - self._now()

    def _next_s(self, left_s: float) -> float:
        pause_s, self._pause_s = self._pause_s, min(self._pause_s * PAUSE_GROWTH, LONGEST_PAUSE_S)
        return min(pause_s, left_s)
