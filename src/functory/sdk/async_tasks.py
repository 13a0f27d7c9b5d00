"""Asynchronous tasks from asynchronous code: the twin of `tasks`, over the same descriptions of calls.

answer = await client.submit("resize", payload).result(wait_s=60)
answers = await asyncio.gather(*(client.submit("resize", one).result() for one in payloads))
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Generator, Iterable, Mapping, Sequence
from typing import Any, Unpack

from functory.sdk import errors, task_asks, task_waits
from functory.sdk.async_transport import AsyncTransport
from functory.sdk.task_answers import Accepted, AsyncTask, Counts, DeadDelivery, Redeliveries, Rerun, TaskPage, Why
from functory.sdk.task_asks import Edit, RerunFilters, SubmitOptions, TaskFilters
from functory.sdk.task_waits import Pace
from functory.sdk.tasks import MAP_AT_ONCE
from functory.sdk.wire import Ask


class AsyncSubmitted:
    """A task that the node has accepted."""

    def __init__(self, tasks: AsyncTasks, function: str, task_id: str, request_id: str) -> None:
        self._tasks = tasks
        self.function = function
        self.task_id = task_id
        self.request_id = request_id

    async def get(self) -> AsyncTask:
        """How it stands now."""
        return await self._tasks.get(self.function, self.task_id)

    async def wait(self, wait_s: float | None = None) -> AsyncTask:
        """The task once it has ended, however it did; `TaskNotEnded` after `wait_s` (None = wait for ever)."""
        return await self._tasks.wait(self.function, self.task_id, wait_s)

    async def result(self, wait_s: float | None = None) -> bytes:
        """What the function answered; raises as `tasks.Submitted.result` does."""
        task_waits.check_succeeded(await self.wait(wait_s))
        return await self._tasks.result(self.function, self.task_id)


class Submission:
    """A task that is being handed over: `await` it and it is durable, or ask for its end at once.

    Nothing is sent before the first `await`; Python warns of one that was never awaited. If that `await` is cancelled
    nobody knows whether the node has the task: submit it again under the same id.
    """

    def __init__(self, tasks: AsyncTasks, function: str, ask: Ask[Accepted]) -> None:
        self._sending = self._send(tasks, function, ask)
        self._sent: asyncio.Task[AsyncSubmitted] | None = None

    def __await__(self) -> Generator[Any, None, AsyncSubmitted]:
        if self._sent is None:
            self._sent = asyncio.ensure_future(self._sending)
        return self._sent.__await__()

    async def wait(self, wait_s: float | None = None) -> AsyncTask:
        """Hands it over, and answers the task once it has ended, however it did."""
        return await (await self).wait(wait_s)

    async def result(self, wait_s: float | None = None) -> bytes:
        """Hands it over, and answers what the function answered; raises as `tasks.Submitted.result` does."""
        return await (await self).result(wait_s)

    @staticmethod
    async def _send(tasks: AsyncTasks, function: str, ask: Ask[Accepted]) -> AsyncSubmitted:
        accepted = await tasks.ask(ask)
        return AsyncSubmitted(tasks, function, accepted.task_id, accepted.request_id)


class AsyncTasks:
    """`client.tasks` of an `AsyncClient`. All arguments are those of `tasks.Tasks`."""

    def __init__(self, transport: AsyncTransport) -> None:
        self.ask = transport.ask

    def submit(self, function: str, payload: bytes | str = b"", **options: Unpack[SubmitOptions]) -> Submission:
        """Hands a task over: durable once the answer is awaited."""
        return Submission(self, function, task_asks.submit(function, payload, **options))

    async def map(
        self,
        function: str,
        payloads: Iterable[bytes | str],
        *,
        at_once: int = MAP_AT_ONCE,
        wait_s: float | None = None,
        qualifier: str = "",
    ) -> AsyncIterator[bytes]:
        """Runs a task for each payload and yields their answers in the order of the payloads, `at_once` at a time."""
        ahead: deque[asyncio.Task[bytes]] = deque()
        try:
            for payload in payloads:
                submission = self.submit(function, payload, qualifier=qualifier)
                ahead.append(asyncio.ensure_future(submission.result(wait_s)))
                if len(ahead) >= at_once:
                    yield await ahead.popleft()
            while ahead:
                yield await ahead.popleft()
        finally:
            for left in ahead:
                left.cancel()
            await asyncio.gather(*ahead, return_exceptions=True)

    async def get(self, function: str, task_id: str) -> AsyncTask:
        """One task with its history."""
        return await self.ask(task_asks.get(function, task_id))

    async def result(self, function: str, task_id: str) -> bytes:
        """What it answered, byte for byte."""
        return await self.ask(task_asks.result(function, task_id))

    async def wait(self, function: str, task_id: str, wait_s: float | None = None) -> AsyncTask:
        """The task once it has ended; `TaskNotEnded` after `wait_s` (None = wait for ever)."""
        pace = Pace(wait_s)
        while True:
            try:
                task = await self.get(function, task_id)
            except errors.SdkError as failure:
                pause_s = pace.after_failure(failure)
            else:
                if task.ended:
                    return task
                pause_s = pace.after(task)
            await asyncio.sleep(pause_s)

    async def page(self, function: str, *, token: str = "", **filters: Unpack[TaskFilters]) -> TaskPage:
        """One page of tasks."""
        return await self.ask(task_asks.page(function, token=token, **filters))

    async def list(self, function: str, **filters: Unpack[TaskFilters]) -> AsyncIterator[AsyncTask]:
        """All tasks that the filters find, fetched page by page."""
        async for page in self._pages(lambda token: task_asks.page(function, token=token, **filters)):
            for task in page.tasks:
                yield task

    async def why(self, function: str, task_id: str) -> Why:
        """Why it waits."""
        return await self.ask(task_asks.why(function, task_id))

    async def summary(self, function: str = "") -> Sequence[Counts]:
        """How many tasks stand where."""
        return (await self.ask(task_asks.summary(function))).functions

    async def stop(self, function: str, task_id: str) -> None:
        """Stops it."""
        await self.ask(task_asks.stop(function, task_id))

    async def rerun(
        self,
        function: str,
        task_id: str,
        *,
        payload: bytes | None = None,
        merge: Mapping[str, Any] | None = None,
        new_id: str = "",
    ) -> AsyncSubmitted:
        """Runs an ended task again, as a new task."""
        accepted = await self.ask(task_asks.rerun(function, task_id, payload=payload, merge=merge, new_id=new_id))
        return AsyncSubmitted(self, function, accepted.task_id, accepted.request_id)

    def rerun_pages(
        self, function: str, *, edit: Edit | None = None, **which: Unpack[RerunFilters]
    ) -> AsyncIterator[Rerun]:
        """Runs again all ended tasks that the filters find, page by page."""
        return self._pages(lambda token: task_asks.rerun_page(function, token=token, **which, **(edit or {})))

    async def dead(self, destination: str = "") -> AsyncIterator[DeadDelivery]:
        """Records of ends that no destination took."""
        async for page in self._pages(lambda token: task_asks.dead_page(destination, token=token)):
            for delivery in page.deliveries:
                yield delivery

    async def redeliver(
        self, delivery: DeadDelivery, *, payload: bytes | None = None, merge: Mapping[str, Any] | None = None
    ) -> bool:
        """Sends a dead delivery again; False if it was sent again before."""
        return (await self.ask(task_asks.redeliver(delivery, payload=payload, merge=merge))).accepted

    def redeliver_pages(self, destination: str = "", *, edit: Edit | None = None) -> AsyncIterator[Redeliveries]:
        """Sends all dead deliveries again, page by page."""
        return self._pages(lambda token: task_asks.redeliver_page(destination, token=token, **(edit or {})))

    async def _pages(self, ask: Callable[[str], Ask[Any]]) -> AsyncIterator[Any]:
        token = ""
        while True:
            page = await self.ask(ask(token))
            yield page
            token = page.next_token
            if not token:
                return
