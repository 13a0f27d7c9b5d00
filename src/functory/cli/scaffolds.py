"""The smallest function of each kind that does something: what `new` writes."""

from __future__ import annotations

from typing import NamedTuple


class Scaffold(NamedTuple):
    """The files of one kind of function, beside `functory.toml`."""

    runtimes: str
    """How the names of its runtimes begin."""
    files: dict[str, str]
    settings: str
    """Lines of functory.toml between name and limits."""
    programs: tuple[str, ...] = ()
    """Files that are executed."""
    first: str = ""
    """What has to be done before it can be uploaded."""


_PYTHON = '''"""A function: `handler` is called once per request."""

import logging

log = logging.getLogger()


def handler(event, context):
    """`event` is what was sent, as bytes. What is returned (bytes, str, or JSON data) is the answer."""
    log.info("%d bytes came in", len(event))
    return event
'''
_NODE = """// A function: `handler` is called once per request. `event` is what was sent, as a Buffer.
// What it returns (a Buffer, a string, or JSON data) is the answer; what it throws, the error.
exports.handler = async (event, context) => {
  console.log(`${event.length} bytes came in`)
  return event
}
"""
_CUSTOM = '''#!/usr/bin/env python3
"""A function of its own making: any program that serves HTTP on the port it is given."""

import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Handler(BaseHTTPRequestHandler):
    """POST /invoke is a call; the headers x-fc-... say which. HTTP 404 or `x-fc-status: 404` means that it failed."""

    protocol_version = "HTTP/1.1"

    def do_POST(self):
        event = self.rfile.read(int(self.headers["content-length"]))
        print(len(event), "bytes came in for", self.headers["x-fc-request-id"], flush=True)
        self.send_response(200)
        self.send_header("content-length", str(len(event)))
        self.end_headers()
        self.wfile.write(event)

    def log_message(self, *_):
        """Not every request on standard error."""


ThreadingHTTPServer.request_queue_size = 128  # the default of 5 makes bursts wait for a second
ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
'''
_GO = """package main

import (
	"context"
	"fmt"

	"github.com/aliyun/fc-runtime-go-sdk/fc"
)

// handle is called once per request; what it returns is answered as JSON.
func handle(ctx context.Context, event []byte) (string, error) {
	fmt.Println(len(event), "bytes came in")
	return string(event), nil
}

func main() {
	fc.Start(handle)
}
"""
_GO_MODULE = "module function\n\ngo 1.21\n\nrequire github.com/aliyun/fc-runtime-go-sdk v0.2.7\n"
_GO_BUILD = "go mod tidy && CGO_ENABLED=0 go build -o main ."

SCAFFOLDS = (
    Scaffold("python", {"index.py": _PYTHON, "requirements.txt": ""}, 'handler = "index.handler"\n'),
    Scaffold("nodejs", {"index.js": _NODE}, 'handler = "index.handler"\n'),
    Scaffold(
        "custom",
        {"bootstrap": _CUSTOM},
        '# command = ["python3", "app.py"]    # what is started; the program `bootstrap` if nothing is said\n'
        "# port = 9000                        # only for programs that listen there whatever PORT says\n",
        programs=("bootstrap",),
    ),
    Scaffold(
        "go1",
        {"main.go": _GO, "go.mod": _GO_MODULE, ".functoryignore": "*.go\ngo.mod\ngo.sum\n"},
        f'handler = "main"    # the program; build it: {_GO_BUILD}\n',
        first=_GO_BUILD,
    ),
)


def find(runtime: str) -> Scaffold | None:
    """The one for a runtime's name."""
    return next((one for one in SCAFFOLDS if runtime.startswith(one.runtimes)), None)
