"""`./dev bench tasks`: durable tasks through HTTP, beside Celery and Dramatiq on Redis in the same run.

Promises measured here (SPECIFICATION.md): submits per second, tasks per second end to end, accept to start at 1,000/s,
a long line of one function against another's first task, and what limits cost. The disk is synced before every 202.
Load generator, nodes, instances and peers share the machine's cores, which may have other work: what is compared takes
turns, on two nodes, and counts by the median of the rounds; the worst is printed too, and what stopped a node.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console
from rich.table import Table

from bench._call import servers
from bench._call.load import cpu_ns, wrk
from bench._tasks import paced, pauses, peers
from bench._tasks.paced import Timed
from bench.call import zipped
from functory.sdk import Client
from functory.sdk import credentials as creds

BODY = b"x" * 100
NEVER_REACHED = 1_000_000
NOOP = "async def handler(event, context):\n    return b''\n"
CLOCK = "import time\n\nasync def handler(event, context):\n    return str(time.monotonic_ns())\n"
SLOW = "import time\n\ndef handler(event, context):\n    time.sleep(0.2)\n"
ENDED = {"Succeeded", "Failed", "Expired", "Stopped"}


class Run(NamedTuple):
    """Tasks submitted and run."""

    rate: float
    """Tasks per second."""
    cpu_us: float
    """The node's processor time for each."""


class Paced(NamedTuple):
    """One round at a steady rate."""

    times: list[Timed]
    pauses: list[pauses.Pause]


@dataclass
class Bench:
    """A node and what is asked of it."""

    node: servers.Server
    client: Client
    token: str
    seconds: float
    noted: pauses.Pauses

    def make(self, name: str, source: str, concurrency: int, reserved: int = 0) -> None:
        """A function; `reserved`: its own limit."""
        fields = {"runtime": "python3", "handler": "index.handler", "memorySize": 512, "cpu": 0.35, "timeout": 60}
        self.client.functions.create(name, {**fields, "instanceConcurrency": concurrency}, zipped(source))
        if reserved:
            path = f"/2023-03-30/functions/{name}/concurrency"
            body = b'{"reservedConcurrency": %d}' % reserved
            self.client._transport.call("PutConcurrencyConfig", "PUT", path, body=body)

    def submit(self, name: str, *, delay_s: int = 0) -> float:
        """Submits per second from 64 connections."""
        headers = {
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/octet-stream",
            "X-Fc-Invocation-Type": "Async",
        }
        if delay_s:
            headers["X-Fc-Async-Delay"] = str(delay_s)
        url = f"{self.node.url}/2023-03-30/functions/{name}/invocations"
        load = wrk(url, connections=64, seconds=self.seconds, pid=self.node.pid, body=BODY, headers=headers)
        if load.errors:
            raise RuntimeError(f"{load.errors} submissions were not answered 202")
        return load.rps

    def counts(self, name: str) -> dict[str, int]:
        """How many tasks stand where."""
        found = self.client.tasks.summary(name)
        return found[0].counts if found else {}

    def drain(self, name: str) -> int:
        """Waits for all ends; how many there are."""
        while not (counts := self.counts(name)).keys() <= ENDED:
            time.sleep(0.02)
        return sum(counts.values())

    def end_to_end(self, name: str) -> Run:
        """From the first submission to the last end."""
        before, cpu, begin = self.drain(name), cpu_ns(self.node.pid), time.monotonic()
        self.submit(name)
        done = self.drain(name) - before
        return Run(done / (time.monotonic() - begin), (cpu_ns(self.node.pid) - cpu) / 1000 / done)

    def paced(self, name: str, rate: int, count: int, prefix: str) -> list[Timed]:
        """Tasks at a steady rate."""
        return paced.run(self.client, self.node.url, self.token, name, rate=rate, count=count, prefix=prefix)

    def steady(self, name: str, rate: int, count: int, prefix: str) -> Paced:
        """The same, with what stopped the node meanwhile."""
        self.noted.taken()
        return Paced(self.paced(name, rate, count, prefix), self.noted.taken())

    def memory_mb(self) -> float:
        """What the node holds resident."""
        status = Path(f"/proc/{self.node.pid}/status").read_text()
        return int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1]) / 1024

    def backlog(self, name: str, count: int) -> int:
        """A line at least so long."""
        while (waiting := self.counts(name).get("Enqueued", 0)) < count:
            self.submit(name)
        return waiting


