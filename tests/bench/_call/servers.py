"""Servers to measure: a Functory node, and what stands beside it in the same run."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PEERS = ROOT / ".venv-bench" / "bin"
START_S = 30.0


@dataclass(frozen=True)
class Server:
    """A process that listens."""

    url: str
    pid: int
    data: Path


def free_port() -> int:
    """A port nobody listens on now."""
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        port: int = one.getsockname()[1]
        return port


@contextmanager
def node(*flags: str, environment: dict[str, str] | None = None) -> Iterator[Server]:
    """A Functory node with its default settings but for `flags`; `environment` is added to ours."""
    with tempfile.TemporaryDirectory(prefix="functory-bench-") as folder:
        command = [
            sys.executable,
            "-m",
            "functory",
            "up",
            "--port",
            "0",
            "--data",
            folder,
            "--log-level",
            "warning",
            *flags,
        ]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, text=True, env={**os.environ, **(environment or {})}
        )
        try:
            assert process.stdout is not None
            for line in process.stdout:
                if line.startswith("ready "):
                    break
            else:
                raise RuntimeError("the node ended before it was ready")
            drain = threading.Thread(target=process.stdout.read, daemon=True)
            drain.start()
            yield Server(line.split()[1], process.pid, Path(folder))
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
            process.wait()


@contextmanager
def peer(command: Sequence[str], port: int, cwd: Path, environment: dict[str, str] | None = None) -> Iterator[Server]:
    """Any server that listens on `port`; its busiest process is the one that is watched."""
    process = subprocess.Popen(
        command,
        cwd=cwd,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, **(environment or {})},
    )
    try:
        _wait_for(port, process)
        yield Server(f"http://127.0.0.1:{port}/", _worker(process.pid), cwd)
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
        process.kill()
        process.wait()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        if process.poll() is not None:
            raise RuntimeError(f"{process.args!r} ended with {process.returncode}")
        time.sleep(0.05)
    raise RuntimeError(f"{process.args!r} did not listen on {port}")


def _worker(pid: int) -> int:
    """The worker of a pre-forking server, else the process itself."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(children[0]) if children else pid


BARE = """
import asyncio, sys, httptools, uvloop

class Hello(asyncio.Protocol):
    def connection_made(self, transport):
        self.transport = transport
        self.parser = httptools.HttpRequestParser(self)
    def data_received(self, data):
        self.parser.feed_data(data)
    def on_message_complete(self):
        self.transport.write(b"HTTP/1.1 200 OK\\r\\ncontent-length: 5\\r\\n\\r\\nhello")

async def main():
    server = await asyncio.get_running_loop().create_server(Hello, "127.0.0.1", int(sys.argv[1]), backlog=4096)
    await server.serve_forever()

uvloop.run(main())
"""

UVICORN = """
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    body, more = b"", True
    while more:
        message = await receive()
        body += message.get("body", b"")
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200,
                "headers": [(b"content-type", b"application/octet-stream"), (b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})
"""

FRAMEWORK = """
import functions_framework

@functions_framework.http
def echo(request):
    return request.get_data()
"""


@contextmanager
def bare(folder: Path) -> Iterator[Server]:
    """uvloop and httptools with nothing else: the floor."""
    (folder / "bare.py").write_text(BARE)
    port = free_port()
    with peer([sys.executable, "bare.py", str(port)], port, folder) as server:
        yield server


@contextmanager
def uvicorn(folder: Path) -> Iterator[Server]:
    """The same echo as an ASGI application under uvicorn[standard]: no function platform, no isolation."""
    (folder / "echo_asgi.py").write_text(UVICORN)
    port = free_port()
    command = [
        str(PEERS / "python"),
        "-m",
        "uvicorn",
        "echo_asgi:app",
        "--port",
        str(port),
        "--no-access-log",
        "--log-level",
        "warning",
    ]
    with peer(command, port, folder) as server:
        yield server


@contextmanager
def functions_framework(folder: Path) -> Iterator[Server]:
    """The same echo under functions-framework: one process, its own production server."""
    (folder / "main.py").write_text(FRAMEWORK)
    port = free_port()
    command = [str(PEERS / "functions-framework"), "--target", "echo", "--source", "main.py", "--port", str(port)]
    with peer(command, port, folder, {"WORKERS": "1", "THREADS": "32"}) as server:
        yield server
