"""A few threads that read, each on a connection of its own, so that the loop never waits for the disk."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from queue import SimpleQueue
from typing import TypeVar

import apsw

from functory.model import errors
from functory.store.sqlite import failures

T = TypeVar("T")

COUNT = 2
"""How many reads may run at once."""


class Readers:
    """Runs reads in threads. A read sees one moment of the database, also over several queries."""

    def __init__(self, connect: Callable[[], apsw.Connection]) -> None:
        self._connect = connect
        self._pool: ThreadPoolExecutor | None = None
        self._free: SimpleQueue[apsw.Connection] = SimpleQueue()

    async def start(self) -> None:
        """Open the connections."""
        pool = ThreadPoolExecutor(COUNT, thread_name_prefix="store-reader")
        try:
            for _ in range(COUNT):
                self._free.put(await asyncio.get_running_loop().run_in_executor(pool, self._connect))
        except Exception as failure:
            await self._close(pool)
            error = failures.translate(failure)
            raise error from error.__cause__
        self._pool = pool

    async def stop(self) -> None:
        """Finish what runs, then close."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await self._close(pool)

    async def run(self, job: Callable[[apsw.Connection], T]) -> T:
        """What `job` answers, run in one read transaction."""
        if self._pool is None:
            raise errors.Unavailable("the store is not running")
        return await asyncio.get_running_loop().run_in_executor(self._pool, self._read, job)

    def _read(self, job: Callable[[apsw.Connection], T]) -> T:
        connection = self._free.get()  # never waits: there are as many as threads
        try:
            connection.execute("BEGIN")
            return job(connection)
        except Exception as failure:
            error = failures.translate(failure, connection.system_errno)
            raise error from error.__cause__
        finally:
            if connection.in_transaction:
                connection.execute("COMMIT")
            self._free.put(connection)

    async def _close(self, pool: ThreadPoolExecutor) -> None:
        await asyncio.to_thread(pool.shutdown)
        while not self._free.empty():
            self._free.get().close()
