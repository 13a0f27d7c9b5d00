"""`./dev bench manage`: what management calls take, over HTTP with a signature each, on a node with many functions.

Promises measured here (SPECIFICATION.md): p50 of reads and of durable changes, deploy of a 5 MB archive until the first
answer, pages of 100 out of 10,000 functions. One client, one call at a time; client time is included.
"""

from __future__ import annotations

import argparse
import base64
import io
import json
import os
import statistics
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console
from rich.table import Table

from bench._call import servers
from functory.sdk import Client
from functory.sdk import credentials as creds

FC = "/2023-03-30/functions"
ECHO = "def handler(event, context):\n    return event\n"


def archive(padding: int = 0) -> bytes:
    """A zip with index.py and so many bytes that cannot be compressed."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("index.py", ECHO)
        if padding:
            made.writestr("data.bin", os.urandom(padding))
    return out.getvalue()


def put(client: Client, path: str, body: object) -> None:
    """A change."""
    client._transport.call("Put", "PUT", path, body=json.dumps(body).encode())


def timed(work: Callable[[], object], count: int) -> list[float]:
    """What each of `count` runs took, in milliseconds."""
    took = []
    for _ in range(count):
        begin = time.perf_counter()
        work()
        took.append((time.perf_counter() - begin) * 1000)
    return took


def fill(client: Client, count: int) -> None:
    """So many functions of the same code."""
    code = {"zipFile": base64.b64encode(archive()).decode()}
    for number in range(count):
        body = {"functionName": f"many-{number:05d}", "runtime": "python3", "handler": "index.handler", "code": code}
        client._transport.call("CreateFunction", "POST", FC, body=json.dumps(body).encode())


def pages(client: Client) -> list[float]:
    """What each page of 100 took, over all functions."""
    took, token, seen = [], "", 0
    while True:
        begin = time.perf_counter()
        query = {"limit": 100, "nextToken": token or None}
        page = json.loads(client._transport.call("ListFunctions", "GET", FC, query=query).body)
        took.append((time.perf_counter() - begin) * 1000)
        seen += len(page["functions"])
        token = page.get("nextToken", "")
        if not token:
            print(f"{seen} functions in {len(took)} pages")
            return took


def deploy(client: Client) -> float:
    """Milliseconds from the start of CreateFunction with 5 MB to the answer of the first call."""
    name = f"large-{time.monotonic_ns()}"
    code = archive(5_000_000)
    begin = time.perf_counter()
    client.functions.create(name, {"runtime": "python3", "handler": "index.handler"}, code)
    assert client.invoke(name, b"x").payload == b"x"
    return (time.perf_counter() - begin) * 1000


def measure(client: Client, functions: int, rounds: int) -> list[tuple[str, float, float, float]]:
    """What is promised: name, p50, p99, bound; in milliseconds."""
    fill(client, functions)
    put(client, f"{FC}/many-00000/concurrency", {"reservedConcurrency": 5})
    reads = timed(lambda: client.functions.get("many-00000"), rounds)
    changes = timed(lambda: put(client, f"{FC}/many-00000/concurrency", {"reservedConcurrency": 5}), rounds)
    updates = timed(lambda: put(client, f"{FC}/many-00000", {"description": str(time.monotonic_ns())}), rounds)
    deploys = [deploy(client) for _ in range(5)]
    listed = pages(client)
    found = [
        ("GetFunction", reads, 5.0),
        ("PutConcurrencyConfig, durable", changes, 5.0),
        ("UpdateFunction, durable", updates, 5.0),
        ("deploy of 5 MB to the first answer", deploys, 300.0),
        ("a page of 100 functions", listed, 10.0),
    ]
    return [(name, statistics.median(took), sorted(took)[int(len(took) * 0.99)], bound) for name, took, bound in found]


def main() -> int:
    """Prints promises and measured values; 1 if one is not kept."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--functions", type=int, default=10_000)
    options.add_argument("--rounds", type=int, default=200)
    given = options.parse_args()
    with servers.node() as node, Client(creds.read(node.data / "credentials.json")) as client:
        rows = measure(client, given.functions, given.rounds)
    table = Table(title=f"Management calls with {given.functions:,} functions, ms")
    for heading in ("what", "p50", "p99", "p50 promised", ""):
        table.add_column(heading, justify="left" if heading == "what" else "right")
    for name, middle, late, bound in rows:
        table.add_row(name, f"{middle:.2f}", f"{late:.2f}", f"≤ {bound:g}", "kept" if middle <= bound else "NOT KEPT")
    Console(width=110).print(table)
    return 0 if all(middle <= bound for _, middle, _, bound in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
