"""`./dev bench start`: what it costs to start an instance, spawn to first answer, beside a warm call of the same run.

Promises measured here (SPECIFICATION.md): parked and on-demand starts, many at once, memory of an idle instance, the
kill of a hostile tree, the first call after a deploy, answers of frozen and paged-out instances (the latter where swap
can be made), the memory of a node with 1,000 deployed functions. The first part makes boxes directly, without a node;
the second asks a real node. Variants are interleaved, each after a pause, as a function that nobody has called for a
while would find it. With --first the boxes run before all other processes of a busy machine (root only); control groups
of version 1 take no such processes, so limits by them are left out then.
The exit code is 1 if a promise is not kept.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console
from rich.table import Table

from bench._start import pandas, standby
from bench.call import zipped
from e2e import hostile
from e2e.node_process import NodeProcess
from functory.instances.gauges import GroupMeter
from functory.runtimes.node import find_node
from functory.sandbox import tiers
from functory.sandbox.namespace import NamespaceSandboxes
from functory.sandbox.process import ProcessSandboxes
from functory.sandbox.safe import SafeSandboxes
from functory.sdk import Client
from functory.testing.checks.sandbox import members
from functory.testing.workshop import Running, Workshop, interpreter, is_alive

ECHO = "def handler(event, context):\n    return event\n"
ECHO_OR_SLEEP = (
    "import time\ndef handler(event, context):\n    time.sleep(0.2 * (event == b'slow'))\n    return event\n"
)
PAUSE_S = 0.05
TREE = hostile.FORK_BOMB.replace("while True:\n        try:", "while made < 21:\n        try:", 1)


class Row(NamedTuple):
    """One measure and what was promised of it."""

    name: str
    values: list[float]
    """Milliseconds, microseconds, or megabytes."""
    unit: str = "ms"
    promise: float = 0
    """Upper bound of the median; 0 = none."""
    promise_99: float = 0

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def last(self) -> float:
        """The 99th percentile, or the largest of few."""
        return sorted(self.values)[min(len(self.values) - 1, int(len(self.values) * 0.99))]

    @property
    def kept(self) -> bool:
        return not ((self.promise and self.median > self.promise) or (self.promise_99 and self.last > self.promise_99))


def timed(work: Callable[[], object]) -> float:
    """How long it took, in ms."""
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1e3


# --- boxes --------------------------------------------------------------------------------------------------------


def spawn(workshop: Workshop, code: Path, parent: Running | None = None, **fields: Any) -> tuple[Running, float]:
    """A new instance whose first request is written before it is made; spawn to answer in ms."""
    began = time.perf_counter()
    running = workshop.make_from(parent, code, **fields)
    running.talk.send(b"x")
    running.hello()
    running.talk.read()
    return running, (time.perf_counter() - began) * 1e3


def end(workshop: Workshop, running: Running) -> None:
    running.box.kill()
    workshop.end_of(running)
    running.close()


@contextlib.contextmanager
def boxes(groups: bool) -> Iterator[tuple[Workshop, NamespaceSandboxes]]:
    found = tiers.find(interpreter(), f"functory-bench-{os.getpid()}-{groups:d}")
    if found.tier is None:
        raise SystemExit(found.why_not)
    if found.groups is not None and not groups:
        found.groups.close()
    maker = NamespaceSandboxes(found.tier, groups=found.groups if groups else None)
    maker.prepare([interpreter()])
    with Workshop(SafeSandboxes(maker)) as workshop:
        yield workshop, maker


def fresh_interpreter(code: Path) -> float:
    """What a platform without zygotes does: a new interpreter that imports the function and answers."""
    script = "import index, json, logging, threading; print(index.handler(b'x', None))"
    return timed(lambda: subprocess.run([interpreter(), "-c", script], cwd=code, check=True, capture_output=True))


def single_starts(count: int, *, groups: bool) -> list[Row]:
    names = ("warm", "parked", "stock", "demand", "process", "fresh", "kill")
    found: dict[str, list[float]] = {name: [] for name in names}
    plain = ProcessSandboxes()
    plain.prepare([interpreter()])
    with (
        boxes(groups=groups) as (stocked, stock),
        boxes(groups=False) as (unpooled, _),
        Workshop(SafeSandboxes(plain)) as processes,
    ):
        code = stocked.code(ECHO)
        for _ in range(count):
            while stock.short:
                stock.refill()
            time.sleep(PAUSE_S)
            running, took = spawn(stocked, code)
            found["stock"].append(took)
            time.sleep(PAUSE_S)
            found["warm"].append(timed(lambda talk=running.talk: talk.call(b"x")))  # type: ignore[misc]
            end(stocked, running)
            running = stocked.start(code)
            time.sleep(PAUSE_S)
            found["parked"].append(timed(lambda talk=running.talk: talk.call(b"x")))  # type: ignore[misc]
            end(stocked, running)
            for name, workshop in (("demand", unpooled), ("process", processes)):
                time.sleep(PAUSE_S)
                running, took = spawn(workshop, code)
                found[name].append(took)
                end(workshop, running)
            time.sleep(PAUSE_S)
            found["fresh"].append(fresh_interpreter(code))
            found["kill"].append(kill_a_tree(stocked))
        memory = idle_memory(stocked, code)
        frozen, paged = standby.resumes(stocked, code, count)
    return [
        Row("warm call on a live instance", found["warm"]),
        Row(
            "what a parked start adds to it",
            [took - statistics.median(found["warm"]) for took in found["parked"]],
            promise=0.5,
        ),
        Row("full sandbox from stock" + ", limits in force" * groups, found["stock"], promise=4, promise_99=8),
        Row("full sandbox, on demand, nothing pooled", found["demand"], promise=4, promise_99=8),
        Row("plain process, forked from a warm zygote", found["process"]),
        Row("fresh interpreter", found["fresh"]),
        Row("kill of a tree of 22 that ignores SIGTERM", found["kill"], promise=50, promise_99=50),
        Row("own memory of an idle instance", memory, "MB", promise=3),
        Row("what being frozen adds to a warm call", frozen, promise=1),
        *([Row("what being paged out adds to a warm call", paged, promise=4)] if paged else []),
    ]


def node_js(count: int, *, groups: bool) -> list[Row]:
    """Node.js that runs ahead of need, and started for the call."""
    found = find_node("", interpreter())
    if found is None:
        raise SystemExit("Node.js is not on this machine")
    fields: dict[str, Any] = {
        "handler": "index.handler", "argv": (found.resolve("nodejs20")[0], "--max-old-space-size=192", "@/node.cjs"),
        "reserve_mb": 256,
    }  # fmt: skip
    ahead: list[float] = []
    fresh: list[float] = []
    with boxes(groups=groups) as (workshop, maker):
        code = workshop.code("exports.handler = async event => event", "index.js")
        maker.expect(workshop.spec(code, ahead=True, **fields))
        for _ in range(count):
            for values, is_ahead in ((ahead, True), (fresh, False)):
                while maker.short:
                    maker.refill()
                time.sleep(5 * PAUSE_S)  # until those just made wait
                running, took = spawn(workshop, code, ahead=is_ahead, **fields)
                values.append(took)
                end(workshop, running)
    return [
        Row("Node.js from a stem cell, full sandbox", ahead, promise=6),
        Row("Node.js started for the call, full sandbox", fresh),
    ]


def kill_a_tree(workshop: Workshop) -> float:
    running = workshop.start(TREE)
    running.talk.call(b"")
    tree = members(running.box.pid)
    assert len(tree) > 20, tree
    took = timed(lambda: end(workshop, running))
    assert not [pid for pid in tree if is_alive(pid)]
    return took


def copied_starts(count: int, *, groups: bool) -> list[Row]:
    """Pandas and 34 MB of data: copies of a template, beside what loads it anew each time."""
    names = ("warm", "parked", "stock", "demand", "fresh", "framework", "restore", "own")
    found: dict[str, list[float]] = {name: [] for name in names}
    with (
        pandas.layer() as layer,
        boxes(groups=groups) as (stocked, stock),
        boxes(groups=False) as (unpooled, _),
    ):
        code = stocked.code(pandas.SOURCE)
        fields = {"layer_dirs": (str(layer),), "initializer": "index.start", "initializer_timeout_s": 60}
        fields |= {"memory_mb": 1024}
        first, second = (shop.start(code, template=True, **fields) for shop in (stocked, unpooled))
        for shop, template in ((stocked, first), (unpooled, second)):  # as in a node: the first copies stay
            spawn(shop, code, template, **fields)
        time.sleep(PAUSE_S * 4)
        for number in range(count):
            while stock.short:
                stock.refill()
            time.sleep(PAUSE_S)
            running, took = spawn(stocked, code, first, **fields)
            found["stock"].append(took)
            time.sleep(PAUSE_S)
            found["warm"].append(timed(lambda talk=running.talk: talk.call(b"x")))  # type: ignore[misc]
            found["own"].append(pandas.own_mb(running.box.pid))
            end(stocked, running)
            running = stocked.make_from(first, code, **fields)
            assert b"restoreUs" in running.hello().meta, "it is no copy"
            time.sleep(PAUSE_S)
            found["parked"].append(timed(lambda talk=running.talk: talk.call(b"x")))  # type: ignore[misc]
            end(stocked, running)
            time.sleep(PAUSE_S)
            running, took = spawn(unpooled, code, second, **fields)
            found["demand"].append(took)
            end(unpooled, running)
            if number < max(3, count // 10):
                found["fresh"].append(timed(lambda: pandas.fresh(interpreter(), layer, code)))
                found["framework"] += pandas.framework(layer, code)
    warm = statistics.median(found["warm"])
    demand = statistics.median(found["demand"])
    rows = [
        Row("pandas + 34 MB: warm call", found["warm"]),
        Row("… what a parked copy adds to it", [took - warm for took in found["parked"]], promise=0.5),
        Row("… copy of the template, from stock" + ", limits in force" * groups, found["stock"], promise=10),
        Row("… copy of the template, on demand, nothing pooled", found["demand"], promise=10),
        Row("… own memory of an idle copy", found["own"], "MB"),
        Row("… fresh interpreter", found["fresh"]),
        Row("… fresh interpreter, in copies", [took / demand for took in found["fresh"]], "x"),
    ]
    if found["framework"]:
        rows.append(Row("… functions-framework, started", found["framework"]))
        rows.append(Row("… functions-framework, in copies", [took / demand for took in found["framework"]], "x"))
    return rows


def idle_memory(workshop: Workshop, code: Path) -> list[float]:
    """Own share (PSS) of each of several instances after a request, in MB."""
    alive = [spawn(workshop, code)[0] for _ in range(20)]
    found = []
    for running in alive:
        rollup = Path(f"/proc/{running.box.pid}/smaps_rollup").read_text()
        found.append(next(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:")) / 1024)
    for running in alive:
        end(workshop, running)
    return found


def many_at_once(count: int, rounds: int) -> Row:
    """All are asked for at once, and all answer: the time until the last has."""
    values = []
    with boxes(groups=False) as (workshop, _):
        code = workshop.code(ECHO)
        for _ in range(rounds):
            time.sleep(PAUSE_S)
            began = time.perf_counter()
            alive = []
            for _ in range(count):
                alive.append(workshop.make(code))
                alive[-1].talk.send(b"x")
            for running in alive:
                running.hello()
                running.talk.read()
            values.append((time.perf_counter() - began) * 1e3)
            for running in alive:
                running.box.kill()
            for running in alive:
                workshop.end_of(running)
                running.close()
    return Row(f"{count} at once, all answered", values, promise={100: 150, 500: 700}[count])


def metering(blocks: int) -> list[Row]:
    """What it costs to measure a call: with and without, in turns, on the same instance; and the readings alone."""
    calls, added, alone = 100, [], []
    with boxes(groups=True) as (workshop, _):
        running = workshop.start(ECHO)
        gauges = running.box.gauges
        if gauges is None:
            return []
        meter = GroupMeter(gauges)

        def measured() -> int:
            meter.begin()
            running.talk.call(b"x")
            meter.cpu_delta_ns()
            return meter.note_peak(time.perf_counter_ns(), 0)

        def readings() -> int:
            meter.begin()
            meter.cpu_delta_ns()
            return meter.note_peak(time.perf_counter_ns(), 0)

        for _ in range(blocks):
            plain = timed(lambda: [running.talk.call(b"x") for _ in range(calls)])
            added.append((timed(lambda: [measured() for _ in range(calls)]) - plain) / calls * 1e3)
            alone.append(timed(lambda: [readings() for _ in range(calls)]) / calls * 1e3)
        meter.close()
        end(workshop, running)
    return [
        Row("what measuring adds to a call (processor time, peak memory)", added, "µs", promise=15),
        Row("the readings alone", alone, "µs", promise=15),
    ]


# --- a node -------------------------------------------------------------------------------------------------------


def through_a_node(count: int) -> list[Row]:
    """Call latencies by HTTP: warm, on a parked instance, and the first one after a deploy."""
    warm: list[float] = []
    parked: list[float] = []
    first: list[float] = []
    with tempfile.TemporaryDirectory(prefix="functory-bench-", dir="/var/tmp") as folder:
        node = NodeProcess(Path(folder))
        node.start()
        try:
            with Client(node.credentials) as client:
                client.health()
                for number in range(count):
                    name = f"start-{number}"
                    client.functions.create(
                        name, {"runtime": "python3", "handler": "index.handler"}, zipped(ECHO_OR_SLEEP)
                    )
                    time.sleep(PAUSE_S)
                    first.append(timed(lambda name=name: client.invoke(name, b"x")))  # type: ignore[misc]
                    time.sleep(PAUSE_S * 2)  # the parked one is being made
                    warm.append(timed(lambda name=name: client.invoke(name, b"x")))  # type: ignore[misc]
                    time.sleep(PAUSE_S)
                    busy_then_parked(client, name, parked)
        finally:
            node.stop()
    return [
        Row("node: warm call by HTTP", warm),
        Row("node: call that finds a parked instance", parked),
        Row("node: first call after deploy", first, promise=10),
    ]


def busy_then_parked(client: Client, name: str, into: list[float]) -> None:
    """While the instance that has served is busy, another call finds the parked one."""
    slow = threading.Thread(target=client.invoke, args=(name, b"slow"))
    slow.start()
    time.sleep(PAUSE_S)
    into.append(timed(lambda: client.invoke(name, b"x")))
    slow.join()


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=30, help="samples of each single start")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of the bursts")
    parser.add_argument(
        "--functions", type=int, default=1000, help="functions deployed to look at the memory; 0 = none"
    )
    parser.add_argument("--first", action="store_true", help="boxes run before all other processes")
    given = parser.parse_args()
    if given.first:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    rows = [
        *single_starts(given.count, groups=not given.first),
        *node_js(given.count, groups=not given.first),
        *copied_starts(given.count, groups=not given.first),
        *(metering(50) if not given.first else []),
        many_at_once(100, given.rounds),
        many_at_once(500, given.rounds),
    ]
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    rows += through_a_node(max(5, given.count // 2))
    if given.functions:
        memory = [standby.memory_of_many(given.functions)]
        rows.append(Row(f"node: {given.functions} functions, one call each, then idle", memory, "MB", promise=1024))
    warm = rows[0].median
    table = Table(box=None, pad_edge=False)
    for column in ("", "p50", "p99", "over warm", "promised p50", ""):
        table.add_column(column, justify="left" if not column else "right")
    for row in rows:
        over = f"{row.median / warm:.1f}x" if row.unit == "ms" else ""
        promise = f"{row.promise:g} {row.unit}" if row.promise else ""
        mark = "" if not row.promise else "kept" if row.kept else "MISSED"
        table.add_row(row.name, f"{row.median:.2f} {row.unit}", f"{row.last:.2f}", over, promise, mark)
    Console(width=130).print(table)
    return 0 if all(row.kept for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
