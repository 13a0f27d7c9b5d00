"""Hands a request that is not hot to an ASGI application, on the same connection.

The body is whole before the application starts (in memory or in a file), so the application reads it without waiting;
its answer is written as it comes, and waits while the client is slow.
"""

from __future__ import annotations

import asyncio
import http
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any, Protocol
from urllib.parse import unquote

from functory.gateway.body import FileBody
from functory.gateway.head import Head
from functory.observe.logs import fields

log = logging.getLogger("functory.gateway")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
AsgiApp = Callable[[Scope, Receive, Send], Awaitable[None]]

_PIECE = 256 * 1024
_REASONS = {status.value: status.phrase for status in http.HTTPStatus}


class Line(Protocol):
    """The connection that the answer goes to."""

    peer: str
    keep_alive: bool
    write_room: asyncio.Future[None] | None

    @property
    def gone(self) -> bool:
        """The client has left."""

    @property
    def writing_paused(self) -> bool:
        """The client is slow."""

    def write(self, data: bytes) -> None:
        """Part of the answer."""

    def answered(self) -> None:
        """That was all."""

    def abort(self) -> None:
        """Ends the connection at once."""


class AsgiCall:
    """One request to the application."""

    def __init__(
        self,
        connection: Line,
        head: Head,
        payload: bytes,
        body: FileBody | None,
        app: AsgiApp,
        address: tuple[str, int],
    ) -> None:
        self._connection = connection
        self._head = head
        self._payload = payload
        self._body = body
        self._app = app
        self._address = address
        self._offset = 0
        self._read = False
        self._gone: asyncio.Event = asyncio.Event()
        self._started = False
        self._chunked = False
        self._bodiless = head.method == "HEAD"
        self._ended = False

    def run(self, loop: asyncio.AbstractEventLoop) -> None:
        """Starts the application; the connection is told when the answer is out."""
        task = loop.create_task(self._run(), name="asgi")
        _running.add(task)
        task.add_done_callback(_running.discard)

    def client_gone(self) -> None:
        """The client has left."""
        self._gone.set()

    async def _run(self) -> None:
        try:
            await self._app(self._scope(), self._receive, self._send)
        except Exception:
            log.exception(
                "The management API failed on a request; the client gets an error",
                extra=fields("asgi_failed", method=self._head.method, target=self._head.target),
            )
        finally:
            if self._body is not None:
                self._body.close()
        if self._ended:
            return
        if not self._started:
            self._connection.keep_alive = False
            await self._send(
                {"type": "http.response.start", "status": 500, "headers": [(b"content-type", b"application/json")]}
            )
            await self._send(
                {
                    "type": "http.response.body",
                    "body": b'{"Code":"InternalServerError","Message":"the request failed","RequestId":""}',
                }
            )
        else:
            self._connection.abort()

    def _scope(self) -> Scope:
        head = self._head
        path, _, query = head.target.partition(b"?")
        return {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": head.version,
            "method": head.method,
            "scheme": "http",
            "path": unquote(path.decode("latin-1")),
            "raw_path": path,
            "query_string": query,
            "root_path": "",
            "headers": head.headers,
            "client": (self._connection.peer, 0),
            "server": self._address,
            "state": {},
            "functory.target": head.target,
        }

    async def _receive(self) -> Message:
        if self._body is not None and self._offset < self._body.size_bytes:
            piece = self._body.read_at(self._offset, _PIECE)
            self._offset += len(piece)
            return {"type": "http.request", "body": piece, "more_body": self._offset < self._body.size_bytes}
        if not self._read and self._body is None:
            self._read = True
            return {"type": "http.request", "body": self._payload, "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def _send(self, message: Message) -> None:
        connection = self._connection
        if connection.gone:
            return
        if message["type"] == "http.response.start":
            self._start(message)
        elif message["type"] == "http.response.body":
            more = bool(message.get("more_body"))
            self._piece(bytes(message.get("body", b"")), more=more)
            if not more:
                self._ended = True
                connection.answered()
            elif connection.writing_paused:
                if connection.write_room is None:
                    connection.write_room = asyncio.get_running_loop().create_future()
                await connection.write_room

    def _start(self, message: Message) -> None:
        self._started = True
        status = int(message["status"])
        headers: list[tuple[bytes, bytes]] = list(message.get("headers", []))
        names = {name.lower() for name, _ in headers}
        self._bodiless = self._bodiless or status in (204, 304)
        if b"content-length" not in names and not self._bodiless:
            if self._head.version == "1.1":
                self._chunked = True
                headers.append((b"transfer-encoding", b"chunked"))
            else:
                self._connection.keep_alive = False
        if not self._connection.keep_alive:
            headers.append((b"connection", b"close"))
        lines = [b"HTTP/1.1 %d %b" % (status, _REASONS.get(status, "").encode())]
        lines += [b"%b: %b" % header for header in headers]
        self._connection.write(b"\r\n".join(lines) + b"\r\n\r\n")

    def _piece(self, body: bytes, *, more: bool) -> None:
        if self._bodiless:
            return
        if self._chunked:
            framed = b"%x\r\n%b\r\n" % (len(body), body) if body else b""
            body = framed if more else framed + b"0\r\n\r\n"
        if body:
            self._connection.write(body)


_running: set[asyncio.Task[None]] = set()
"""Keeps the tasks alive: the loop holds them weakly."""
