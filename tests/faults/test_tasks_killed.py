"""Tasks on a node that is killed, and on one whose disk is full: a 202 is kept, and nothing else was accepted."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from e2e.node_process import NodeProcess
from faults.functions import make
from faults.witness import Witness
from functory.model.task import TaskState
from functory.sdk import ApiError, Client, ConnectionFailed

pytestmark = [pytest.mark.server, pytest.mark.timeout(180)]

KILLS = int(os.environ.get("KILLS", "200"))
NODES = 2
CLIENTS = 3
LOOK_EVERY = 5
PLAIN_PATH = ("/usr/bin/env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin")
"""Without version managers, which cost each start a shell per interpreter."""
PATIENCE_S = 60.0
END = ("Succeeded", "Failed")
"""How a task ends; the second if its number ends with a 7."""
WORK = """
import asyncio

async def handler(event, context):
    await asyncio.sleep(0.15)
    if event.endswith(b"7"):
        raise ValueError(event.decode())
    return event
"""
ECHO = "def handler(event, context):\n    return b''\n"
POISON = "import os, signal\n\ndef handler(event, context):\n    os.kill(os.getpid(), signal.SIGKILL)\n"


class Submitter:
    """Clients that submit numbered tasks until their node is gone, and go on with the same numbers after that."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._number = 0
        self._living = 0
        self.accepted: set[str] = set()
        self.unanswered: set[str] = set()

    def run(self, node: NodeProcess) -> None:
        """Submits until the node is gone."""
        try:
            with Client(node.credentials) as client, contextlib.suppress(ConnectionFailed):
                while True:
                    self._submit(client, self._next())
        finally:
            with self._changed:
                self._living -= 1
                self._changed.notify_all()

    def begin(self, clients: int) -> None:
        """So many clients will `run`."""
        self._living = clients

    def wait_for(self, more: int) -> None:
        """Returns once so many more are accepted, or nobody submits any more."""
        with self._changed:
            count = len(self.accepted) + more
            self._changed.wait_for(lambda: len(self.accepted) >= count or not self._living, PATIENCE_S)

    def _next(self) -> str:
        with self._changed:
            if self.unanswered:
                return self.unanswered.pop()
            self._number += 1
            return f"t{self._number}"

    def _submit(self, client: Client, task_id: str) -> None:
        try:
            client.submit("work", task_id, task_id=task_id)
        except ConnectionFailed:
            with self._changed:
                self.unanswered.add(task_id)
            raise
        except ApiError as refused:
            # Known is what was committed by a node that died before it could say so.
            if refused.code != "StatefulAsyncInvocationAlreadyExists":
                raise
        with self._changed:
            self.accepted.add(task_id)
            self._changed.notify_all()


def killed_again_and_again(folder: Path, chance: random.Random, kills: int) -> str:
    """One node with one folder, killed so often; what there is to say of it in the end."""
    folder.mkdir()
    with up(folder) as node, Client(node.credentials) as client:
        ledger = make(client, "ledger", ECHO, concurrency=50)
        to = {"onSuccess": {"destination": ledger}, "onFailure": {"destination": ledger}}
        make(client, "work", WORK, concurrency=50, maxAsyncRetryAttempts=0, destinationConfig=to)
    submitter, witness = Submitter(), Witness("work")
    for kill in range(kills):
        live_until_killed(folder, submitter, chance)
        if kill % LOOK_EVERY == 0:
            witness.look(folder / ".functory", submitter.accepted)
    witness.look(folder / ".functory", submitter.accepted)
    seen = witness.ends
    with up(folder) as node, Client(node.credentials) as client:
        wait_for_ends(client)
        told(client, sum(client.tasks.summary("work")[0].counts.values()))
    finished = witness.look(folder / ".functory", submitter.accepted)
    wrong = {id_: row[2:] for id_, row in finished.items() if not ended_well(id_, *row[2:6])}
    assert not wrong, f"of {len(finished)} tasks: {list(wrong.items())[:3]}"
    worn = sum(row[5] == "WorkerLost" for row in finished.values())
    assert len(submitter.accepted) > kills
    assert seen > 0
    return (
        f"{kills} kills, {len(submitter.accepted)} acknowledged tasks, {seen} ends before the last start, "
        f"{worn} given up after ten deaths: none lost, none changed, each told once"
    )


def live_until_killed(folder: Path, submitter: Submitter, chance: random.Random) -> None:
    """A start, clients that submit all the while, and a kill at some moment of it."""
    node = NodeProcess(folder, "--log-level", "error", prefix=PLAIN_PATH)
    node.start()
    submitter.begin(CLIENTS)
    with ThreadPoolExecutor(CLIENTS) as threads:
        submitting = [threads.submit(submitter.run, node) for _ in range(CLIENTS)]
        try:
            submitter.wait_for(chance.choice((1, 2, 5, 10, 20, 40, 80)))
        finally:
            node.process.send_signal(signal.SIGKILL)
        for one in submitting:
            one.result()
    node._end()


