"""Power cuts while tasks are accepted, run, settled, delivered and swept, with payloads in rows and in blobs.

At each cut the files are looked at as the disk may have kept them: what was acknowledged is there and whole, no end
that anybody has seen is another one, and each end has exactly one record of its destination. Some of the images are
brought back to life: then everything comes to its end.
"""

from __future__ import annotations

import asyncio
import os
import random
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from faults.forgetful import Disk, ForgetfulFolder, ForgetfulLayer
from functory.blob import file as blob_file
from functory.blob.file import FileBlob
from functory.clock import SystemClock
from functory.lifecycle import running
from functory.model.invocation import Invocation, Outcome, Pending
from functory.model.task import ENDED, AsyncConfig, TaskState
from functory.queue.sqlite import SqliteQueue
from functory.sinks.base import Delivery, Kind, NotNow
from functory.store import cipher
from functory.store.sqlite import SqliteStore, connect
from functory.tasks import head
from functory.testing.configs import MemoryConfigs
from functory.testing.tasks import ACCOUNT, TaskNode, failed, ok, task_node

CUTS = int(os.environ.get("CUTS", "500"))
WORLDS = 5
"""The cuts are spread over so many, so that files stay small."""
CLIENTS = 8
REVIVED = 20
"""Every twentieth image is brought back to life."""
URL = "http://told.example/"
LARGE = 40_000
_TASKS = (
    "SELECT id, key, state, ended_ms, error_type, result_bytes, head, payload, payload_ref, result, result_ref"
    " FROM queue WHERE lane = 1"
)


class Told:
    """A destination that takes everything, at its second attempt."""

    def __init__(self) -> None:
        self._asked: set[str] = set()

    async def start(self) -> None:
        pass

    async def stop(self) -> None:
        pass

    async def deliver(self, delivery: Delivery) -> None:
        if delivery.id not in self._asked:
            self._asked.add(delivery.id)
            raise NotNow("not yet")


class Cutter:
    """Cuts the power at random moments, and judges what is left."""

    def __init__(self, disk: Disk, blobs: ForgetfulFolder, folder: Path, chance: random.Random) -> None:
        self._disk = disk
        self._blobs = blobs
        self._folder = folder
        self._chance = chance
        self.cuts = 0
        self.wrong: list[str] = []
        self.acknowledged: dict[str, int] = {}
        """Task id of each 202, and the length of its payload."""
        self.seen: dict[str, tuple[Any, ...]] = {}
        """Ends that a client was shown."""
        self.images: list[tuple[Path, set[str]]] = []

    def maybe(self) -> None:
        """Called at every write and sync, by whoever does it."""
        if self.acknowledged and self._chance.random() < 0.04 and self.cuts < CUTS // WORLDS:
            self.cuts += 1
            acknowledged, seen = dict(self.acknowledged), dict(self.seen)
            image = self._folder / f"cut{self.cuts}"
            # The rows first: a blob that is deleted meanwhile may be gone, one that a row names may not.
            files = self._disk.after_a_cut(self._chance)
            _write_image(image, files, self._blobs.after_a_cut(self._chance))
            said = judge(image, acknowledged, seen)
            if said:
                self.wrong.append(f"cut {self.cuts}: {said}")
            elif self.cuts % REVIVED == 0:
                self.images.append((image, set(acknowledged)))


def _write_image(image: Path, files: dict[str, bytes], blobs: dict[str, bytes]) -> None:
    (image / "blob").mkdir(parents=True)
    for name, data in files.items():
        if not name.endswith("-shm"):
            (image / name).write_bytes(data)
    for name, data in blobs.items():
        path = image / "blob" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def judge(image: Path, acknowledged: dict[str, int], seen: dict[str, tuple[Any, ...]]) -> str:
    """What is wrong after this cut; empty if nothing is."""
    copy = image / "judged"
    copy.mkdir()
    for name in ("x.db", "x.db-wal"):
        if (image / name).exists():
            (copy / name).write_bytes((image / name).read_bytes())
    try:
        connection = apsw.Connection(str(copy / "x.db"))
        if connection.pragma("integrity_check") != "ok":
            return "the database is damaged"
        rows = {row[1]: row for row in connection.execute(_TASKS)}
        told = [key for (key,) in connection.execute("SELECT key FROM queue WHERE lane = 2")]
        connection.close()
    except apsw.Error as failure:
        return str(failure)
    if lost := acknowledged.keys() - rows.keys():
        return f"{len(lost)} acknowledged tasks are lost, {sorted(lost)[:3]}"
    for id_, end in seen.items():
        if rows[id_][2:6] != end:
            return f"the end of {id_} was {end} and is {rows[id_][2:6]}"
    due = sorted(str(row[0]) for row in rows.values() if row[2] in ENDED and _destination(row))
    if sorted(told) != due:
        return f"{len(due)} ends are to be told, {len(told)} records are there"
    for row in rows.values():
        for ref in (row[8], row[10]):
            if ref and (harm := _harm(image, ref)):
                return f"{row[1]}: {harm}"
    return ""


def _destination(row: tuple[Any, ...]) -> str:
    rules = head.decode(row[6])
    return rules.on_success if row[2] == TaskState.SUCCEEDED else rules.on_failure


def _harm(image: Path, ref: str) -> str:
    """What is wrong with a blob that a row names."""
    key, _, checksum = ref.rpartition("#")
    *folders, name = key.split("/")
    path = image.joinpath("blob", *(f"{each}+" for each in folders), name)
    if not path.exists():
        return f"blob {key} is missing"
    return "" if f"{zlib.crc32(path.read_bytes()):08x}" == checksum else f"blob {key} is damaged"


