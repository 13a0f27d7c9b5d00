"""Instances on standby, on a real node: frozen they take nothing, and a call, an end or a change finds them alive."""

from __future__ import annotations

import io
import os
import pwd
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from e2e.node_process import NodeProcess
from functory.sdk import Client
from functory.testing.checks.sandbox import descendants

pytestmark = pytest.mark.server

FREEZE_S = 0.3
LIMIT_S = 20
SPINNING = """
import threading, time
turns = 0
def spin():
    global turns
    while True:
        turns += 1
def handler(event, context):
    global turns
    if event == b"spin":
        threading.Thread(target=spin, daemon=True).start()
    return str(turns)
"""
ECHO = "def handler(event, context):\n    return event\n"
NODE_ECHO = "exports.handler = async (event) => event.toString();\n"
PRE_STOP = """
import pathlib
def handler(event, context):
    return event
def stop(context):
    print("stopped in order", flush=True)
"""


SERVER = """
import http.server, sys
class Echo(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"] or 0))
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Echo).serve_forever()
"""


def zipped(source: str, name: str = "index.py") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, source)
    return buffer.getvalue()


@pytest.fixture(scope="module", params=["auto", "process", "ordinary user"])
def quick(request: pytest.FixtureRequest) -> Iterator[NodeProcess]:
    """A node that freezes soon: boxed, with plain processes, and boxed as a user without control groups."""
    isolation = "process" if request.param == "process" else "auto"
    flags = ("--instance-freeze-s", f"{FREEZE_S}s", "--instances-parked", "0", "--isolation", isolation)
    with tempfile.TemporaryDirectory(prefix="functory-standby-", dir="/var/tmp") as folder:
        prefix = as_nobody(folder) if request.param == "ordinary user" else ()
        node = NodeProcess(Path(folder), *flags, "--log-level", "warning", prefix=prefix)
        node.start()
        yield node
        assert node.stop() == 0, node.log


def as_nobody(folder: str) -> tuple[str, ...]:
    """What runs a command as an ordinary user, who gets the folder."""
    if os.geteuid() != 0 or shutil.which("setpriv") is None:
        pytest.skip("cannot be shown here: only root can become another user")
    nobody = pwd.getpwnam("nobody")
    os.chown(folder, nobody.pw_uid, nobody.pw_gid)
    users = (f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}")
    become = ("setpriv", *users, "--clear-groups", "--inh-caps=-all")
    if subprocess.run([*become, sys.executable, "-c", "import functory"], capture_output=True).returncode != 0:
        pytest.skip("cannot be shown here: another user cannot read this checkout or its interpreter")
    return become


@pytest.fixture
def client(quick: NodeProcess) -> Iterator[Client]:
    with Client(quick.credentials) as connected:
        yield connected


def create(client: Client, name: str, source: str, **fields: object) -> None:
    known: dict[str, object] = {"runtime": "python3", "handler": "index.handler", "timeout": 30}
    if fields.get("runtime") == "custom":
        port = free_port()  # plain processes share the machine's, where 9000 may be taken
        known["customRuntimeConfig"] = {"command": ["python3", "index.py", str(port)], "port": port}
    file = "index.js" if fields.get("runtime", "").startswith("nodejs") else "index.py"  # type: ignore[attr-defined]
    client.functions.create(name, {**known, **fields}, zipped(source, file))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return int(server.getsockname()[1])


def until(what: Callable[[], bool]) -> None:
    """Waits for what the node does on its own."""
    deadline = time.monotonic() + LIMIT_S
    while not what():
        assert time.monotonic() < deadline, "it never came about"
        time.sleep(0.02)


def until_frozen(client: Client, number: int) -> None:
    """Waits until so many are frozen, and no other is there."""
    try:
        until(lambda: client.node().instances.standby == number)
    except AssertionError:
        raise AssertionError(f"{number} were to be frozen: {client.node().instances}") from None


def main_pids(node: NodeProcess, *names: str) -> list[int]:
    """The main processes of its instances: each bears its id as its name, unless another program took its place."""
    found = []
    for pid in descendants(node.process.pid):
        try:
            if Path(f"/proc/{pid}/comm").read_text().startswith(names or ("c-",)):
                found.append(pid)
        except OSError:
            continue
    return found


def cpu_ns(pid: int) -> int:
    return time.clock_gettime_ns((~pid << 3) | 2)


def forget(client: Client, *names: str) -> None:
    for name in names:
        client.functions.delete(name)
    until(lambda: client.node().instances.alive == 0)


def test_a_thread_that_spins_makes_no_progress_while_its_instance_is_frozen(client: Client, quick: NodeProcess) -> None:
    create(client, "spins", SPINNING)
    client.invoke("spins", b"spin")
    until_frozen(client, 1)
    pids = main_pids(quick)
    time.sleep(0.1)  # what runs on another processor stops at its next interrupt
    before = {pid: cpu_ns(pid) for pid in pids}
    time.sleep(0.5)
    assert {pid: cpu_ns(pid) for pid in pids} == before
    first = int(client.invoke("spins", b"").payload)
    until(lambda: int(client.invoke("spins", b"").payload) > first)
    forget(client, "spins")


def test_a_call_that_finds_it_frozen_is_answered_within_a_millisecond_more(client: Client) -> None:
    create(client, "cold", ECHO)
    warm, thawed = [], []
    for _ in range(5):
        assert client.invoke("cold", b"1").payload == b"1"
        time.sleep(0.05)
        warm.append(timed(lambda: client.invoke("cold", b"2")))
        until_frozen(client, 1)
        time.sleep(0.05)
        thawed.append(timed(lambda: client.invoke("cold", b"3")))
    added_ms = statistics.median(thawed) - statistics.median(warm)
    assert added_ms < 5, "the promise is 1 ms; this bound is for a loaded machine"
    forget(client, "cold")


def timed(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1e3


@pytest.mark.parametrize(("runtime", "source"), [("python3", ECHO), ("nodejs20", NODE_ECHO), ("custom", SERVER)])
def test_it_answers_the_same_after_every_thaw(client: Client, runtime: str, source: str) -> None:
    create(client, "again", source, runtime=runtime)
    ids = set()
    for number in range(3):
        answer = client.invoke("again", b"%d" % number)
        assert answer.payload == b"%d" % number
        ids.add(answer.instance_id)
        until_frozen(client, 1)
    assert len(ids) == 1, "it was the same instance all the time"
    forget(client, "again")


def test_a_function_that_is_changed_or_deleted_while_frozen_leaves_no_process(
    client: Client, quick: NodeProcess
) -> None:
    create(client, "changes", ECHO)
    client.invoke("changes", b"")
    until_frozen(client, 1)
    before = set(main_pids(quick))
    client.functions.update("changes", {}, zipped(ECHO.replace("event\n", "b'new'\n")))
    assert client.invoke("changes", b"").payload == b"new"
    until(lambda: not before & set(main_pids(quick)))
    until_frozen(client, 1)
    forget(client, "changes")
    until(lambda: not main_pids(quick))


def test_a_frozen_instance_that_is_killed_from_outside_is_replaced(client: Client, quick: NodeProcess) -> None:
    create(client, "dies", ECHO)
    client.invoke("dies", b"")
    until_frozen(client, 1)
    for pid in main_pids(quick):
        os.kill(pid, 9)
    until(lambda: client.node().instances.alive == 0)
    assert client.invoke("dies", b"back").payload == b"back"
    forget(client, "dies")
