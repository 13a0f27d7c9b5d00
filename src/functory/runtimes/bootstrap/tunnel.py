"""Upgraded connections (WebSocket): bytes between the node's stream and a connection of the function's server.

Each side sends what the other has given it credit for, and gives credit for what it has passed on. The first answer
decides: 101 opens the tunnel, any other is passed on as that of a request.
"""

from __future__ import annotations

import errno
import socket

from . import backend, loop, messages, web
from .frames import PIECE_BYTES, WINDOW_BYTES

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from . import facts, speakers

_GRANT_BYTES = WINDOW_BYTES // 4
_SWITCHED = b"HTTP/1.1 101 "


class Tunnels:
    """Those that are open, by stream."""

    def __init__(self, events: loop.Loop, answers: speakers.Answers) -> None:
        self._loop = events
        self._answers = answers
        self._open: dict[int, Tunnel] = {}

    def open(self, request: facts.Request, port: int, head: bytes, usual: speakers.WebRelay) -> None:
        """Passes a request on. `head` ends before the empty line; `usual` takes an answer that does not switch."""
        ended = lambda: self._open.pop(request.stream, None)  # noqa: E731
        made = Tunnel(self._loop, request, self._answers, usual, ended)
        self._open[request.stream] = made
        made.begin(port, head)

    def more(self, stream: int, data: bytes, *, last: bool) -> None:
        """Bytes of the client."""
        found = self._open.get(stream)
        if found is not None:
            found.send(data, last=last)

    def credit(self, stream: int, count: int) -> None:
        """The node has passed on so many bytes."""
        found = self._open.get(stream)
        if found is not None:
            found.credit(count)

    def cancel(self, stream: int) -> bool:
        """The client is gone: the server sees its connection closed. Whether there was such a tunnel."""
        found = self._open.get(stream)
        if found is not None:
            found.end()
        return found is not None


class Tunnel:
    """One connection of the server."""

    def __init__(
        self,
        events: loop.Loop,
        request: facts.Request,
        answers: speakers.Answers,
        usual: speakers.WebRelay,
        on_end: Callable[[], object],
    ) -> None:
        self._loop = events
        self._request = request
        self._answers = answers
        self._on_end = on_end
        self._answer = backend.Answer(usual.news)
        self._message = messages.Message(self._on_head, self._answer.pieces.append, self._on_whole)
        self._usual = False
        self._switched = False
        self._first = b""
        self._out: list[memoryview] = []
        self._last = False
        self._credit = WINDOW_BYTES
        self._owed = 0
        self._watching = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._fd = self._socket.fileno()

    def begin(self, port: int, head: bytes) -> None:
        """Connects and asks."""
        refused = self._socket.connect_ex((backend.HOST, port))
        if refused not in (0, errno.EINPROGRESS):
            self._fail(f"it does not accept connections on port {port}")
            return
        self._out.append(memoryview(head + b"\r\n"))
        self._watch()

    # --- from the node ------------------------------------------------------------------------------------------------

    def send(self, data: bytes, *, last: bool) -> None:
        """Bytes for the server; `last`: none follow."""
        if data:
            self._out.append(memoryview(data))
        self._last = self._last or last
        self._write()

    def credit(self, count: int) -> None:
        """The node has room again."""
        self._credit += count
        self._watch()

    def end(self) -> None:
        """Closes it, for whatever reason; the node hears the end."""
        if self._fd < 0:
            return
        self._close()
        if self._switched:
            self._answers.piece(self._request, b"", first=False, last=True, length=None)
        else:
            self._answer.failure = "the request was cancelled"
            self._answer.on_news(self._answer)

    # --- the socket ---------------------------------------------------------------------------------------------------

    def _ready(self, events: int) -> None:
        if events & loop.OUT:
            self._write()
        if self._fd >= 0 and events & (loop.IN | loop.GONE):
            self._read()

    def _watch(self) -> None:
        """Waits for what can be done now. Without credit nothing is read, not even the end."""
        if self._fd < 0:
            return
        wanted = (loop.OUT if self._out else 0) | (loop.IN if self._credit > 0 else 0)
        if wanted == self._watching:
            return
        if not wanted:
            self._loop.forget(self._fd)
        elif not self._watching:
            self._loop.watch(self._fd, wanted, self._ready)
        else:
            self._loop.change(self._fd, wanted)
        self._watching = wanted

    def _write(self) -> None:
        try:
            while self._out:
                sent = self._socket.send(self._out[0])
                self._passed_on(sent)
                if sent < len(self._out[0]):
                    self._out[0] = self._out[0][sent:]
                else:
                    del self._out[0]
            if self._last and self._switched:
                self._last = False
                self._socket.shutdown(socket.SHUT_WR)
        except (BlockingIOError, InterruptedError):
            pass
        except OSError as failure:
            if failure.errno not in (errno.ENOTCONN, errno.EINPROGRESS):
                self._out = []  # what it has said before it closed is read yet
        self._watch()

    def _passed_on(self, count: int) -> None:
        if self._switched:
            self._owed += count
            if self._owed >= _GRANT_BYTES:
                self._answers.credit(self._request, self._owed)
                self._owed = 0

    def _read(self) -> None:
        if self._credit <= 0:
            return
        try:
            data = self._socket.recv(min(PIECE_BYTES, self._credit))
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if self._switched:
            self._carry(data)
        elif not data:
            self._fail("it closed the connection before it had answered")
        else:
            self._take_answer(data)

    def _carry(self, data: bytes) -> None:
        if data:
            self._credit -= len(data)
            self._answers.piece(self._request, data, first=False, last=False, length=None)
            self._watch()
        else:
            self.end()

    # --- the answer ---------------------------------------------------------------------------------------------------

    def _take_answer(self, data: bytes) -> None:
        if not self._usual:
            self._first += data
            if b"\r\n\r\n" not in self._first and len(self._first) <= messages.HEAD_BYTES:
                return
            data = self._first
            if data.startswith(_SWITCHED):
                self._switch(data)
                return
            self._usual = True
        try:
            self._message.feed(data)
        except messages.Broken as failure:
            self._fail(f"its answer is not HTTP: {failure}")
            return
        self._answer.on_news(self._answer)
        if self._answer.whole:
            self._close()

    def _switch(self, data: bytes) -> None:
        head, _, rest = data.partition(b"\r\n\r\n")
        try:
            headers = messages.headers_of(head.decode("latin-1").partition("\r\n")[2])
        except messages.Broken as failure:
            self._fail(f"its answer is not HTTP: {failure}")
            return
        self._switched = True
        self._answers.begin_two_way(self._request, web.head(101, headers))
        if rest:
            self._carry(rest)
        self._write()

    def _on_head(self, words: list[str], headers: dict[str, str]) -> bool:
        self._answer.status = int(words[1][:3]) if words[1][:3].isdigit() else 502
        self._answer.headers = headers
        return True

    def _on_whole(self) -> None:
        self._answer.whole = self._answer.status >= 200

    def _fail(self, why: str) -> None:
        ended = self._usual and self._message.ended() and self._answer.whole
        self._close()
        if not ended:
            self._answer.failure = why
        self._answer.on_news(self._answer)

    def _close(self) -> None:
        if self._fd >= 0:
            if self._watching:
                self._loop.forget(self._fd)
            self._watching = 0
            self._socket.close()
            self._fd = -1
            self._on_end()