def ended_well(task_id: str, state: int, _ended_ms: int, result: bytes, error_type: str) -> bool:
    """As the function ends it; or given up, since ten nodes died with it: it might have been the killer."""
    if error_type == "WorkerLost" or task_id.endswith("7"):
        return state == TaskState.FAILED
    return state == TaskState.SUCCEEDED and result == task_id.encode()


@pytest.mark.timeout(1800)
def test_no_accepted_task_is_lost_and_no_end_changes_while_the_node_is_killed_again_and_again(
    tmp_path: Path, pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    """Two nodes at a time, as a start keeps one processor busy. `KILLS` says how many kills there are in all."""
    seed = pytestconfig.getoption("randomly_seed")
    begin = time.monotonic()
    with ThreadPoolExecutor(NODES) as threads:
        running = [
            threads.submit(killed_again_and_again, tmp_path / f"{number}", random.Random(seed + number), KILLS // NODES)
            for number in range(NODES)
        ]
        said = [one.result() for one in running]
    with capsys.disabled():
        lines = [*said, f"in {time.monotonic() - begin:.0f} s, by the random seed {seed}"]
        sys.stdout.write("".join(f"\n{line}" for line in lines) + "\n")


@contextlib.contextmanager
def up(folder: Path) -> Iterator[NodeProcess]:
    """A node that starts, and stops gracefully."""
    node = NodeProcess(folder, "--log-level", "error", prefix=PLAIN_PATH)
    node.start()
    try:
        yield node
    finally:
        code = node.stop()
    assert code == 0, node.log


def wait_for_ends(client: Client) -> None:
    """Returns once no task is open."""
    while client.tasks.summary("work")[0].counts.keys() - set(END):
        pass


def told(client: Client, count: int) -> None:
    """Returns once the ledger has heard of every end, once each: a repeated delivery is the same task."""
    heard: dict[str, int] = {}
    while sum(heard.values()) < count or heard.keys() - set(END):
        heard = client.tasks.summary("ledger")[0].counts
    assert sum(heard.values()) == count


def test_a_task_that_kills_its_instance_each_time_fails_by_its_retries(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path, "--log-level", "warning")
    node.start()
    with Client(node.credentials) as client:
        make(client, "poison", POISON, maxAsyncRetryAttempts=1)
        make(client, "healthy", ECHO)
        poisoned = [client.submit("poison", "") for _ in range(5)]
        assert client.submit("healthy").wait(PATIENCE_S).succeeded, "others go on"
        for task in poisoned:
            ended = task.wait(PATIENCE_S)
            assert (ended.status, ended.already_retried_times) == ("Failed", 1)
            assert "exited" in ended.task_error_message.lower()
    assert node.stop() == 0


def test_ten_megabytes_of_error_text_leave_a_short_one(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path, "--log-level", "warning")
    node.start()
    with Client(node.credentials) as client:
        make(client, "verbose", "def handler(e, c):\n    raise ValueError('x' * 10_000_000)\n", maxAsyncRetryAttempts=0)
        ended = client.submit("verbose").wait(PATIENCE_S)
    assert ended.status == "Failed"
    assert 0 < len(ended.task_error_message) <= 4096
    assert node.stop() == 0


@pytest.mark.parametrize("size", [20_000, 100_000], ids=["rows", "blobs"])
def test_a_full_disk_is_503_and_what_was_accepted_before_runs_once_there_is_room(small_disk: Path, size: int) -> None:
    node = NodeProcess(small_disk, "--log-level", "error")
    node.start()
    accepted: list[str] = []
    refusals: set[tuple[int, str]] = set()
    with Client(node.credentials) as client:
        make(client, "work", "def handler(event, context):\n    return event[:10]\n")
        fill(small_disk, leave=4 << 20)
        number = 0
        while len(refusals) == 0 or number % 20:
            number += 1
            try:
                accepted.append(client.submit("work", bytes(size), task_id=f"t{number}").task_id)
            except ApiError as refused:
                refusals.add((refused.status, refused.code))
        assert refusals == {(503, "StorageFull")}
        (small_disk / "filling").unlink()
        for task_id in accepted:
            assert client.tasks.wait("work", task_id, PATIENCE_S).succeeded
        known = {one.task_id for one in client.tasks.list("work")}
        assert known == set(accepted), "what was refused is not there"
        assert client.submit("work", b"more").wait(PATIENCE_S).succeeded
    assert node.stop() == 0


def fill(disk: Path, *, leave: int) -> None:
    """Takes all room but `leave` bytes."""
    stat = os.statvfs(disk)
    free = stat.f_bavail * stat.f_frsize
    with (disk / "filling").open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, free - leave))
