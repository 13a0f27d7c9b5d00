"""One database in memory that outlives the nodes, and what reads and writes it on virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable
from typing import Any, TypeVar

import apsw

from functory.model import errors
from functory.store import queries
from functory.store.sqlite import failures
from functory.testing.simulation.faults import Broken, Faults
from functory.testing.virtual import VirtualLoop

T = TypeVar("T")

LIMIT = 3
"""The most slots of a function."""


class Disk:
    """One database that outlives the nodes, and the laws that hold after each commit."""

    def __init__(self, rng: random.Random, faults: Faults) -> None:
        self.rng = rng
        self.faults = faults
        self.healed = False
        self.connection = apsw.Connection(":memory:")
        self.connection.deserialize("main", _schema())
        self._ends: dict[int, tuple[Any, ...]] = {}
        self._changes = 0
        self.commits = 0
        self.unstored = 0
        """What a full disk has refused: ends may be among it, whose rows seem to run until they are tried again."""

    def check(self) -> None:
        """Laws 2 and 4."""
        self.commits += 1
        changes = self.connection.total_changes()
        if changes == self._changes:
            return  # most sweeps find nothing: as it was, it is lawful
        self._changes = changes
        ends: dict[int, tuple[Any, ...]] = {}
        for id_, *end in self.connection.execute(_ENDS):
            ends[id_] = tuple(end)
        for id_, end in self._ends.items():
            if ends.get(id_) != end:
                raise Broken(f"the end of row {id_} was {end} and is {ends.get(id_)}")
        self._ends = ends
        for group_id, count in self.connection.execute(_SLOTS):
            if count > LIMIT and not self.unstored:
                raise Broken(f"group {group_id} holds {count} slots; {LIMIT} are allowed")


_ENDS = "SELECT id, state, ended_ms, result, error_type, history FROM queue WHERE state >= 10"
_SLOTS = "SELECT group_id, count(*) FROM queue WHERE state IN (2, 3) AND lane = 1 GROUP BY group_id"
_image: list[bytes] = []


def _schema() -> bytes:
    if not _image:
        connection = apsw.Connection(":memory:")
        for step in queries.migrations():
            connection.execute(step.sql)
        _image.append(connection.serialize("main"))
        connection.close()
    return _image[0]


class SimWriter:
    """Group commit as the real writer's, on virtual time. `queue.sqlite.database.Writes`."""

    def __init__(self, disk: Disk, loop: VirtualLoop) -> None:
        self._disk = disk
        self._loop = loop
        self._waiting: list[tuple[Callable[[apsw.Connection], Any], asyncio.Future[Any]]] = []
        self._busy = False
        self._frozen = False
        self.dead = False

    def submit(self, job: Callable[[apsw.Connection], T]) -> asyncio.Future[T]:
        """The future of a job's result."""
        future: asyncio.Future[T] = self._loop.create_future()
        if not self.dead:
            self._waiting.append((job, future))
            self._go_on()
        return future

    def freeze(self, *, lose: bool) -> None:
        """Nothing is written until it thaws. `lose`: what was being written is lost, as one file has one process."""
        if lose:
            self._waiting.clear()
        self._frozen = True

    def thaw(self) -> None:
        """What waited is written now."""
        self._frozen = False
        self._go_on()

    def _go_on(self) -> None:
        if self._waiting and not self._busy and not self._frozen:
            self._busy = True
            self._loop.call_later(self._delay_s(), self._commit)

    def crash(self, *, after_commit: bool) -> None:
        """The process is gone: what waits is lost, or stored without an answer."""
        if after_commit:
            self._run()
        self._waiting.clear()
        self.dead = True

    def _delay_s(self) -> float:
        rng = self._disk.rng
        stalls = not self._disk.healed and rng.random() < self._disk.faults.stall
        return rng.uniform(0.5, 12) if stalls else rng.uniform(0.0002, 0.01)

    def _commit(self) -> None:
        self._busy = False
        if self.dead or self._frozen:
            return
        answers = self._run()
        for future, result, failure in answers:
            if future.done():
                continue
            if failure is None:
                future.set_result(result)
            else:
                future.set_exception(failure)
        self._go_on()

    def _run(self) -> list[tuple[asyncio.Future[Any], Any, Exception | None]]:
        group, self._waiting = self._waiting, []
        disk = self._disk
        if not disk.healed and disk.rng.random() < disk.faults.full:
            disk.unstored += len(group)
            return [(future, None, errors.StorageFull()) for _, future in group]
        answers: list[tuple[asyncio.Future[Any], Any, Exception | None]] = []
        connection = disk.connection
        connection.execute("BEGIN IMMEDIATE")
        for job, future in group:
            connection.execute("SAVEPOINT request")
            try:
                answers.append((future, job(connection), None))
            except Exception as failure:
                connection.execute("ROLLBACK TO request")
                answers.append((future, None, failures.translate(failure)))
            connection.execute("RELEASE request")
        connection.execute("COMMIT")
        disk.check()
        return answers


class SimReaders:
    """Reads on virtual time. `queue.sqlite.database.Reads`."""

    def __init__(self, disk: Disk, awake: asyncio.Event) -> None:
        self._disk = disk
        self._awake = awake

    async def run(self, job: Callable[[apsw.Connection], T]) -> T:
        """What `job` answers, a little later, and not while the process stands still."""
        await asyncio.sleep(self._disk.rng.uniform(0, 0.003))
        await self._awake.wait()
        return job(self._disk.connection)
