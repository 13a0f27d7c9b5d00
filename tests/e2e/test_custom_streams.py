"""Streams of custom runtimes through both forms of a trigger's URL: pieces come as they are written."""

from __future__ import annotations

import json
from collections.abc import Iterator

import httpx
import msgspec
import pytest

from e2e.node_process import NodeProcess
from e2e.test_roles import packed
from functory.sdk import Client

pytestmark = [pytest.mark.server, pytest.mark.timeout(120)]

SERVER = """
import os, threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
NEXT = threading.Semaphore(0)
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        NEXT.release()
        self.send_response(200)
        self.send_header("content-length", "0")
        self.end_headers()
    def do_GET(self):
        events = self.path.startswith("/events")
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if events else "application/x-pieces")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for number in range(3):
            piece = f"data: {number}\\n\\n".encode() if events else b"%d" % number * 70000
            self.wfile.write(b"%x\\r\\n%b\\r\\n" % (len(piece), piece))
            self.wfile.flush()
            NEXT.acquire()  # the next piece only once the client has this one
        self.wfile.write(b"0\\r\\n\\r\\n")
    def log_message(self, *_): pass
ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
"""


@pytest.fixture(scope="module")
def streaming(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """A node with a domain for functions, and one that streams."""
    own = NodeProcess(tmp_path_factory.mktemp("streams"), "--domain", "fn.test")
    own.start()
    with Client(own.credentials) as client:
        settings = {
            "runtime": "custom",
            "handler": "x",
            "timeout": 30,
            "instanceConcurrency": 10,
            "customRuntimeConfig": {"command": ["python3", "/code/app.py"]},
        }
        client.functions.create("stream", settings, packed({"app.py": SERVER}))
        config = {"authType": "anonymous", "methods": ["GET", "POST"]}
        body = {"triggerName": "open", "triggerType": "http", "triggerConfig": json.dumps(config)}
        path = "/2023-03-30/functions/stream/triggers"
        client._transport.call("CreateTrigger", "POST", path, body=msgspec.json.encode(body))
    yield own
    assert own.stop() == 0


@pytest.mark.parametrize("form", ["path", "host"])
@pytest.mark.parametrize("kind", ["events", "pieces"])
def test_each_piece_arrives_before_the_next_is_written(streaming: NodeProcess, form: str, kind: str) -> None:
    prefix, headers = ("/fn/stream", {}) if form == "path" else ("", {"host": "stream.fn.test"})
    url = streaming.endpoint + prefix
    got = b""
    with httpx.Client(headers=headers, timeout=20) as http, http.stream("GET", f"{url}/{kind}") as answer:
        assert answer.headers["transfer-encoding"] == "chunked"
        expected = "text/event-stream" if kind == "events" else "application/x-pieces"
        assert answer.headers["content-type"] == expected
        wanted = 0
        for piece in answer.iter_raw():
            got += piece
            wanted += got.count(b"\n\n") > wanted if kind == "events" else len(got) >= 70000 * (wanted + 1)
            if wanted and len(got) in (9 * wanted, 70000 * wanted):
                assert httpx.post(f"{url}/go", headers=headers).status_code == 200
    whole = b"".join(b"data: %d\n\n" % n if kind == "events" else b"%d" % n * 70000 for n in range(3))
    assert got == whole
