"""What holds a tree still, each kind as this machine has it: no progress while frozen, and death all the same."""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from functory.model.instance import GroupFiles
from functory.sandbox import cgroupfs, cgroups, freezer, pageout, tree

SPIN = "import os\nif os.fork() == 0:\n    while True: pass\nprint(os.getpid(), flush=True)\nwhile True: pass\n"


@contextlib.contextmanager
def group_of(kind: str) -> Iterator[cgroups.Group | None]:
    if kind == "stop":
        yield None
        return
    try:
        groups = cgroups.Groups1(f"functory-test-freezer-{os.getpid()}", "1" if kind == "1" else "best")
    except (OSError, ValueError) as failure:
        pytest.skip(f"cannot be shown here: {failure}")
    try:
        group = groups.make("one")
        if not group.files().freeze.endswith(cgroupfs.FREEZER_1 if kind == "1" else cgroupfs.FREEZER_2):
            pytest.skip(f"cannot be shown here: there is no freezer of version {kind}")
        yield group
        assert until(group.remove)
    finally:
        groups.close()


def until(what: Callable[[], bool]) -> bool:
    deadline = time.monotonic() + 10
    while not what() and time.monotonic() < deadline:
        select.select([], [], [], 0.01)
    return what()


@contextlib.contextmanager
def spinning(group: cgroups.Group | None) -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", "input()\n" + SPIN], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        if group is not None:
            group.move(process.pid)
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(b"\n")
        process.stdin.close()
        process.stdout.readline()
        try:
            yield process
        finally:
            for pid in (*tree.children(process.pid), process.pid):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if group is not None:
                group.thaw()


def cpu_ns(*pids: int) -> list[int]:
    return [time.clock_gettime_ns((~pid << 3) | 2) for pid in pids]


@pytest.mark.parametrize("kind", ["2", "1", "stop"])
def test_a_frozen_tree_makes_no_progress_and_goes_on_when_it_is_thawed(kind: str) -> None:
    with group_of(kind) as group, spinning(group) as process:
        pids = [process.pid, *tree.children(process.pid)]
        assert len(pids) == 2
        holder = freezer.of(process.pid, group.files() if group is not None else GroupFiles())
        assert holder.freeze()
        select.select([], [], [], 0.05)  # those that ran on another processor stop at their next interrupt
        before = cpu_ns(*pids)
        select.select([], [], [], 0.2)
        assert cpu_ns(*pids) == before
        holder.thaw()
        holder.thaw()
        assert until(lambda: all(now > then for now, then in zip(cpu_ns(*pids), before, strict=True)))
        holder.close()
        holder.close()
        holder.thaw()


@pytest.mark.parametrize("kind", ["2", "1", "stop"])
def test_who_is_killed_while_frozen_dies_once_his_group_is_thawed(kind: str) -> None:
    with group_of(kind) as group, spinning(group) as process:
        holder = freezer.of(process.pid, group.files() if group is not None else GroupFiles())
        assert holder.freeze()
        for pid in (*tree.children(process.pid), process.pid):
            os.kill(pid, signal.SIGKILL)
        if group is not None:
            group.thaw()
        assert process.wait(10) == -signal.SIGKILL
        holder.close()


def test_what_a_dead_maker_left_frozen_is_thawed_by_the_next() -> None:
    with group_of("1") as group, spinning(group) as process:
        assert group is not None
        path = group.files().freeze
        assert freezer.of(process.pid, group.files()).freeze()
        cgroupfs.thaw_all(os.path.dirname(os.path.dirname(path)))
        with open(path) as state:
            assert state.read() == "THAWED\n"


def test_who_stood_still_by_himself_is_not_continued() -> None:
    with spinning(None) as process:
        child = tree.children(process.pid)[0]
        os.kill(child, signal.SIGSTOP)
        assert until(lambda: state(child) == "T")
        holder = freezer.StopFreezer(process.pid)
        assert holder.freeze()
        holder.thaw()
        assert until(lambda: state(process.pid) == "R")
        assert state(child) == "T"


def state(pid: int) -> str:
    with open(f"/proc/{pid}/stat") as stat:
        return stat.read().rpartition(")")[2].split()[0]


def test_what_is_gone_cannot_be_frozen_and_says_so() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait(20)
    holder = freezer.of(process.pid, GroupFiles(freeze="/nowhere/cgroup.freeze"))
    assert not holder.freeze()
    holder.thaw()
    assert not pageout.page_out(process.pid, GroupFiles())
