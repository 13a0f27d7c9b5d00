"""`./dev bench runtimes`: what an instance of each runtime costs: its start, its first answer, its calls per second.

Starts are measured from the caller's side over a warm call: a function that was just made is called once. Nothing is
promised here yet but Node's stem cell (not built): the figures say what a cold start of each kind is today.
"""

from __future__ import annotations

import argparse
import io
import shutil
import statistics
import sys
import time
import zipfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console
from rich.table import Table

from bench._call import servers
from bench._call.load import wrk
from contracts import go_program
from functory.sdk import Client
from functory.sdk import credentials as creds

SUBJECTS = Path(__file__).resolve().parents[1] / "contracts" / "subjects"
BODY = b"x" * 100
PYTHON = b"def handler(event, context):\n    return event\n"
NODE = b"exports.handler = async event => event\n"


def _zip(name: str, content: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        entry = zipfile.ZipInfo(name)
        entry.external_attr = 0o755 << 16
        archive.writestr(entry, content)
    return buffer.getvalue()


def subjects() -> dict[str, tuple[bytes, dict[str, object]]]:
    """Code and fields of an echo function, by what runs it."""

    def server(program: str, name: str) -> tuple[bytes, dict[str, object]]:
        config = {"command": [program, f"/code/{name}"]}
        return _zip(name, (SUBJECTS / name).read_bytes()), {"runtime": "custom", "customRuntimeConfig": config}

    found: dict[str, tuple[bytes, dict[str, object]]] = {
        "python3": (_zip("index.py", PYTHON), {"runtime": "python3"}),
        "custom, http.server": server("python3", "server.py"),
    }
    if shutil.which("node"):
        found["nodejs20"] = (_zip("index.js", NODE), {"runtime": "nodejs20"})
        found["custom, node:http"] = server("node", "server.js")
    if shutil.which("go"):
        code = _zip("main", go_program.build(SUBJECTS / "go"))
        found["go1, official SDK"] = (code, {"runtime": "go1", "handler": "main"})
    return found


def _create(client: Client, name: str, code: bytes, fields: dict[str, object]) -> None:
    # Enough vCPU that its limit is not what is measured: 0.35 stretch the 40 ms of Node's start to 115.
    known = {"handler": "index.handler", "memorySize": 2048, "cpu": 2, "timeout": 30}
    client.functions.create(name, {**known, **fields}, code)


def _start_ms(client: Client, code: bytes, fields: dict[str, object], name: str) -> float:
    """A cold call minus a warm one."""
    _create(client, name, code, fields)
    took = []
    for _ in range(4):
        began = time.perf_counter()
        client.invoke(name, BODY)
        took.append((time.perf_counter() - began) * 1000)
    client.functions.delete(name)
    return took[0] - statistics.median(took[1:])


def main() -> int:
    """Measures and prints."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--starts", type=int, default=11)
    options.add_argument("--seconds", type=float, default=3.0)
    chosen = options.parse_args()
    table = Table(
        "runtime", "start over a warm call, p50", "max", "c=1, p50", "calls/s, c=32, 1 instance × 32", "errors"
    )
    with servers.node() as node:
        client = Client(creds.read(node.data / "credentials.json"))
        token = client.create_token().token
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/octet-stream"}
        for number, (what, (code, fields)) in enumerate(subjects().items()):
            starts = [_start_ms(client, code, fields, f"start-{number}-{turn}") for turn in range(chosen.starts)]
            name = f"echo-{number}"
            _create(client, name, code, {**fields, "instanceConcurrency": 32})
            url = f"{node.url}/2023-03-30/functions/{name}/invocations"
            loads = [
                wrk(url, connections=connections, seconds=seconds, pid=node.pid, body=BODY, headers=headers)
                for connections, seconds in ((1, 1.0), (1, chosen.seconds), (32, chosen.seconds))
            ]
            table.add_row(
                what,
                f"{statistics.median(starts):.1f} ms",
                f"{max(starts):.1f} ms",
                f"{loads[1].p50_us:.0f} µs",
                f"{loads[2].rps:,.0f}",
                str(sum(load.errors for load in loads)),
            )
    Console(width=140).print(table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
