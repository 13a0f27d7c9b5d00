"""`./dev bench call`: what one small call costs, through everything, beside peers in the same run.

Promises measured here (SPECIFICATION.md): gateway processor time per call, calls per second multiplexed and one at a
time, latency at one connection over a bare uvloop + httptools hello, 1 MB bodies, the price of an ACS3 signature.
Load generator, node and instances share the machine's cores. Each figure is the median of interleaved rounds.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import statistics
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console
from rich.table import Table

from bench._call import servers, signed
from bench._call.load import Load, cpu_ns, wrk
from functory.sdk import Client
from functory.sdk import credentials as creds

BODY = json.dumps({"id": 12345, "name": "a small event", "tags": ["a", "b"], "note": "x" * 38}).encode()[:100]
MEGABYTE = bytes(1_000_000)
SYNC = "def handler(event, context):\n    return event\n"
ASYNC = "async def handler(event, context):\n    return event\n"

HOOK = 'async def handler(event, context):\n    return b\'{"statusCode": 200, "body": "ok"}\'\n'


@dataclass
class Row:
    """One thing that is measured, round by round."""

    name: str
    run: Callable[[], Load]
    loads: list[Load] = field(default_factory=list)

    def median(self, what: str) -> float:
        return float(statistics.median(getattr(load, what) for load in self.loads))


def zipped(source: str) -> bytes:
    """A zip with index.py."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.py", source)
    return buffer.getvalue()


def deploy(client: Client, name: str, source: str, concurrency: int) -> None:
    """A function that its share of processors does not hold back: that share is enforced."""
    client.functions.create(
        name,
        {
            "runtime": "python3",
            "handler": "index.handler",
            "memorySize": 2048,
            "cpu": 2,
            "timeout": 60,
            "instanceConcurrency": concurrency,
        },
        zipped(source),
    )


