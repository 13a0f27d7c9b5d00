"""The public runtime API, as a program asks for its requests:

    GET  /2020-11-11/runtime/invocation/next            waits for an event; who it is for stands in its headers
    POST /2020-11-11/runtime/invocation/{id}/response   the answer
    POST /2020-11-11/runtime/invocation/{id}/error      {"errorMessage", "errorType", "stackTrace"}

An unmodified binary of the official Go SDK runs on it. It is served on a loopback port, which FC_RUNTIME_API names.
"""

from __future__ import annotations

import errno
import socket
from collections import deque

from . import loop, messages

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    OnAnswer = Callable[[str, bool, bytes], None]
    """`(id, whether it is an error, body)`."""

HOST = "127.0.0.1"
PATH = "/2020-11-11/runtime/invocation/"
BODY_BYTES = 33 << 20
"""The longest answer; what is beyond the official 32 MB is refused."""
INVOKE, INITIALIZER, PRE_STOP = 0, 1, 2
"""What `x-fc-function-type` says."""
_READ_BYTES = 262144
_CONNECTIONS = 256


class RuntimeApi:
    """Serves one program."""

    def __init__(self, events: loop.Loop, on_first: Callable[[], None], on_answer: OnAnswer) -> None:
        """`on_first`: the program has asked for the first time. `on_answer` is told of each answer once."""
        self._loop = events
        self._on_first = on_first
        self._on_answer = on_answer
        self._asked = False
        self._events: deque[tuple[str, bytes, bytes]] = deque()
        self._waiting: deque[_Connection] = deque()
        self._open: set[str] = set()
        self.connections = 0
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._socket.bind((HOST, 0))
        self._socket.listen(64)
        events.watch(self._socket.fileno(), loop.IN, self._accept)

    @property
    def address(self) -> str:
        """`host:port`, what FC_RUNTIME_API holds."""
        return f"{HOST}:{self._socket.getsockname()[1]}"

    def put(self, name: str, head: bytes, event: bytes) -> None:
        """An event for whoever asks next. `head`: header lines."""
        self._open.add(name)
        self._events.append((name, head, event))
        self._match()

    def drop(self, name: str) -> None:
        """Nobody wants an answer to this event any more."""
        self._open.discard(name)
        self._events = deque(one for one in self._events if one[0] != name)

    def asked(self, connection: _Connection) -> None:
        """A connection waits for an event."""
        self._waiting.append(connection)
        if not self._asked:
            self._asked = True
            self._on_first()
        self._match()

    def answered(self, name: str, is_error: bool, body: bytes) -> bool:
        """An answer has come; False if nobody waits for it."""
        if name not in self._open:
            return False
        self._open.discard(name)
        self._on_answer(name, is_error, body)
        return True

    def gone(self, connection: _Connection) -> None:
        """A connection is closed."""
        self.connections -= 1
        if connection in self._waiting:
            self._waiting.remove(connection)

    def _match(self) -> None:
        while self._events and self._waiting:
            _, head, event = self._events.popleft()
            self._waiting.popleft().reply(b"200 OK", head, event)

    def _accept(self, _: int) -> None:
        try:
            accepted, _address = self._socket.accept()
        except OSError as failure:
            if failure.errno in (errno.EMFILE, errno.ENFILE):
                raise  # the program has taken all descriptors of the instance, this process too
            return
        if self.connections >= _CONNECTIONS:
            accepted.close()
            return
        self.connections += 1
        _Connection(self, self._loop, accepted)


class _Connection:
    """One connection of the program."""

    def __init__(self, owner: RuntimeApi, events: loop.Loop, accepted: socket.socket) -> None:
        self._owner = owner
        self._loop = events
        self._socket = accepted
        self._fd = accepted.fileno()
        accepted.setblocking(False)
        accepted.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._message = messages.Message(self._on_head, self._on_piece, self._on_end)
        self._words: list[str] = []
        self._keep = True
        self._body: list[bytes] = []
        self._size = 0
        self._out = b""
        events.watch(self._fd, loop.IN, self._ready)

    def reply(self, status: bytes, head: bytes, body: bytes) -> None:
        """Answers the request at hand."""
        end = b"" if self._keep else b"connection: close\r\n"
        length = b"content-length: %d\r\n" % len(body)
        self._out += b"".join((b"HTTP/1.1 ", status, b"\r\n", head, length, end, b"\r\n", body))
        self._write()

    def _ready(self, events: int) -> None:
        if events & loop.OUT:
            self._write()
        if self._fd >= 0 and events & (loop.IN | loop.GONE):
            self._read()

    def _write(self) -> None:
        view = memoryview(self._out)
        try:
            while view:
                view = view[self._socket.send(view) :]
        except (BlockingIOError, InterruptedError):
            pass
        except OSError:
            self._close()
            return
        self._out = bytes(view)
        self._loop.change(self._fd, loop.IN | loop.OUT if self._out else loop.IN)
        if not self._out and not self._keep:
            self._close()

    def _read(self) -> None:
        try:
            data = self._socket.recv(_READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self._close()
            return
        try:
            self._message.feed(data)
        except messages.Broken as failure:
            self._keep = False
            self.reply(b"400 Bad Request", b"", str(failure).encode())

    def _on_head(self, words: list[str], headers: dict[str, str]) -> bool:
        if len(words) < 3 or not words[2].startswith("HTTP/1."):
            raise messages.Broken(f"{' '.join(words)[:80]!r} instead of a request line")
        self._words = words
        self._keep = messages.keeps_alive(words[2], headers)
        if headers.get("expect", "").lower() == "100-continue":
            self._socket.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        return False

    def _on_piece(self, data: bytes) -> None:
        self._size += len(data)
        if self._size > BODY_BYTES:
            raise messages.Broken(f"an answer of more than {BODY_BYTES} bytes")
        self._body.append(data)

    def _on_end(self) -> None:
        method, path = self._words[0], self._words[1].partition("?")[0]
        body, self._body, self._size = b"".join(self._body), [], 0
        if method == "GET" and path == PATH + "next":
            self._owner.asked(self)
            return
        name, _, what = path[len(PATH) :].partition("/") if path.startswith(PATH) else ("", "", "")
        if method != "POST" or what not in ("response", "error"):
            self.reply(b"404 Not Found", b"", b'{"errorMessage": "there is no such path in the runtime API"}')
        elif self._owner.answered(name, what == "error", body):
            self.reply(b"200 OK", b"content-type: application/json\r\n", b'{"status": "OK"}')
        else:
            self.reply(b"404 Not Found", b"", b'{"errorMessage": "no request of this id waits for an answer"}')

    def _close(self) -> None:
        if self._fd >= 0:
            self._loop.forget(self._fd)
            self._socket.close()
            self._fd = -1
            self._owner.gone(self)
