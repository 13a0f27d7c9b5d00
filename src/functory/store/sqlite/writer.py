"""The one thread that writes, with group commit.

1  a caller on the loop hands in a job, a function of the connection, and awaits its future
2  the thread takes what has gathered: at most 256 jobs; it waits for more for at most 2 ms
3  one transaction: each job in a savepoint, so that one that fails cannot disturb its neighbours
4  one commit, one fsync
5  one call back to the loop resolves the futures of the whole group

How long to wait: as long as the group is smaller than the last one was. Callers that were answered together come back
together, a moment after the answer; a lone caller is not held up, but for one 2 ms wait after a burst.
"""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections import deque
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

import apsw

from functory.model import errors
from functory.store.sqlite import failures

T = TypeVar("T")
Job = Callable[[apsw.Connection], T]

MOST = 256
"""The most jobs in one commit."""
WAIT_S = 0.002
"""The longest wait for more jobs, in seconds."""


class _Write(NamedTuple):
    job: Job[Any]
    future: asyncio.Future[Any]


class _Answer(NamedTuple):
    future: asyncio.Future[Any]
    result: Any
    error: errors.FunctoryError | None


class Writer:
    """Runs jobs on one connection in one thread; a job's result is given once it is durable."""

    def __init__(self, connect: Callable[[], apsw.Connection]) -> None:
        self._connect = connect
        self._thread: threading.Thread | None = None
        self._changed = threading.Condition()
        self._waiting: deque[_Write] = deque()
        self._wanted = 1
        self._open = False  # whether callers may hand in jobs
        self._ending = False  # whether the thread ends once nothing waits

    async def start(self) -> None:
        """Return once the connection stands."""
        self._loop = asyncio.get_running_loop()
        self._ending = False
        ready: asyncio.Future[None] = self._loop.create_future()
        self._thread = threading.Thread(target=self._run, args=(ready,), name="store-writer", daemon=True)
        self._thread.start()
        await ready
        self._open = True

    async def stop(self) -> None:
        """Refuse new jobs, finish those that wait, close the connection."""
        with self._changed:
            self._open, self._ending = False, True
            self._changed.notify()
        thread, self._thread = self._thread, None
        if thread is not None:
            await asyncio.to_thread(thread.join)

    def submit(self, job: Job[T]) -> asyncio.Future[T]:
        """The future of a job's result; called on the loop. Cancelling it does not take the job back."""
        if not self._open:
            raise errors.Unavailable("the store is not running")
        future: asyncio.Future[T] = self._loop.create_future()
        with self._changed:
            self._waiting.append(_Write(job, future))
            if len(self._waiting) >= self._wanted:
                self._changed.notify()
        return future

    def _run(self, ready: asyncio.Future[None]) -> None:
        try:
            connection = self._connect()
        except BaseException as failure:
            self._tell([_Answer(ready, None, failures.translate(failure))])
            return
        self._tell([_Answer(ready, None, None)])
        last = 1
        try:
            while group := self._next_group(last):
                self._tell(commit(connection, group))
                last = len(group)
        finally:
            connection.close()

    def _next_group(self, last: int) -> list[_Write]:
        """The next jobs to commit together; empty once the writer ends and nothing waits."""
        with self._changed:
            self._wanted = 1
            self._changed.wait_for(lambda: self._waiting or self._ending)
            self._wanted = last
            self._changed.wait_for(lambda: len(self._waiting) >= last or self._ending, WAIT_S)
            return [self._waiting.popleft() for _ in range(min(MOST, len(self._waiting)))]

    def _tell(self, answers: list[_Answer]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(_resolve, answers)


def _resolve(answers: list[_Answer]) -> None:
    for future, result, error in answers:
        if future.done():
            continue  # its caller was cancelled
        if error is None:
            future.set_result(result)
        else:
            future.set_exception(error)


def commit(connection: apsw.Connection, group: list[_Write]) -> list[_Answer]:
    """Commit a group, and say how each of its jobs went.

    A failure of the transaction itself (a full disk) is nobody's in particular: then each job is tried alone, so that
    small ones succeed beside one that does not fit.
    """
    try:
        connection.execute("BEGIN IMMEDIATE")
        answers = [_attempt(connection, write) for write in group]
        connection.execute("COMMIT")
    except Exception as failure:
        reason = connection.system_errno
        if connection.in_transaction:
            with contextlib.suppress(apsw.Error):
                connection.execute("ROLLBACK")
        if len(group) > 1 and isinstance(failures.translate(failure, reason), errors.StorageFull):
            return [answer for write in group for answer in commit(connection, [write])]
        return [_Answer(write.future, None, failures.translate(failure, reason)) for write in group]
    return answers


def _attempt(connection: apsw.Connection, write: _Write) -> _Answer:
    connection.execute("SAVEPOINT request")
    try:
        result = write.job(connection)
    except Exception as failure:
        if not connection.in_transaction:
            raise  # SQLite took back the whole transaction
        connection.execute("ROLLBACK TO request; RELEASE request")
        return _Answer(write.future, None, failures.translate(failure, connection.system_errno))
    connection.execute("RELEASE request")
    return _Answer(write.future, result, None)
