"""What keeps a process from being copied, each shown on a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from functory.sandbox import copyable

SRC = Path(copyable.__file__).parents[2]


def run(what: str, ask: str = "copyable.why_not(copyable.descriptors() - before)") -> str:
    """What a fresh process that did `what` answers to `ask`. Its /tmp is as empty as a box's."""
    script = (
        f"import os, sys; sys.path.insert(0, {str(SRC)!r})\n"
        "from functory.sandbox import copyable\n"
        "copyable._files_left = lambda: ''\n"
        f"before = copyable.descriptors()\n{what}\nprint({ask})\nsys.stdout.flush()\nos._exit(0)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=False)
    assert not done.stderr, done.stderr
    return done.stdout.strip()


def test_a_quiet_process_can_be_copied() -> None:
    assert run("import json, logging; held = open('/dev/null'); folder = os.open('/', os.O_RDONLY)") == ""


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("import threading; e = threading.Event(); threading.Thread(target=e.wait, name='pump').start()", "(pump)"),
        ("import socket; a, b = socket.socketpair()", "a socket is open"),
        ("p = os.pipe()", "a pipe is open"),
        ("import select; e = select.epoll()", "anon_inode:[eventpoll] is open"),
        ("f = open('/dev/null', 'a')", "/dev/null is open for writing"),
        ("m = os.memfd_create('x')", "memfd"),
        ("import mmap; m = mmap.mmap(-1, 4096)", "memory is shared"),
        ("import subprocess; c = subprocess.Popen(['sleep', '5'])", "a child process"),
    ],
)
def test_what_copies_would_share_or_miss_is_named(what: str, reason: str) -> None:
    assert reason in run(what)


def test_a_child_that_has_ended_is_no_obstacle() -> None:
    assert run("import subprocess; subprocess.Popen(['true']).wait()") == ""


def test_a_file_that_is_read_gets_a_place_of_its_own() -> None:
    what = (
        "f = os.open('/proc/self/exe', os.O_RDONLY); os.read(f, 4); other = os.dup(f)\n"
        "copyable.open_anew([f]); os.read(other, 4)\n"
    )
    assert run(what, "os.lseek(f, 0, 1), os.lseek(other, 0, 1)") == "4 8"


def test_small_processes_are_not_laid_out_in_huge_pages() -> None:
    assert run("", "copyable.use_huge_pages()") == "0"


def test_large_memory_is_laid_out_in_huge_pages_where_the_kernel_can() -> None:
    assert int(run("held = [bytearray(8 << 20) for _ in range(8)]", "copyable.use_huge_pages()")) >= 0
