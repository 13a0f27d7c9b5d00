"""Asynchronous tasks: hand work over, ask what became of it, steer it.

    submitted = client.submit("resize", payload, task_id="photo-17")
    answer = submitted.result(wait_s=60)

`submit` returns once the task is durable: from then on the node runs it, retries it and keeps its answer.
"""

from __future__ import annotations

import base64
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from functory.sdk import errors, signer
from functory.sdk import task_answers as found
from functory.sdk.functions import path_of
from functory.sdk.requests import PREFIX
from functory.sdk.task_answers import AsyncTask, Counts, DeadDelivery, TaskPage, Why
from functory.sdk.transport import Transport

FIRST_PAUSE_S = 0.01
LONGEST_PAUSE_S = 1.0
PAUSE_GROWTH = 1.5


class TaskFailed(errors.SdkError):
    """The task ended without an answer: it failed, grew too old or was stopped."""

    def __init__(self, task: AsyncTask) -> None:
        reason = task.task_error_message or "no reason is known"
        super().__init__(f"task '{task.task_id}' ended {task.status}: {reason}")
        self.task = task


class TaskNotEnded(errors.SdkError):
    """The task goes on; only the wait for it is over."""

    def __init__(self, task: AsyncTask, wait_s: float) -> None:
        super().__init__(f"task '{task.task_id}' is {task.status} after {wait_s:g} s of waiting")
        self.task = task


class Submitted:
    """A task that the node has accepted."""

    def __init__(self, tasks: Tasks, function: str, task_id: str, request_id: str) -> None:
        self._tasks = tasks
        self.function = function
        self.task_id = task_id
        self.request_id = request_id

    def get(self) -> AsyncTask:
        """How it stands now."""
        return self._tasks.get(self.function, self.task_id)

    def wait(self, wait_s: float | None = None) -> AsyncTask:
        """The task once it has ended, however it did; `TaskNotEnded` after `wait_s` (None = wait for ever)."""
        return self._tasks.wait(self.function, self.task_id, wait_s)

    def result(self, wait_s: float | None = None) -> bytes:
        """What the function answered; `TaskFailed`, or `TaskNotEnded` after `wait_s` (None = wait for ever)."""
        task = self.wait(wait_s)
        if not task.succeeded:
            raise TaskFailed(task)
        return self._tasks.result(self.function, self.task_id)


