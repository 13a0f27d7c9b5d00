"""The subject of `testing.checks.runtime` for a custom runtime: a server of the standard library."""

from __future__ import annotations

import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

state = "new"
meeting = threading.Barrier(2)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        assert self.path == "/pre-stop"
        print("pre-stop ran", flush=True)  # noqa: T201
        self.answer(b"")

    def do_POST(self) -> None:
        global state
        event = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/initialize":
            if os.environ.get("INIT_FAILS"):
                self.answer(b"not today", 500)
                return
            state = "initialized"
            self.answer(b"")
            return
        assert self.headers["x-fc-control-path"] == self.path == "/invoke"
        if event.startswith(b"{"):
            told = json.loads(event)
            getattr(self, "on_" + told["do"])(told)
        else:
            self.answer(event)

    def answer(self, body: bytes, status: int = 200, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def on_fail(self, told: dict[str, Any]) -> None:
        self.answer(b'{"errorMessage": "on purpose", "errorType": "Wish"}', x_fc_status="404")

    def on_print(self, told: dict[str, Any]) -> None:
        print(told["text"], flush=True)  # noqa: T201
        self.answer(b"printed")

    def on_env(self, told: dict[str, Any]) -> None:
        self.answer(os.environ.get(told["name"], "").encode())

    def on_context(self, told: dict[str, Any]) -> None:
        said = {
            "requestId": self.headers["x-fc-request-id"],
            "function": self.headers["x-fc-function-name"],
            "region": self.headers["x-fc-region"],
            "retryCount": int(self.headers.get("x-fc-retry-count", "0")),
        }
        self.answer(json.dumps(said).encode())

    def on_state(self, told: dict[str, Any]) -> None:
        self.answer(state.encode())

    def on_exit(self, told: dict[str, Any]) -> None:
        os._exit(told["code"])

    def on_hang(self, told: dict[str, Any]) -> None:
        threading.Event().wait()

    def on_meet(self, told: dict[str, Any]) -> None:
        meeting.wait(15)
        self.answer(b"met")

    def on_stream(self, told: dict[str, Any]) -> None:
        self.send_response(200)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for piece in (b"one", b"two", b"three"):
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            self.wfile.flush()
            threading.Event().wait(0.05)  # what is written together may arrive together
        self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_: object) -> None:
        """Only what a check asks for is printed."""


ThreadingHTTPServer.request_queue_size = 128  # the default of 5 makes bursts wait for a second
ThreadingHTTPServer(("0.0.0.0", int(os.environ["FC_CUSTOM_LISTEN_PORT"])), Handler).serve_forever()
