"""Queues for tests: the SQLite one with its own writer and readers, as a node would start them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

from functory.clock import Clock
from functory.lifecycle import running
from functory.queue.sqlite import SqliteQueue
from functory.store.sqlite import connect
from functory.store.sqlite.readers import Readers
from functory.store.sqlite.writer import Writer


@asynccontextmanager
async def sqlite_queue(path: Path, clock: Clock) -> AsyncIterator[SqliteQueue]:
    """The queue in the database `path`, which is made."""
    writer, readers = Writer(partial(connect.writer, path)), Readers(partial(connect.reader, path))
    async with running(writer, readers):
        queue = SqliteQueue(writer, readers, clock=clock)
        async with running(queue):
            yield queue