def behave(invocation: Invocation) -> Outcome | Pending:
    """What a function does: answers at once or in the next round of the loop, shortly or at length; or fails."""
    number = zlib.crc32(invocation.task_id.encode())
    outcome = failed() if number % 5 == 0 else ok(invocation.payload if number % 3 else bytes(LARGE))
    if number % 2:
        return outcome
    pending = Pending()
    asyncio.get_running_loop().call_soon(pending.resolve, outcome)
    return pending


def open_store(folder: Path, *, vfs: str | None = None) -> SqliteStore:
    return SqliteStore(folder / "x.db", clock=SystemClock(), cipher=cipher.AesCipher(bytes(32)), vfs=vfs)


async def live(folder: Path, blob: FileBlob, store: SqliteStore, work: Any) -> None:
    """The real task service over this store and these blobs, while `work` goes on."""
    configs = MemoryConfigs()
    await configs.put(AsyncConfig(account_id=ACCOUNT, function_name="f", max_retries=1, on_success=URL, on_failure=URL))
    async with running(store, blob):
        queue = SqliteQueue(store.writer, store.readers, clock=SystemClock())
        node = TaskNode(behave, SystemClock())
        sinks: dict[Any, Any] = {Kind.HTTP: Told()}
        async with (
            running(queue),
            task_node(
                behave, queue=queue, blob=blob, stored_configs=configs, sinks=sinks, chance=lambda: 0.0, node=node
            ),
        ):
            await work(node)


async def cut_again_and_again(disk: Disk, folder: Path, seed: int, monkeypatch: pytest.MonkeyPatch) -> Cutter:
    """Clients submit and look, and the power goes, until there were enough cuts."""
    chance = random.Random(seed)
    blobs = ForgetfulFolder(folder / "blob")
    cutter = Cutter(disk, blobs, folder, chance)
    monkeypatch.setattr(os, "fsync", blobs.fsync)
    store = SqliteStore(
        folder / "x.db", clock=SystemClock(), cipher=cipher.AesCipher(bytes(32)), vfs=ForgetfulLayer.NAME
    )

    async def client(node: TaskNode, number: int) -> None:
        sizes = random.Random(seed + number)
        count = 0
        while cutter.cuts < CUTS // WORLDS and not cutter.wrong:
            count += 1
            task_id, size = f"c{number}-{count}", sizes.choice((0, 10, 10, 10, LARGE))
            await node.submit("f", bytes(size), task_id=task_id)
            cutter.acknowledged[task_id] = size
            looked = await node.task(f"c{number}-{max(1, count - 2)}", "f")
            if looked.state in ENDED:
                end = (int(looked.state), looked.ended_at_ms, looked.error_type, looked.result.size_bytes)
                cutter.seen[looked.task_id] = end

    async def work(node: TaskNode) -> None:
        disk.on_change = cutter.maybe
        await asyncio.gather(*(client(node, number) for number in range(CLIENTS)))
        disk.on_change = lambda: None

    await live(folder, FileBlob(folder / "blob"), store, work)
    return cutter


async def revive(image: Path, acknowledged: set[str]) -> None:
    """A node starts on what the cut has left: everything comes to its end, and is told once."""
    store = open_store(image)

    async def work(node: TaskNode) -> None:
        for task_id in sorted(acknowledged):
            for _ in range(2000):
                if (await node.task(task_id, "f")).state in ENDED:
                    break
                await node.clock.sleep(0.005)
            assert (await node.task(task_id, "f")).state in ENDED

    await live(image, FileBlob(image / "blob"), store, work)
    for name in ("x.db-wal", "judged/x.db", "judged/x.db-wal"):
        (image / name).unlink(missing_ok=True)
    (image / "judged").rmdir()
    assert judge(image, dict.fromkeys(acknowledged, 0), {}) == ""


@pytest.fixture
def quiet() -> Iterator[None]:
    """Blobs sync in threads of their own; nothing of that may outlive the test."""
    sync = os.fsync
    yield
    assert os.fsync is sync


@pytest.mark.timeout(600)
@pytest.mark.parametrize("world", range(WORLDS))
async def test_no_task_is_lost_and_no_end_changes_by_power_cuts(
    quiet: None, disk: Disk, tmp_path: Path, world: int
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        cutter = await cut_again_and_again(disk, tmp_path, world, patched)
    assert cutter.wrong == []
    assert cutter.cuts == CUTS // WORLDS
    assert len(cutter.seen) > 10, "ends were seen"
    assert list((tmp_path / "blob").rglob("*-in")), "payloads lay in blobs"
    for image, acknowledged in cutter.images:
        await revive(image, acknowledged)


async def test_the_same_cuts_do_lose_what_is_not_synced(disk: Disk, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patched:
        # The move of the log into the file syncs both: it must not follow on every commit.
        careless = connect.WRITER.replace("synchronous = FULL", "synchronous = NORMAL").replace("= 6;", "= 60;")
        patched.setattr(connect, "WRITER", careless)
        cutter = await cut_again_and_again(disk, tmp_path, 1, patched)
    assert cutter.wrong


async def test_the_same_cuts_do_lose_payloads_whose_names_are_not_synced(disk: Disk, tmp_path: Path) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(blob_file, "_sync_folder", lambda _: None)
        cutter = await cut_again_and_again(disk, tmp_path, 1, patched)
    assert any("blob" in one for one in cutter.wrong), cutter.wrong
