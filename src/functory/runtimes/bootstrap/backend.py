"""The function's own HTTP server, as its supervisor talks to it: connections, kept for the next request."""

from __future__ import annotations

import errno
import socket

from . import loop, messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

HOST = "127.0.0.1"
_READ_BYTES = 262144
_IDLE_MAX = 64
"""Connections kept without a request."""


class Answer:
    """What came back for one request. `on_news` is called after each read that brought some of it."""

    def __init__(self, on_news: Callable[[Answer], None]) -> None:
        self.on_news = on_news
        self.status = 0
        """0 as long as there is no head."""
        self.headers: dict[str, str] = {}
        self.pieces: list[bytes] = []
        """What has come of the body since the last look; the listener takes it away."""
        self.whole = False
        self.failure = ""
        """Why no more will come; empty if all is well."""
        self.connection: _Connection | None = None

    def take(self) -> bytes:
        """The body's bytes since the last look."""
        data = self.pieces[0] if len(self.pieces) == 1 else b"".join(self.pieces)
        self.pieces.clear()
        return data

    @property
    def length(self) -> int | None:
        """The body's length, if the server says it."""
        said = self.headers.get("content-length", "")
        return int(said) if said.isdigit() and "transfer-encoding" not in self.headers else None


class Backend:
    """Sends requests to one port."""

    def __init__(self, events: loop.Loop, port: int) -> None:
        self.port = port
        self._loop = events
        self._idle: list[_Connection] = []

    def send(self, head: bytes, body: bytes, on_news: Callable[[Answer], None]) -> Answer:
        """Sends a request; `head` ends before the empty line."""
        answer = Answer(on_news)
        connection = self._idle.pop() if self._idle else _Connection(self, self._loop)
        connection.begin([head + b"\r\n" + body] if len(body) < 65536 else [head + b"\r\n", body], answer)
        return answer

    def drop(self, answer: Answer) -> None:
        """Nobody wants the rest of this answer."""
        answer.on_news = _nobody
        if answer.connection is not None and not answer.whole:
            answer.connection.close()

    def free(self, connection: _Connection) -> None:
        """A connection has no request any more."""
        if len(self._idle) < _IDLE_MAX:
            self._idle.append(connection)
        else:
            connection.close()

    def closed(self, connection: _Connection) -> None:
        """It cannot be used any more."""
        if connection in self._idle:
            self._idle.remove(connection)


class _Connection:
    """One connection, with at most one request at a time."""

    def __init__(self, owner: Backend, events: loop.Loop) -> None:
        self._owner = owner
        self._loop = events
        self._answer: Answer | None = None
        self._out: list[memoryview] = []
        self._keep = True
        self._message = messages.Message(self._on_head, self._on_piece, self._on_end)
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._fd = self._socket.fileno()
        self._refused = self._socket.connect_ex((HOST, owner.port))
        self._writing = True
        events.watch(self._fd, loop.IN | loop.OUT, self._ready)

    def begin(self, buffers: list[bytes], answer: Answer) -> None:
        self._answer = answer
        answer.connection = self
        self._out = [memoryview(buffer) for buffer in buffers]
        if self._refused not in (0, errno.EINPROGRESS):
            self._loop.later(0, lambda: self._fail(f"it does not accept connections on port {self._owner.port}"))
            return
        self._write()

    def close(self) -> None:
        if self._fd >= 0:
            self._loop.forget(self._fd)
            self._socket.close()
            self._fd = -1
            self._owner.closed(self)

    def _ready(self, events: int) -> None:
        if events & loop.OUT and self._out:
            self._write()
        elif events & loop.OUT:
            self._want_room(False)
        if self._fd >= 0 and events & (loop.IN | loop.GONE):
            self._read()

    def _write(self) -> None:
        try:
            while self._out:
                sent = self._socket.sendmsg(self._out)
                while self._out and sent >= len(self._out[0]):
                    sent -= len(self._out.pop(0))
                if sent:
                    self._out[0] = self._out[0][sent:]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as failure:
            if failure.errno in (errno.ENOTCONN, errno.EINPROGRESS):
                pass  # the connection is being made
            elif failure.errno in (errno.EPIPE, errno.ECONNRESET):
                self._out = []  # it may have answered before it read all of it: that is in the socket
            else:
                self._fail(f"the connection to port {self._owner.port} broke: {failure.strerror}")
                return
        self._want_room(bool(self._out))

    def _want_room(self, wanted: bool) -> None:
        if wanted != self._writing and self._fd >= 0:
            self._writing = wanted
            self._loop.change(self._fd, loop.IN | loop.OUT if wanted else loop.IN)

    def _read(self) -> None:
        try:
            data = self._socket.recv(_READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError as failure:
            if failure.errno == errno.ECONNREFUSED:
                self._fail(f"it does not accept connections on port {self._owner.port}")
            else:
                self._fail("it closed the connection before it had answered")
            return
        answer = self._answer
        try:
            if data:
                self._message.feed(data)
            elif not self._message.ended() or self._answer is not None:
                self._fail("it closed the connection before it had answered")
                return
            else:
                self._keep = False
        except messages.Broken as failure:
            self._fail(f"its answer is not HTTP: {failure}")
            return
        if answer is None:
            self.close()  # closed while idle, or sent something that nobody asked for
            return
        free = self._answer is None
        if free and not self._keep:
            self.close()
        elif free:
            self._owner.free(self)
        answer.on_news(answer)

    def _fail(self, why: str) -> None:
        answer, self._answer = self._answer, None
        self.close()
        if answer is not None:
            answer.failure = why
            answer.on_news(answer)

    def _on_head(self, words: list[str], headers: dict[str, str]) -> bool:
        answer = self._answer
        if answer is None or not words[0].startswith("HTTP/1.") or not words[1][:3].isdigit():
            raise messages.Broken(f"{' '.join(words)[:80]!r} instead of a status line")
        answer.status = int(words[1][:3])
        answer.headers = headers
        self._keep = messages.keeps_alive(words[0], headers)
        return True

    def _on_piece(self, data: bytes) -> None:
        if self._answer is not None:
            self._answer.pieces.append(data)

    def _on_end(self) -> None:
        answer = self._answer
        if answer is not None and answer.status >= 200:  # an interim answer (100 Continue) is not it
            answer.whole = True
            self._answer = None


def _nobody(_: Answer) -> None:
    """Hears of an answer that nobody wants."""
