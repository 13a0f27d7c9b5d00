"""The client for asynchronous code: calls and tasks of one node, many at once."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from types import TracebackType
from typing import Unpack

from functory.sdk import answers, calls, credentials
from functory.sdk.async_tasks import AsyncTasks, Submission
from functory.sdk.async_transport import AsyncTransport
from functory.sdk.task_asks import SubmitOptions
from functory.sdk.tasks import MAP_AT_ONCE


class AsyncClient:
    """Calls and tasks; what manages functions is the blocking `Client`'s. Close it, or use it as a context manager.

    All methods raise as those of `Client` do, and may be used by many coroutines of one loop at once.
    """

    def __init__(self, found: credentials.Credentials, *, timeout_s: float = 60.0) -> None:
        """`timeout_s`: how long a call about tasks may take. Calls of functions are limited by the function's own."""
        self.credentials = found
        self._transport = AsyncTransport(found, timeout_s=timeout_s)
        self.tasks = AsyncTasks(self._transport)

    async def __aenter__(self) -> AsyncClient:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, failure: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close the connections."""
        await self._transport.close()

    async def invoke(
        self,
        name: str,
        payload: bytes | str = b"",
        *,
        qualifier: str = "",
        tail: bool = False,
        trace_parent: str = "",
        wait_s: float | None = None,
    ) -> answers.Invoked:
        """Run the function and wait for its answer, as `Client.invoke`."""
        return await self._transport.ask(
            calls.invoke(name, payload, qualifier=qualifier, tail=tail, trace_parent=trace_parent, wait_s=wait_s)
        )

    def submit(self, name: str, payload: bytes | str = b"", **options: Unpack[SubmitOptions]) -> Submission:
        """Hand a task over: `await client.submit(...)`, or `await client.submit(...).result()` for its answer."""
        return self.tasks.submit(name, payload, **options)

    def map(
        self,
        name: str,
        payloads: Iterable[bytes | str],
        *,
        at_once: int = MAP_AT_ONCE,
        wait_s: float | None = None,
        qualifier: str = "",
    ) -> AsyncIterator[bytes]:
        """Run a task for each payload; their answers in the order of the payloads. See `AsyncTasks.map`."""
        return self.tasks.map(name, payloads, at_once=at_once, wait_s=wait_s, qualifier=qualifier)


def connect_async(*, endpoint: str | None = None, folder: Path | None = None, timeout_s: float = 60.0) -> AsyncClient:
    """An asynchronous client with the credentials that `credentials.find` finds."""
    return AsyncClient(credentials.find(endpoint=endpoint, folder=folder), timeout_s=timeout_s)
