"""Tasks on a node that is killed, and on one whose disk is full: a 202 is kept, and nothing else was accepted."""

from __future__ import annotations

import contextlib
import io
import os
import signal
import threading
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec
import pytest

from e2e.node_process import NodeProcess
from functory.sdk import ApiError, AsyncTask, Client, ConnectionFailed

pytestmark = [pytest.mark.server, pytest.mark.timeout(180)]

KILLS = 5
CLIENTS = 4
PATIENCE_S = 60.0
END = ("Succeeded", "Failed")
"""How a task ends; the second if its number ends with a 7."""
WORK = """
import asyncio

async def handler(event, context):
    await asyncio.sleep(0.02)
    if event.endswith(b"7"):
        raise ValueError(event.decode())
    return event
"""
ECHO = "def handler(event, context):\n    return b''\n"
POISON = "import os, signal\n\ndef handler(event, context):\n    os.kill(os.getpid(), signal.SIGKILL)\n"


def make(client: Client, name: str, code: str, *, concurrency: int = 1, **config: object) -> str:
    """A function with an asynchronous configuration; its ARN."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("index.py", code)
    fields = {"runtime": "python3", "handler": "index.handler", "instanceConcurrency": concurrency}
    arn = client.functions.create(name, fields, out.getvalue()).function_arn
    if config:
        path = f"/2023-03-30/functions/{name}/async-invoke-config"
        client._transport.call("PutAsyncInvokeConfig", "PUT", path, body=msgspec.json.encode(config))
    return arn


class Submitter:
    """Clients that submit numbered tasks until their node is gone, and go on with the same numbers after that."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._number = 0
        self.accepted: set[str] = set()
        self.unanswered: set[str] = set()

    def run(self, node: NodeProcess) -> None:
        """Submits until the node is gone."""
        with Client(node.credentials) as client, contextlib.suppress(ConnectionFailed):
            while True:
                with self._lock:
                    task_id = self.unanswered.pop() if self.unanswered else f"t{self._number}"
                    self._number += task_id == f"t{self._number}"
                self._submit(client, task_id)

    def _submit(self, client: Client, task_id: str) -> None:
        try:
            client.submit("work", task_id, task_id=task_id)
        except ConnectionFailed:
            self.unanswered.add(task_id)
            raise
        except ApiError as refused:
            # Known is what was committed by a node that died before it could say so.
            if refused.code != "StatefulAsyncInvocationAlreadyExists":
                raise
        self.accepted.add(task_id)


def test_no_accepted_task_is_lost_and_no_end_changes_while_the_node_is_killed_again_and_again(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path, "--log-level", "warning")
    node.start()
    with Client(node.credentials) as client:
        ledger = make(client, "ledger", ECHO)
        to = {"onSuccess": {"destination": ledger}, "onFailure": {"destination": ledger}}
        make(client, "work", WORK, concurrency=50, maxAsyncRetryAttempts=0, destinationConfig=to)
    submitter = Submitter()
    ended: dict[str, AsyncTask] = {}
    for turn in range(KILLS):
        with ThreadPoolExecutor(CLIENTS) as threads:
            submitting = [threads.submit(submitter.run, node) for _ in range(CLIENTS)]
            with Client(node.credentials) as client:
                wait_for_progress(client, len(submitter.accepted) + 30 + 40 * turn)
                ended |= {one.task_id: one for one in client.tasks.page("work").tasks if one.ended}
            node.process.send_signal(signal.SIGKILL)
            for one in submitting:
                one.result()
        node._end()
        node = NodeProcess(tmp_path, "--log-level", "warning")
        node.start()
    with Client(node.credentials) as client:
        wait_for_ends(client)
        finished = {one.task_id: one for one in client.tasks.list("work")}
        assert finished.keys() >= submitter.accepted, "an accepted task is lost"
        wrong = {id_: one.status for id_, one in finished.items() if one.status != END[id_[-1] == "7"]}
        assert not wrong, f"of {len(finished)} tasks"
        changed = [id_ for id_, before in ended.items() if finished[id_] != before]
        assert not changed, "an end is never taken back"
        told(client, len(finished))
    assert node.stop() == 0
    assert len(submitter.accepted) > 200
    assert len(ended) > 30


def wait_for_progress(client: Client, count: int) -> None:
    """Returns once so many tasks are known to the node."""
    while sum(sum(one.counts.values()) for one in client.tasks.summary("work")) < count:
        pass


def wait_for_ends(client: Client) -> None:
    """Returns once no task is open."""
    while client.tasks.summary("work")[0].counts.keys() - set(END):
        pass


def told(client: Client, count: int) -> None:
    """Returns once the ledger has heard of every end, once each: a repeated delivery is the same task."""
    heard: dict[str, int] = {}
    while sum(heard.values()) < count or heard.keys() != {"Succeeded"}:
        heard = client.tasks.summary("ledger")[0].counts
    assert heard == {"Succeeded": count}
    keys = [one.task_id for one in client.tasks.list("ledger")]
    assert len(set(keys)) == count


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
