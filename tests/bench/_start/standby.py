"""What standby costs and saves: answers of frozen and paged-out instances, the memory of many deployed functions."""

from __future__ import annotations

import contextlib
import tempfile
import time
from pathlib import Path

import pytest

from bench.call import zipped
from e2e.node_process import NodeProcess
from e2e.swap import swap
from functory.sandbox import freezer, pageout
from functory.sdk import Client
from functory.testing.checks.sandbox import descendants
from functory.testing.workshop import Running, Workshop

PAUSE_S = 0.05
SETTLE_S = 5.0
ECHO = "def handler(event, context):\n    return event\n"


def answer_ms(running: Running, holder: freezer.Freezer | None = None) -> float:
    """One request; thawed first, as the node does it."""
    began = time.perf_counter()
    if holder is not None:
        holder.thaw()
    running.talk.call(b"x")
    return (time.perf_counter() - began) * 1e3


def resumes(workshop: Workshop, code: Path, count: int) -> tuple[list[float], list[float]]:
    """What being frozen, and being paged out, adds to a warm request; the second is empty where no swap can be made."""
    running = workshop.start(code)
    holder = freezer.of(running.box.pid, running.box.files)
    frozen = []
    for _ in range(count):
        time.sleep(PAUSE_S)
        warm_ms = answer_ms(running)
        holder.freeze()
        time.sleep(PAUSE_S)
        frozen.append(answer_ms(running, holder) - warm_ms)
    try:
        with swap():
            paged = [_paged_ms(running, holder) for _ in range(count)]
    except pytest.skip.Exception:
        paged = []
    holder.close()
    running.box.kill()
    workshop.end_of(running)
    running.close()
    return frozen, paged


def _paged_ms(running: Running, holder: freezer.Freezer) -> float:
    time.sleep(PAUSE_S)
    warm_ms = answer_ms(running)
    holder.freeze()
    time.sleep(PAUSE_S)
    assert pageout.page_out(running.box.pid, running.box.files)
    return answer_ms(running, holder) - warm_ms


def memory_of_many(functions: int) -> float:
    """Megabytes of all processes of a node after one call of each of so many functions: every page counted once."""
    with tempfile.TemporaryDirectory(prefix="functory-bench-", dir="/var/tmp") as folder:
        node = NodeProcess(Path(folder), "--log-level", "warning")
        node.start()
        try:
            with Client(node.credentials) as client:
                for number in range(functions):
                    name = f"many-{number}"
                    client.functions.create(name, {"runtime": "python3", "handler": "index.handler"}, zipped(ECHO))
                    client.invoke(name, b"x")
            time.sleep(SETTLE_S)
            return sum(map(_share_mb, (node.process.pid, *descendants(node.process.pid))))
        finally:
            node.stop()


def _share_mb(pid: int) -> float:
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) / 1024
    return 0.0
