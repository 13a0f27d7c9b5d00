"""Asynchronous tasks: hand work over, ask what became of it, steer it.

    submitted = client.submit("resize", payload, task_id="photo-17")
    answer = submitted.result(wait_s=60)

`submit` returns once the task is durable: from then on the node runs it, retries it and keeps its answer.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeVar, Unpack

from functory.sdk import errors, task_asks, task_waits
from functory.sdk.task_answers import AsyncTask, Counts, DeadDelivery, Redeliveries, Rerun, TaskPage, Why
from functory.sdk.task_asks import Edit, RerunFilters, SubmitOptions, TaskFilters
from functory.sdk.task_waits import Pace
from functory.sdk.transport import Transport
from functory.sdk.wire import Ask

MAP_AT_ONCE = 100
T = TypeVar("T")


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
        """What the function answered.

        `TaskFailed`, `TaskExpired` or `TaskStopped` if it ended otherwise; `TaskNotEnded` after `wait_s` (None = wait
        for ever): the task goes on all the same.
        """
        task_waits.check_succeeded(self.wait(wait_s))
        return self._tasks.result(self.function, self.task_id)


class Tasks:
    """`client.tasks`. Functions and tasks are named by name and id."""

    def __init__(self, transport: Transport, *, pause: Callable[[float], None] = time.sleep) -> None:
        self._transport = transport
        self._pause = pause

    # --- handing over -------------------------------------------------------------------------------------------------

    def submit(self, function: str, payload: bytes | str = b"", **options: Unpack[SubmitOptions]) -> Submitted:
        """Hands a task over; it is durable when this returns. `task_asks.SubmitOptions` says what `options` mean.

        `ApiError` with code `StatefulAsyncInvocationAlreadyExists` if there is a task of this id.
        """
        accepted = self._transport.ask(task_asks.submit(function, payload, **options))
        return Submitted(self, function, accepted.task_id, accepted.request_id)

    def map(
        self,
        function: str,
        payloads: Iterable[bytes | str],
        *,
        at_once: int = MAP_AT_ONCE,
        wait_s: float | None = None,
        qualifier: str = "",
    ) -> Iterator[bytes]:
        """Runs a task for each payload and yields their answers, in the order of the payloads.

        `at_once`: how many are handed over ahead of the one that is waited for. `wait_s`: for each. The first that
        does not succeed raises what `Submitted.result` raises.
        """
        ahead: deque[Submitted] = deque()
        for payload in payloads:
            ahead.append(self.submit(function, payload, qualifier=qualifier))
            if len(ahead) >= at_once:
                yield ahead.popleft().result(wait_s)
        while ahead:
            yield ahead.popleft().result(wait_s)

    # --- looking ------------------------------------------------------------------------------------------------------

    def get(self, function: str, task_id: str) -> AsyncTask:
        """One task with its history; `ApiError` with code `StatefulAsyncInvocationNotFound` if there is none."""
        return self._transport.ask(task_asks.get(function, task_id))

    def result(self, function: str, task_id: str) -> bytes:
        """What it answered, byte for byte (the error JSON if it failed); empty if it answered nothing yet."""
        return self._transport.ask(task_asks.result(function, task_id))

    def wait(self, function: str, task_id: str, wait_s: float | None = None) -> AsyncTask:
        """The task once it has ended; `TaskNotEnded` after `wait_s` (None = wait for ever).

        It is asked for again and again, with growing pauses. A node that does not answer is asked for another 30 s.
        """
        pace = Pace(wait_s)
        while True:
            try:
                task = self.get(function, task_id)
            except errors.SdkError as failure:
                pause_s = pace.after_failure(failure)
            else:
                if task.ended:
                    return task
                pause_s = pace.after(task)
            self._pause(pause_s)

    def page(self, function: str, *, token: str = "", **filters: Unpack[TaskFilters]) -> TaskPage:
        """One page of tasks, in order of acceptance, newest first unless `oldest_first`."""
        return self._transport.ask(task_asks.page(function, token=token, **filters))

    def list(self, function: str, **filters: Unpack[TaskFilters]) -> Iterator[AsyncTask]:
        """All tasks that the filters find, fetched page by page."""
        for page in self._pages(lambda token: task_asks.page(function, token=token, **filters)):
            yield from page.tasks

    def why(self, function: str, task_id: str) -> Why:
        """Why it waits."""
        return self._transport.ask(task_asks.why(function, task_id))

    def summary(self, function: str = "") -> Sequence[Counts]:
        """How many tasks stand where, for every function that has tasks, or for one."""
        return self._transport.ask(task_asks.summary(function)).functions

    # --- steering -----------------------------------------------------------------------------------------------------

    def stop(self, function: str, task_id: str) -> None:
        """Stops it: at once while it waits, a running one after a grace. `ApiError` if it has ended otherwise."""
        self._transport.ask(task_asks.stop(function, task_id))

    def rerun(
        self,
        function: str,
        task_id: str,
        *,
        payload: bytes | None = None,
        merge: Mapping[str, Any] | None = None,
        new_id: str = "",
    ) -> Submitted:
        """Runs an ended task again, as a new task, with its payload, another or an edited one. The old one stays."""
        accepted = self._transport.ask(task_asks.rerun(function, task_id, payload=payload, merge=merge, new_id=new_id))
        return Submitted(self, function, accepted.task_id, accepted.request_id)

    def rerun_pages(self, function: str, *, edit: Edit | None = None, **which: Unpack[RerunFilters]) -> Iterator[Rerun]:
        """Runs again all ended tasks that the filters find, page by page.

        Each is run again once: those that were before are skipped, so the whole may be repeated. Those that are
        accepted meanwhile, the new ones among them, are left alone.
        """
        return self._pages(lambda token: task_asks.rerun_page(function, token=token, **which, **(edit or {})))

    def rerun_many(self, function: str, *, edit: Edit | None = None, **which: Unpack[RerunFilters]) -> Iterator[str]:
        """As `rerun_pages`: the ids of the new tasks."""
        for page in self.rerun_pages(function, edit=edit, **which):
            yield from page.task_ids

    # --- deliveries ---------------------------------------------------------------------------------------------------

    def dead(self, destination: str = "") -> Iterator[DeadDelivery]:
        """Records of ended tasks that no destination took and that were not sent again, fetched page by page."""
        for page in self._pages(lambda token: task_asks.dead_page(destination, token=token)):
            yield from page.deliveries

    def redeliver(
        self, delivery: DeadDelivery, *, payload: bytes | None = None, merge: Mapping[str, Any] | None = None
    ) -> bool:
        """Sends a dead delivery again, with another body or an edited one; False if it was sent again before."""
        return self._transport.ask(task_asks.redeliver(delivery, payload=payload, merge=merge)).accepted

    def redeliver_pages(self, destination: str = "", *, edit: Edit | None = None) -> Iterator[Redeliveries]:
        """Sends all dead deliveries again, or those of one destination, page by page."""
        return self._pages(lambda token: task_asks.redeliver_page(destination, token=token, **(edit or {})))

    def delivery_secret(self) -> str:
        """What deliveries by HTTP are signed with, to check `x-functory-signature`."""
        return self._transport.ask(task_asks.delivery_secret()).secret

    def _pages(self, ask: Callable[[str], Ask[Any]]) -> Iterator[Any]:
        token = ""
        while True:
            page = self._transport.ask(ask(token))
            yield page
            token = page.next_token
            if not token:
                return
