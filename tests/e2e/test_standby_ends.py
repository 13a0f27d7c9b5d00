"""Instances on standby and the ends of what carries them: paged out, their zygote killed, their node stopped."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from e2e.node_process import NodeProcess
from e2e.swap import swap
from e2e.test_standby import ECHO, NODE_ECHO, create, main_pids, timed, until, until_frozen
from functory.sdk import Client
from functory.testing.checks.sandbox import descendants
from functory.testing.workshop import is_alive

pytestmark = pytest.mark.server

SLOW = "import time\ndef handler(event, context):\n    time.sleep(20 * (event == b'slow'))\n    return event\n"
STOPS = (
    "def handler(event, context):\n    return event\ndef stop(context):\n    print('stopped in order', flush=True)\n"
)
SPACES = ("pid", "mnt", "net", "ipc", "uts", "user")


@contextlib.contextmanager
def started(folder: Path, *flags: str) -> Iterator[tuple[NodeProcess, Client]]:
    node = NodeProcess(
        folder, "--instance-freeze-s", "0.2s", "--instances-parked", "0", "--log-level", "warning", *flags
    )
    node.start()
    try:
        with Client(node.credentials) as client:
            yield node, client
    finally:
        if node.process.poll() is None:
            assert node.stop() == 0, node.log


def share_kb(pid: int) -> int:
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    return next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))


def below(node: NodeProcess, name: str) -> list[int]:
    found = []
    for pid in descendants(node.process.pid):
        with contextlib.suppress(OSError):
            if Path(f"/proc/{pid}/comm").read_text().startswith(name):
                found.append(pid)
    return found


@pytest.mark.parametrize(("runtime", "source"), [("python3", ECHO), ("nodejs20", NODE_ECHO)], ids=["python", "node"])
def test_a_frozen_instance_shrinks_in_swap_and_answers_all_the_same(tmp_path: Path, runtime: str, source: str) -> None:
    with swap(), started(tmp_path, "--instance-page-out-s", "0.5s") as (node, client):
        create(client, "sleeps", source, runtime=runtime)
        instance = client.invoke("sleeps", b"1").instance_id
        before = {pid: share_kb(pid) for pid in main_pids(node, "c-", "node", "MainThread")}
        until(lambda: client.node().instances.paged_out == 1)
        assert client.node().paging_out == "on"
        shrunk = [pid for pid, kb in before.items() if share_kb(pid) < kb * 0.6]
        assert len(shrunk) == 1, "those that stand ready for others are left alone"
        took: list[float] = []
        for _ in range(3):
            took.append(timed(lambda: client.invoke("sleeps", b"2")))
            until(lambda: client.node().instances.paged_out == 1)
        assert client.invoke("sleeps", b"3").instance_id == instance
        assert min(took) < 200, "the promise is 4 ms over a warm call; this bound is for a loaded machine"
        client.functions.delete("sleeps")
        until(lambda: not is_alive(shrunk[0]))


def test_without_swap_doctor_says_why_nothing_is_paged_out(tmp_path: Path) -> None:
    with open("/proc/swaps") as swaps:
        if len(swaps.readlines()) > 1:
            pytest.skip("cannot be shown here: the machine has swap")
    with started(tmp_path) as (node, _):
        command = [str(node.process.args[0]), "-m", "functory", "doctor", "--endpoint", node.endpoint]  # type: ignore[index]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60)
        assert "nothing is paged out: there is no swap: add zram" in " ".join(done.stdout.split())
        assert "frozen by" in " ".join(done.stdout.split())


@pytest.mark.parametrize("victim", ["functory-zygote", "functory-box", "python"])
def test_killing_what_carries_frozen_and_running_ones_is_survived(tmp_path: Path, victim: str) -> None:
    """Zygotes, launchers, and the spawner itself: whoever was called hears why, and others are served again."""
    with started(tmp_path) as (node, client):
        create(client, "stands", ECHO)
        create(client, "runs", SLOW)
        client.invoke("stands", b"")
        client.invoke("runs", b"")
        until_frozen(client, 2)
        carriers = below(node, victim) if victim != "python" else _children(node.process.pid)
        if not carriers:
            pytest.skip(f"cannot be shown here: instances are plain processes, there is no {victim}")
        said: list[str] = []
        caller = threading.Thread(target=lambda: said.append(_heard(node)))
        caller.start()
        until(lambda: client.node().instances.busy == 1)
        old = main_pids(node)
        for pid in carriers:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        caller.join(10)
        assert "exited unexpectedly" in said[0]
        began = time.monotonic()
        until(lambda: _answers(client))
        assert time.monotonic() - began < 8, "the promise is a second; this bound is for a loaded machine"
        until(lambda: not [pid for pid in old if is_alive(pid)])


def _children(pid: int) -> list[int]:
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _heard(node: NodeProcess) -> str:
    with Client(node.credentials) as client:
        return client.invoke("runs", b"slow").payload.decode()


def _answers(client: Client) -> bool:
    with contextlib.suppress(Exception):
        return client.invoke("stands", b"again").payload == b"again"
    return False


def test_a_node_that_stops_leaves_no_process_mount_group_or_namespace_of_frozen_ones(tmp_path: Path) -> None:
    with started(tmp_path) as (node, client):
        create(client, "waits", STOPS, instanceLifecycleConfig={"preStop": {"handler": "index.stop", "timeout": 3}})
        create(client, "quiet", ECHO, internetAccess=False)
        for name in ("waits", "quiet"):
            client.invoke(name, b"")
        until_frozen(client, 2)
        tree = descendants(node.process.pid)
        spaces = _spaces(tree) - _spaces([os.getpid()])
        groups = _groups(_children(node.process.pid))
        # Nobody else is in them, so they are gone when these are. Their numbers are then given to others' new ones.
        others = [int(name) for name in os.listdir("/proc") if name.isdigit() and int(name) not in tree]
        assert len(spaces) > 1
        assert not spaces & _spaces(others)
        mounts = Path("/proc/self/mountinfo").read_text()
        began = time.monotonic()
        assert node.stop() == 0
        assert time.monotonic() - began < 8, "frozen ones do not hold it up"
        assert not [pid for pid in tree if is_alive(pid)]
        assert not [group for group in groups if group.exists()]
        assert Path("/proc/self/mountinfo").read_text() == mounts


def _groups(spawners: Iterable[int]) -> list[Path]:
    names = {f"functory-{pid}" for pid in spawners}
    found: list[Path] = []
    for folder, below_it, _ in os.walk("/sys/fs/cgroup"):
        found += [Path(folder, name) for name in below_it if name in names]
    return found


def _spaces(pids: Iterable[int]) -> set[str]:
    found = set()
    for pid in pids:
        for kind in SPACES:
            with contextlib.suppress(OSError):
                found.add(os.readlink(f"/proc/{pid}/ns/{kind}"))
    return found
