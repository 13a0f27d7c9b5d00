"""Every queue keeps the promises of `queue.base`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from functory.lifecycle import running
from functory.queue.base import Queue
from functory.queue.memory import MemoryQueue
from functory.testing import checks
from functory.testing.checks import queue as promises
from functory.testing.checks.queue_samples import Check, MakeQueue
from functory.testing.clock import JumpingClock
from functory.testing.queues import sqlite_queue


def sqlite_maker(folder: Path) -> MakeQueue:
    @asynccontextmanager
    async def make(clock: JumpingClock) -> AsyncIterator[Queue]:
        async with sqlite_queue(folder / "functory.db", clock) as queue:
            yield queue

    return make


def memory_maker(_: Path) -> MakeQueue:
    kept: dict[JumpingClock, MemoryQueue] = {}

    @asynccontextmanager
    async def make(clock: JumpingClock) -> AsyncIterator[Queue]:
        queue = kept.setdefault(clock, MemoryQueue(clock=clock))
        async with running(queue):
            yield queue

    return make


MAKERS: dict[str, Callable[[Path], MakeQueue]] = {"memory": memory_maker, "sqlite": sqlite_maker}


@pytest.mark.parametrize("back_end", MAKERS)
@pytest.mark.parametrize("check", promises.CHECKS, ids=checks.name)
async def test_every_queue_keeps_its_promise(check: Check, back_end: str, tmp_path: Path) -> None:
    await check(MAKERS[back_end](tmp_path))
