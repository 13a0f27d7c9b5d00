"""Tasks in memory: the real service over a queue of your choice, with functions that are plain Python.

async with task_node() as node:
    accepted = await node.submit("echo", b"hi")
    task = await node.ended(accepted.task_id)
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from functory.blob.base import Blob
from functory.blob.memory import MemoryBlob
from functory.clock import Clock, SystemClock
from functory.lifecycle import running
from functory.model import errors, ids
from functory.model.invocation import Invocation, Outcome, Pending, Status, resolved
from functory.model.task import ENDED, AsyncConfig, Task, TaskState
from functory.queue.base import Queue
from functory.queue.fair import Limits
from functory.queue.memory import MemoryQueue
from functory.sinks.base import Sink
from functory.sinks.function import FunctionSink
from functory.tasks.accept import Accepted, Submission
from functory.tasks.configs import StoredConfigs
from functory.tasks.service import TaskConfig, TaskService
from functory.testing.clock import settle
from functory.testing.configs import MemoryConfigs

ACCOUNT = "1000000000000001"
Behave = Callable[[Invocation], Outcome | Pending]
"""What a function does: an outcome now, or one later."""
_starts = itertools.count(1)


def ok(payload: bytes = b"ok") -> Outcome:
    """It answered."""
    return Outcome(status=Status.OK, payload=payload, instance_id="c-1")


def failed(status: Status = Status.FUNCTION_ERROR, **facts: Any) -> Outcome:
    """It did not."""
    plain: dict[str, Any] = {"error_type": "UnhandledInvocationError", "payload": b'{"errorMessage":"boom"}'}
    return Outcome(status=status, **plain | facts)


class TaskNode:
    """What a test holds."""

    def __init__(self, behave: Behave, clock: Clock) -> None:
        self.behave = behave
        self.clock = clock
        self.calls: list[Invocation] = []
        """Every invocation, in order."""
        self.cancelled: list[tuple[str, float]] = []
        self.missing: set[str] = set()
        """Functions that do not exist."""
        self.limits: dict[str, Limits] = {}
        self.service: TaskService
        self.queue: Queue
        self.blob: Blob

    def invoke(self, invocation: Invocation) -> Pending:
        """The waist of this node."""
        self.check(invocation.account_id, invocation.function_name, invocation.qualifier)
        self.calls.append(invocation)
        outcome = self.behave(invocation)
        return outcome if isinstance(outcome, Pending) else resolved(outcome)

    def check(self, _account_id: str, name: str, _qualifier: str) -> None:
        """Whether the function is there."""
        if name in self.missing:
            raise errors.FunctionNotFound(name)

    def limits_of(self, _account_id: str, name: str) -> Limits:
        """The function's limits."""
        return self.limits.get(name, Limits())

    def submit(self, name: str, payload: bytes = b"", **more: Any) -> asyncio.Future[Accepted]:
        """Accepts a task."""
        return self.service.submit(Submission(account_id=ACCOUNT, function_name=name, payload=payload, **more))

    async def configure(self, name: str, **changes: Any) -> AsyncConfig:
        """Sets the configuration of a function."""
        config = AsyncConfig(**{"account_id": ACCOUNT, "function_name": name} | changes)
        return await self.service.configs.put(config, now_ms=self.clock.now_ms())

    async def task(self, task_id: str, name: str = "echo") -> Task:
        """A task as it stands."""
        return await self.service.tasks.get(ACCOUNT, name, task_id)

    async def reached(self, task_id: str, *states: TaskState, name: str = "echo") -> Task:
        """The task once it stands in one of these states; it must come there without time moving."""
        for _ in range(2000):
            task = await self.task(task_id, name)
            if task.state in states:
                return task
            await settle()
        raise AssertionError(f"task {task_id} stands in {task.state.name}: {task.events}")

    async def ended(self, task_id: str, name: str = "echo") -> Task:
        """The task once it has ended."""
        return await self.reached(task_id, *ENDED, name=name)


@asynccontextmanager
async def task_node(
    behave: Behave = lambda _: ok(),
    *,
    clock: Clock | None = None,
    queue: Queue | None = None,
    stored_configs: StoredConfigs | None = None,
    blob: Blob | None = None,
    sinks: dict[Any, Sink] | None = None,
    config: TaskConfig | None = None,
    chance: Callable[[], float] = lambda: 0.5,
    node: TaskNode | None = None,
) -> AsyncIterator[TaskNode]:
    """A running task service. `queue` and `blob` are started by their maker, if given."""
    clock = clock or SystemClock()
    node = node or TaskNode(behave, clock)
    async with contextlib.AsyncExitStack() as stack:
        if queue is None:
            queue = MemoryQueue(clock=clock)
            await stack.enter_async_context(running(queue))
        if blob is None:
            blob = MemoryBlob()
            await stack.enter_async_context(running(blob))
        all_sinks: dict[Any, Sink] = dict(sinks or {})
        start = next(_starts)
        node.queue, node.blob = queue, blob
        node.service = TaskService(
            queue,
            blob,
            invoke=node.invoke,
            sinks=all_sinks,
            stored_configs=stored_configs or MemoryConfigs(),
            check_function=node.check,
            new_request_id=ids.request_id_maker(start, clock.now_s),
            chance=chance,
            clock=clock,
            node="n1",
            incarnation=str(start),
            limits_of=node.limits_of,
            cancel=lambda request_id, grace_s: node.cancelled.append((request_id, grace_s)),
            config=config,
        )
        all_sinks.setdefault("function", FunctionSink(node.service.submit_for_sink))
        await stack.enter_async_context(running(node.service))
        yield node
