"""Work that several callers want at once is done once."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Generic, TypeVar

T = TypeVar("T")


async def to_its_end(work: Awaitable[T]) -> T:
    """The answer of `work`. Cancelling waits for it first: what a thread has begun cannot be called back."""
    running = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        await asyncio.wait([running])
        raise


class Shared(Generic[T]):
    """Runs one piece of work per key at a time; who asks meanwhile gets the same answer or error.

    A caller who goes away does not stop the work: others may wait for it, and half of it is worth nothing.
    """

    def __init__(self) -> None:
        self._running: dict[str, asyncio.Task[T]] = {}

    def run(self, key: str, work: Callable[[], Coroutine[Any, Any, T]]) -> Awaitable[T]:
        """The answer of the work under `key`, started now unless it runs already."""
        task = self._running.get(key)
        if task is None:
            task = self._running[key] = asyncio.get_running_loop().create_task(work())
            task.add_done_callback(lambda done: self._forget(key, done))
        return asyncio.shield(task)

    def keys(self) -> set[str]:
        """What runs."""
        return set(self._running)

    async def settled(self, key: str) -> None:
        """Wait until nothing runs under `key`, however it ends."""
        if task := self._running.get(key):
            await asyncio.wait([task])

    async def finish(self) -> None:
        """Wait until nothing runs."""
        while self._running:
            await asyncio.wait(self._running.values())

    async def cancel(self) -> None:
        """Stop what runs, and wait until it has."""
        for task in self._running.values():
            task.cancel()
        await self.finish()

    def _forget(self, key: str, task: asyncio.Task[T]) -> None:
        del self._running[key]
        if not task.cancelled():
            task.exception()  # seen, also if every caller went away