def main() -> int:
    """Measures, prints, and answers 0 if every promise is kept."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=int, default=3, help="of each round; wrk counts whole ones")
    options.add_argument("--backlog", type=int, default=100_000, help="tasks in line of the function with a long line")
    options.add_argument("--peer-tasks", type=int, default=3000)
    options.add_argument("--no-peers", action="store_true", help="leave Celery and Dramatiq out")
    chosen = options.parse_args()
    console = Console(width=130)
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        plain = _started(stack, folder / "plain", chosen.seconds)
        limited = _started(stack, folder / "limited", chosen.seconds, "--function-task-rate", str(NEVER_REACHED))
        figures = _measure(plain, limited, chosen)
        reason = "they were left out" if chosen.no_peers else peers.missing()
        found = [] if reason else [peers.celery(folder, chosen.peer_tasks), peers.dramatiq(folder, chosen.peer_tasks)]
    _print(console, figures, found, reason)
    return _verdict(console, figures, found)


def _started(stack: ExitStack, folder: Path, seconds: float, *flags: str) -> Bench:
    """A node of its own, watched for pauses."""
    folder.mkdir()
    noted = pauses.Pauses(folder)
    node = stack.enter_context(servers.node(*flags, environment=noted.environment))
    client = stack.enter_context(Client(creds.read(node.data / "credentials.json")))
    return Bench(node, client, client.create_token().token, seconds, noted)


@dataclass
class Figures:
    """What was measured, by rounds that took turns."""

    submits: list[float]
    plain: list[Run]
    limited: list[Run]
    starts: list[Paced]
    solo: list[Paced]
    beside: list[Paced]
    line: int
    memory_mb: float
    """The node's own, with the line."""


def _measure(plain: Bench, limited: Bench, chosen: argparse.Namespace) -> Figures:
    plain.make("later", NOOP, 64)
    plain.make("noop", NOOP, 64)
    limited.make("noop", NOOP, 64, reserved=100)  # as many as without: the limit is looked at, and does not bind
    for bench in (plain, limited):
        bench.make("clock", CLOCK, 64)
        bench.end_to_end("noop")  # warm-up, not counted
        bench.paced("clock", 200, 100, "w")
    limited.make("slow", SLOW, 1, reserved=1)
    submits: list[float] = []
    runs: dict[bool, list[Run]] = {False: [], True: []}
    for number in range(chosen.rounds):
        submits.append(plain.submit("later", delay_s=3600))
        for with_limits in (number % 2 == 0, number % 2 == 1):  # neither is always the first
            runs[with_limits].append((limited if with_limits else plain).end_to_end("noop"))
    starts = [plain.steady("clock", 1000, int(1000 * plain.seconds), f"r{turn}-") for turn in range(chosen.rounds)]
    line = limited.backlog("slow", chosen.backlog)
    solo, beside = [], []
    for turn in range(chosen.rounds):
        solo.append(plain.steady("clock", 100, 500, f"s{turn}-"))
        beside.append(limited.steady("clock", 100, 500, f"b{turn}-"))
    return Figures(submits, runs[False], runs[True], starts, solo, beside, line, limited.memory_mb())


