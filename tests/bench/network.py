"""`./dev bench network`: what a network of its own adds to a start, and how fast the relay is.

Starts are made without a node, the three modes interleaved, namespaces made ahead as in a quiet node. The relay is
measured through a real node, beside the same function with the node's network. One function at a time.
"""

from __future__ import annotations

import argparse
import json
import os
import socket
import statistics
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from rich.console import Console
from rich.table import Table

from bench.call import zipped
from bench.start import ECHO, PAUSE_S, Row, boxes, end, spawn
from e2e.node_process import NodeProcess
from functory.model.network import Policy, Rule
from functory.network import kernel
from functory.sdk import Client

POLICY = Policy(
    title="bench", rules=(Rule(names=("db.example.com", "*.example.net"), ports=((443, 443), (5432, 5432))),)
)
TALK = """
import json, socket, time
def handler(event, context):
    host, port, count, megabytes = json.loads(event)
    begun = time.perf_counter()
    for _ in range(count):
        with socket.create_connection((host, port)) as made:
            made.sendall(b"p")
            made.recv(1)
    connects = count / (time.perf_counter() - begun)
    with socket.create_connection((host, port)) as made:
        made.sendall(b"d" + megabytes.to_bytes(4, "big"))
        buffer, left, begun = bytearray(1 << 18), megabytes << 20, time.perf_counter()
        while left > 0:
            left -= made.recv_into(buffer) or left
    return {"connects": connects, "megabytes": megabytes / (time.perf_counter() - begun)}
"""


def starts(count: int, *, groups: bool) -> list[Row]:
    """Spawn to first answer in ms, by mode."""
    fields: dict[str, dict[str, Any]] = {
        "host": {},
        "none": {"network": "none"},
        "allow": {"network": "allow", "network_rules": kernel.rules(POLICY)},
    }
    found: dict[str, list[float]] = {name: [] for name in fields}
    with boxes(groups=groups) as (workshop, maker):
        code = workshop.code(ECHO)
        for number in range(count + 2):
            for name, more in fields.items():
                while maker.short:
                    maker.refill()
                time.sleep(PAUSE_S)
                running, took = spawn(workshop, code, **more)
                for fd in running.box.relayed():
                    os.close(fd)
                end(workshop, running)
                if number > 1:  # the first of each kind starts the helper
                    found[name].append(took)
    base = statistics.median(found["host"])
    return [
        Row("start with the node's network", found["host"]),
        *(
            Row(f"what network '{name}' adds to it", [took - base for took in found[name]], promise=0.3)
            for name in ("none", "allow")
        ),
    ]


def serve(server: socket.socket) -> None:
    """Answers a byte with a byte, or with so many megabytes."""
    piece = bytes(1 << 20)
    while True:
        made, _ = server.accept()
        with made:
            asked = made.recv(5)
            if asked[:1] == b"d":
                for _ in range(int.from_bytes(asked[1:], "big")):
                    made.sendall(piece)
            else:
                made.sendall(b"p")


def relay() -> dict[str, dict[str, float]]:
    """Connections per second and MB/s, direct and relayed."""
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder, socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=serve, args=(server,), daemon=True).start()
        port = server.getsockname()[1]
        node = NodeProcess(Path(folder))
        node.start()
        found = {}
        with Client(node.credentials) as client:
            client.vpcs.create(
                "vpc",
                {"names": ["bench.internal"], "cidrs": ["127.0.0.1/32"], "hosts": {"bench.internal": "127.0.0.1"}},
            )
            common = {"runtime": "python3", "handler": "index.handler", "timeout": 60, "cpu": 1, "memorySize": 1024}
            vpc = {"internetAccess": False, "vpcConfig": {"vpcId": "vpc"}}
            for name, host, more in (("direct", "127.0.0.1", {}), ("relayed", "bench.internal", vpc)):
                client.functions.create(name, {**common, **more}, zipped(TALK))
                client.invoke(name, json.dumps([host, port, 10, 1]))
                answer = client.invoke(name, json.dumps([host, port, 1000, 1000]))
                found[name] = json.loads(answer.payload)
        node.stop()
    return found


def main() -> int:
    """Prints all; 1 if a promise is not kept."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-n", type=int, default=40, help="starts of each mode")
    parser.add_argument("--first", action="store_true", help="starts run before all other processes (root only)")
    arguments = parser.parse_args()
    if arguments.first:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    rows = starts(arguments.n, groups=not arguments.first)
    if arguments.first:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    table = Table("measure", "median", "p99", "promise")
    for row in rows:
        table.add_row(row.name, f"{row.median:.2f} {row.unit}", f"{row.last:.2f}", f"{row.promise or ''}")
    for name, values in relay().items():
        table.add_row(f"{name}: connect, a byte each way", f"{values['connects']:.0f}/s", "", "")
        table.add_row(f"{name}: one stream", f"{values['megabytes']:.0f} MB/s", "", "")
    Console().print(table)
    return 0 if all(row.kept for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
