"""Whole process trees end, and nobody else."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from functory.sandbox import tree
from functory.testing.workshop import is_alive

_GROW = """
import os, signal, sys
def stay():
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    os.write(1, b"%d\\n" % os.getpid())
    while True: signal.pause()
for _ in range(2):
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0: stay()
        stay()
stay()
"""


@pytest.fixture
def family() -> Iterator[subprocess.Popen[bytes]]:
    """A process with two children and a grandchild of each, all in sessions of their own."""
    process = subprocess.Popen([sys.executable, "-I", "-S", "-c", _GROW], stdout=subprocess.PIPE)
    yield process
    tree.end(process.pid)
    with process:
        pass


def _pids(family: subprocess.Popen[bytes]) -> list[int]:
    assert family.stdout is not None
    return [int(family.stdout.readline()) for _ in range(5)]


def test_all_descendants_of_all_generations_end(family: subprocess.Popen[bytes]) -> None:
    pids = _pids(family)
    assert all(is_alive(pid) for pid in pids)
    tree.end(family.pid)
    assert family.stdout is not None
    assert family.stdout.read() == b"", "the last holder of the pipe is gone"
    family.wait()
    assert tree.children(family.pid) == []


def test_children_are_found_by_scan_where_the_kernel_has_no_lists(family: subprocess.Popen[bytes]) -> None:
    _pids(family)
    assert sorted(tree._children_by_scan(family.pid)) == sorted(tree.children(family.pid))
    assert len(tree.children(family.pid)) == 2


def test_children_of_all_threads_are_found() -> None:
    source = (
        "import subprocess, sys, threading\n"
        "def go():\n    p = subprocess.Popen(['/bin/sleep', '60']); print(p.pid, flush=True); p.wait()\n"
        "threading.Thread(target=go, daemon=True).start(); go()"
    )
    process = subprocess.Popen([sys.executable, "-I", "-S", "-c", source], stdout=subprocess.PIPE)
    assert process.stdout is not None
    told = {int(process.stdout.readline()) for _ in range(2)}
    assert set(tree.children(process.pid)) == told
    tree.end(process.pid)
    process.communicate()


def test_a_process_that_is_not_ours_is_left_alone(family: subprocess.Popen[bytes]) -> None:
    child = tree.children(family.pid)
    _pids(family)
    for pid in child or tree.children(family.pid):
        tree.end(pid)  # a grandchild of ours: its parent lives, so it is not ours to end
    tree.end(1)
    assert family.poll() is None
    assert all(is_alive(pid) for pid in tree.children(family.pid))


def test_a_name_with_parentheses_does_not_hide_the_parent() -> None:
    source = "import os; open('/proc/self/comm', 'w').write('a) S 1 (b'); print('ok', flush=True); os.read(0, 1)"
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", "-c", source], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    process.stdout.readline()
    assert "a) S 1 (b" in Path(f"/proc/{process.pid}/stat").read_text()
    assert tree.parent(process.pid) == os.getpid()
    process.communicate(b"x")


def test_a_death_is_awaited_no_longer_than_told() -> None:
    process = subprocess.Popen(["/bin/sleep", "60"])
    assert not tree.wait_for_death(process.pid, 0)
    process.send_signal(signal.SIGKILL)
    assert tree.wait_for_death(process.pid, 10_000)
    assert tree.wait_for_death(process.pid, 0), "it is gone already"
    process.returncode = -signal.SIGKILL  # reaped by us