def main() -> int:
    """Measures, prints, and answers 0 if every promise is kept."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--rounds", type=int, default=3)
    options.add_argument("--seconds", type=float, default=3.0)
    options.add_argument("--no-peers", action="store_true", help="leave uvicorn and functions-framework out")
    chosen = options.parse_args()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        node = stack.enter_context(servers.node())
        client = Client(creds.read(node.data / "credentials.json"))
        deploy(client, "echo-async", ASYNC, 64)
        deploy(client, "echo", SYNC, 1)
        deploy(client, "hook", HOOK, 64)
        rows = _rows(stack, folder, node, client, chosen)
        for row in rows.values():
            row.run()  # warm-up, not counted
        for _ in range(chosen.rounds):
            for row in rows.values():
                row.loads.append(row.run())
        sign = _signed(client, node)
    return _report(rows, sign)


def _rows(
    stack: ExitStack, folder: Path, node: servers.Server, client: Client, chosen: argparse.Namespace
) -> dict[str, Row]:
    token = client.create_token().token
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/octet-stream"}

    def call(name: str, connections: int, body: bytes = BODY) -> Callable[[], Load]:
        url = f"{node.url}/2023-03-30/functions/{name}/invocations"
        return lambda: wrk(
            url, connections=connections, seconds=chosen.seconds, pid=node.pid, body=body, headers=headers
        )

    def hook(name: str, connections: int) -> Callable[[], Load]:
        url = f"{node.url}/fn/{name}/hook"
        kind = {"Content-Type": "application/json"}
        return lambda: wrk(url, connections=connections, seconds=chosen.seconds, pid=node.pid, body=BODY, headers=kind)

    client.triggers.create("hook", "web", "http", {"authType": "anonymous", "methods": ["POST"]})
    bare = stack.enter_context(servers.bare(folder))
    rows = {
        "bare1": Row(
            "bare uvloop + httptools hello, c=1",
            lambda: wrk(bare.url, connections=1, seconds=chosen.seconds, pid=bare.pid),
        ),
        "c1": Row("call, c=1", call("echo", 1)),
        "c32": Row("call, async handler, c=32", call("echo-async", 32)),
        "strict": Row("call, one at a time per instance, c=32", call("echo", 32)),
        "hook": Row("HTTP trigger, event JSON, async handler, c=32", hook("hook", 32)),
        "mb1": Row("call, 1 MB there and back, c=1", call("echo", 1, MEGABYTE)),
        "mb4": Row("call, 1 MB there and back, c=4", call("echo", 4, MEGABYTE)),
        "bare32": Row(
            "bare uvloop + httptools hello, c=32",
            lambda: wrk(bare.url, connections=32, seconds=chosen.seconds, pid=bare.pid),
        ),
    }
    if not chosen.no_peers:
        for name, start in (("uvicorn", servers.uvicorn), ("functions-framework", servers.functions_framework)):
            peer = stack.enter_context(start(folder))
            for connections in (1, 32):
                rows[f"{name}{connections}"] = Row(
                    f"{name}, the same echo, c={connections}",
                    lambda peer=peer, connections=connections: wrk(  # type: ignore[misc]
                        peer.url, connections=connections, seconds=chosen.seconds, pid=peer.pid, body=BODY
                    ),
                )
    return rows


def _signed(client: Client, node: servers.Server, count: int = 20_000) -> tuple[float, float]:
    """Calls per second and node processor time per call, each with an ACS3 signature of its own."""
    found = creds.read(node.data / "credentials.json")
    prepared = signed.requests(found, "echo-async", BODY, count)
    before, begin = cpu_ns(node.pid), time.monotonic()
    rps, bad = asyncio.run(signed.send_all(found.endpoint, prepared, 32))
    spent = cpu_ns(node.pid) - before
    if bad:
        raise RuntimeError(f"{bad} signed calls were not answered 200 (after {time.monotonic() - begin:.1f} s)")
    return rps, spent / 1000 / count


def _report(rows: dict[str, Row], sign: tuple[float, float]) -> int:
    console = Console(width=130)
    table = Table(title="One small call (100 bytes), median of the rounds")
    for heading in ("what", "calls/s", "p50 µs", "p99 µs", "CPU µs/call", "errors"):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    for row in rows.values():
        errors = sum(load.errors for load in row.loads)
        table.add_row(
            row.name,
            f"{row.median('rps'):,.0f}",
            f"{row.median('p50_us'):,.0f}",
            f"{row.median('p99_us'):,.0f}",
            f"{row.median('cpu_us'):.1f}",
            str(errors),
        )
    table.add_row(
        "call with an ACS3 signature each, c=32 (Python client)", f"{sign[0]:,.0f}", "", "", f"{sign[1]:.1f}", "0"
    )
    console.print(table)
    return _verdict(console, rows, sign)


def _verdict(console: Console, rows: dict[str, Row], sign: tuple[float, float]) -> int:
    c32, strict, c1, bare1, hook = (rows[name] for name in ("c32", "strict", "c1", "bare1", "hook"))
    checks = [
        ("an HTTP trigger over a call, gateway CPU", hook.median("cpu_us") / c32.median("cpu_us"), "<=", 1.5, "×"),
        ("gateway CPU per call at c=32", c32.median("cpu_us"), "<=", 26.0, "µs"),
        ("calls per second at c=32, async handler", c32.median("rps"), ">=", 25_000.0, ""),
        ("calls per second at c=32, one at a time", strict.median("rps"), ">=", 12_000.0, ""),
        ("p50 at c=1 over the bare hello", c1.median("p50_us") / bare1.median("p50_us"), "<=", 2.5, "×"),
        ("1 MB calls per second", max(rows["mb1"].median("rps"), rows["mb4"].median("rps")), ">=", 500.0, ""),
        ("an ACS3 signature adds", sign[1] - c32.median("cpu_us"), "<=", 60.0, "µs"),
    ]
    table = Table(title="Promises")
    for heading in ("promise", "measured", "bound", ""):
        table.add_column(heading)
    kept = True
    for name, value, sense, bound, unit in checks:
        good = value <= bound if sense == "<=" else value >= bound
        kept = kept and good
        table.add_row(name, f"{value:,.1f} {unit}", f"{sense} {bound:,.1f} {unit}", "kept" if good else "NOT KEPT")
    console.print(table)
    for name in ("uvicorn", "functions-framework"):
        if f"{name}32" in rows:
            ratio = c32.median("rps") / rows[f"{name}32"].median("rps")
            ratio1 = c1.median("p50_us") / rows[f"{name}1"].median("p50_us")
            console.print(f"over {name}: {ratio:.2f} × the calls per second at c=32, {ratio1:.2f} × its p50 at c=1")
    failed = sum(load.errors for row in rows.values() for load in row.loads)
    return 0 if kept and not failed else 1


if __name__ == "__main__":
    sys.exit(main())
