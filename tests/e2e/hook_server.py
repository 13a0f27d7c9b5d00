"""A server of somebody else's, to which a node delivers: it keeps what comes and answers as it is told."""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import NamedTuple


class Arrived(NamedTuple):
    """One request."""

    path: str
    headers: dict[str, str]
    """Names are lower-case."""
    body: bytes


class HookServer:
    """`arrived` holds the requests in order; `answers` the statuses of the next answers, 200 once it is empty."""

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.arrived: queue.Queue[Arrived] = queue.Queue()
        self.answers: queue.Queue[int] = queue.Queue()


@contextmanager
def hook_server() -> Iterator[HookServer]:
    """A server on a free port of this machine."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            headers = {name.lower(): value for name, value in self.headers.items()}
            hook.arrived.put(Arrived(self.path, headers, body))
            try:
                status = hook.answers.get_nowait()
            except queue.Empty:
                status = 200
            self.send_response(status)
            self.send_header("content-length", "0")
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:
            """Nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    hook = HookServer(server.server_port)
    serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
    serving.start()
    try:
        yield hook
    finally:
        server.shutdown()
        server.server_close()
        serving.join(5)