def _ms(times: list[Timed], part: int, *, from_send: bool = False) -> float:
    """A percentile from the 202 (or from sending) to the start. What started before its 202 was here counts as 0."""
    waits = sorted(max(0, one.started_ns - (one.sent_ns if from_send else one.accepted_ns)) for one in times)
    return waits[min(len(waits) - 1, len(waits) * part // 100)] / 1e6


def _median(rounds: list[Paced], part: int, *, from_send: bool = False) -> float:
    return statistics.median(_ms(one.times, part, from_send=from_send) for one in rounds)


def _cost(figures: Figures) -> float:
    """What part of a task's processor time in the node limits take: that bounds the rate, and does not sway with it."""
    limited, plain = (statistics.median(one.cpu_us for one in runs) for runs in (figures.limited, figures.plain))
    return 1 - plain / limited


def _print(console: Console, figures: Figures, found: list[peers.Peer], reason: str) -> None:
    table = Table(title="Durable tasks of 100 bytes, median of the rounds")
    for heading in ("what", "submits/s", "tasks/s end to end", "node CPU µs/task"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    table.add_row("Functory, submits alone, HTTP, c=64", f"{statistics.median(figures.submits):,.0f}", "", "")
    for name, runs in (
        ("Functory, submitted and run, HTTP, c=64", figures.plain),
        ("the same with limits of rate, function and account", figures.limited),
    ):
        rate, cpu_us = (statistics.median(one[column] for one in runs) for column in (0, 1))
        table.add_row(name, "", f"{rate:,.0f}", f"{cpu_us:.0f}")
    for peer in found:
        table.add_row(f"{peer.name}, one producer, 2 workers", f"{peer.submits:,.0f}", f"{peer.tasks:,.0f}", "")
    console.print(table)
    if reason:
        console.print(f"No peers: {reason}.")
    waits = Table(title="Milliseconds to the start of the function, median of the rounds (worst round)")
    for heading in ("what", "p50 from the 202", "p99 from the 202", "p50 from sending", "p99 from sending"):
        waits.add_column(heading, justify="left" if heading == "what" else "right")
    beside = f"at 100 tasks/s, beside a line of {figures.line:,}"
    named = (
        ("at 1,000 tasks/s", figures.starts),
        ("at 100 tasks/s, nothing else", figures.solo),
        (beside, figures.beside),
    )
    for name, rounds in named:
        cells = []
        for sending in (False, True):
            for part in (50, 99):
                worst = max(_ms(one.times, part, from_send=sending) for one in rounds)
                cells.append(f"{_median(rounds, part, from_send=sending):.2f} ({worst:.2f})")
        waits.add_row(name, *cells)
    console.print(waits)
    for name, rounds in named:
        console.print(f"Pauses, {name}: {pauses.told([pause for one in rounds for pause in one.pauses])}.")


def _verdict(console: Console, figures: Figures, found: list[peers.Peer]) -> int:
    ratio = statistics.median(
        _ms(beside.times, 99, from_send=True) / _ms(solo.times, 99, from_send=True)
        for solo, beside in zip(figures.solo, figures.beside, strict=True)
    )
    submits, tasks = statistics.median(figures.submits), statistics.median(one.rate for one in figures.plain)
    checks = [
        ("durable submits per second, c=64", submits, ">=", 10_000.0, ""),
        ("tasks per second end to end", tasks, ">=", 5_000.0, ""),
        ("limits of rate and concurrency cost, of the node's time", 100 * _cost(figures), "<=", 15.0, "%"),
        ("accept to start at 1,000/s, p50", _median(figures.starts, 50), "<=", 1.0, "ms"),
        ("accept to start at 1,000/s, p99", _median(figures.starts, 99), "<=", 50.0, "ms"),
        (f"the node's memory with {figures.line:,} tasks in line", figures.memory_mb, "<=", 300.0, "MB"),
        ("a first task's p99 beside a long line over alone", ratio, "<=", 2.0, "×"),
    ]
    if found:
        checks.append(("tasks per second over Celery's", tasks / found[0].tasks, ">=", 10.0, "×"))
    console.print()
    kept = True
    for name, value, sense, limit, unit in checks:
        good = value <= limit if sense == "<=" else value >= limit
        kept = kept and good
        mark = "[green]kept[/]" if good else "[red]not kept[/]"
        console.print(f"{mark}  {name}: {value:,.1f} {unit} (promised {sense} {limit:,.0f} {unit})")
    for peer in found:
        console.print(f"over {peer.name}: {submits / peer.submits:.1f} × submits, {tasks / peer.tasks:.1f} × tasks")
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