class Tasks:
    """`client.tasks`. Functions and tasks are named by name and id."""

    def __init__(self, transport: Transport, *, pause: Callable[[float], None] = time.sleep) -> None:
        self._transport = transport
        self._pause = pause

    # --- handing over -------------------------------------------------------------------------------------------------

    def submit(
        self,
        function: str,
        payload: bytes | str = b"",
        *,
        task_id: str = "",
        delay_s: float = 0,
        priority: int | None = None,
        qualifier: str = "",
        trace_parent: str = "",
    ) -> Submitted:
        """Hands a task over; it is durable when this returns.

        `task_id`: a second task of the same id is refused (`StatefulAsyncInvocationAlreadyExists`), so that a
        submission that got no answer can be repeated safely; empty = a new one. `priority`: 0 first, 9 last.
        """
        given = {
            "content-type": "application/octet-stream",
            "x-fc-invocation-type": "Async",
            "x-fc-async-task-id": task_id,
            "x-fc-async-delay": f"{delay_s:g}" if delay_s else "",
            "x-fc-async-priority": "" if priority is None else str(priority),
            "traceparent": trace_parent,
        }
        reply = self._transport.call(
            "InvokeFunction",
            "POST",
            f"{path_of(function)}/invocations",
            query={"qualifier": qualifier or None},
            headers={name: value for name, value in given.items() if value},
            body=payload.encode() if isinstance(payload, str) else payload,
        )
        headers = reply.headers
        return Submitted(self, function, headers.get("x-fc-async-task-id", task_id), headers.get("x-fc-request-id", ""))

    # --- looking ------------------------------------------------------------------------------------------------------

    def get(self, function: str, task_id: str) -> AsyncTask:
        """One task with its history; `ApiError` with code `StatefulAsyncInvocationNotFound` if there is none."""
        return self._transport.json(AsyncTask, "GetAsyncTask", "GET", f"{_official(function)}/{_quoted(task_id)}")

    def result(self, function: str, task_id: str) -> bytes:
        """What it answered, byte for byte (the error JSON if it failed); empty if it answered nothing yet."""
        return self._transport.call("GetTaskResult", "GET", f"{_own(function)}/{_quoted(task_id)}/result").body

    def wait(self, function: str, task_id: str, wait_s: float | None = None) -> AsyncTask:
        """The task once it has ended; `TaskNotEnded` after `wait_s` (None = wait for ever).

        It is asked for again and again, with growing pauses: short tasks are seen soon, long ones cost little.
        """
        until = None if wait_s is None else time.monotonic() + wait_s
        pause_s = FIRST_PAUSE_S
        while True:
            task = self.get(function, task_id)
            if task.ended:
                return task
            left_s = LONGEST_PAUSE_S if until is None else until - time.monotonic()
            if left_s <= 0:
                raise TaskNotEnded(task, wait_s or 0)
            self._pause(min(pause_s, left_s))
            pause_s = min(pause_s * PAUSE_GROWTH, LONGEST_PAUSE_S)

    def page(
        self,
        function: str,
        *,
        status: str = "",
        prefix: str = "",
        qualifier: str = "",
        started_from_ms: int = 0,
        started_to_ms: int = 0,
        oldest_first: bool = False,
        with_payload: bool = False,
        limit: int = 100,
        token: str = "",
    ) -> TaskPage:
        """At most `limit` (1-100) tasks in order of acceptance. Bounds of time are inclusive; 0 = none."""
        query: dict[str, str | int | bool | None] = {
            "status": status or None,
            "prefix": prefix or None,
            "qualifier": qualifier or None,
            "startedTimeBegin": started_from_ms or None,
            "startedTimeEnd": started_to_ms or None,
            "sortOrderByTime": "asc" if oldest_first else None,
            "includePayload": True if with_payload else None,
            "limit": limit,
            "nextToken": token or None,
        }
        return self._transport.json(TaskPage, "ListAsyncTasks", "GET", _official(function), query=query)

    def list(self, function: str, **filters: Any) -> Iterator[AsyncTask]:
        """All tasks that `filters` (those of `page`) find, fetched page by page."""
        token = ""
        while True:
            page = self.page(function, token=token, **filters)
            yield from page.tasks
            token = page.next_token
            if not token:
                return

    def why(self, function: str, task_id: str) -> Why:
        """Why it waits."""
        return self._transport.json(Why, "GetTaskWhy", "GET", f"{_own(function)}/{_quoted(task_id)}/why")

    def summary(self, function: str = "") -> Sequence[Counts]:
        """How many tasks stand where, for every function that has tasks, or for one."""
        query = {"function": function or None}
        return self._transport.json(found.Summary, "GetTaskSummary", "GET", f"{PREFIX}/tasks", query=query).functions

    # --- steering -----------------------------------------------------------------------------------------------------

    def stop(self, function: str, task_id: str) -> None:
        """Stops it: at once while it waits, a running one after a grace. `ApiError` if it has ended otherwise."""
        self._transport.call("StopAsyncTask", "PUT", f"{_official(function)}/{_quoted(task_id)}/stop")

    def rerun(self, function: str, task_id: str, *, payload: bytes | None = None, new_id: str = "") -> Submitted:
        """Runs an ended task again, as a new task, with another payload if one is given. The old one stays."""
        content: dict[str, Any] = {"taskId": new_id}
        if payload is not None:
            content["payload"] = base64.b64encode(payload).decode("ascii")
        path = f"{_own(function)}/{_quoted(task_id)}/rerun"
        accepted = self._transport.json(found.Accepted, "RerunTask", "POST", path, content=content)
        return Submitted(self, function, accepted.task_id, accepted.request_id)

    def rerun_many(
        self,
        function: str,
        *,
        statuses: Sequence[str] = ("Failed", "Expired"),
        prefix: str = "",
        started_from_ms: int = 0,
        started_to_ms: int = 0,
    ) -> Iterator[str]:
        """Runs again all ended tasks that the filters find, oldest first; the ids of the new ones.

        Those that are accepted meanwhile, the new ones among them, are left alone.
        """
        content: dict[str, Any] = {
            "status": list(statuses),
            "prefix": prefix,
            "startedTimeBegin": started_from_ms,
            "startedTimeEnd": started_to_ms,
        }
        yield from self._rerun_pages(f"{_own(function)}/rerun", content)

    def _rerun_pages(self, path: str, content: Mapping[str, Any]) -> Iterator[str]:
        token = ""
        while True:
            asked = {**content, "nextToken": token}
            page = self._transport.json(found.Reruns, "RerunTasks", "POST", path, content=asked)
            yield from page.task_ids
            token = page.next_token
            if not token:
                return

    # --- deliveries ---------------------------------------------------------------------------------------------------

    def dead(self) -> Sequence[DeadDelivery]:
        """Records of ended tasks that no destination took."""
        return self._transport.json(found.DeadPage, "ListDeadDeliveries", "GET", f"{PREFIX}/deliveries/dead").deliveries

    def redeliver(self, delivery: DeadDelivery) -> bool:
        """Sends a dead delivery again; False if that was done before."""
        content = {"destination": delivery.destination, "key": delivery.key}
        path = f"{PREFIX}/deliveries/redeliver"
        return self._transport.json(found.Redelivered, "Redeliver", "POST", path, content=content).accepted

    def delivery_secret(self) -> str:
        """What deliveries by HTTP are signed with, to check `x-functory-signature`."""
        return self._transport.json(found.Secret, "GetDeliverySecret", "GET", f"{PREFIX}/deliveries/secret").secret


def _official(function: str) -> str:
    return f"{path_of(function)}/async-tasks"


def _own(function: str) -> str:
    return f"{PREFIX}/functions/{signer.percent_encode(function)}/tasks"


def _quoted(task_id: str) -> str:
    return signer.percent_encode(task_id)
