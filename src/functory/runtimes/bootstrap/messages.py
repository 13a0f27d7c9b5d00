"""HTTP/1.1 as bytes: cuts what arrives into heads and bodies. Requests and responses alike; no sockets."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Headers = dict[str, str]

HEAD_BYTES = 65536
COOKIES = "\n"
"""Stands between several `set-cookie` headers."""
_LINE_BYTES = 4096
_HEAD, _LENGTH, _SIZE, _CHUNK, _CHUNK_END, _TRAILER, _UNTIL_END, _DONE = range(8)


class Broken(Exception):
    """What came is not HTTP/1.1."""


class Message:
    """One message after the other, as they arrive on one connection.

    `on_head(first line, headers)` answers how the body ends if the headers do not say: at once (False) or with the
    connection (True). `on_piece` gets the body, `on_end` is called when it is whole.
    """

    def __init__(
        self,
        on_head: Callable[[list[str], Headers], bool],
        on_piece: Callable[[bytes], None],
        on_end: Callable[[], None],
    ) -> None:
        self._on_head = on_head
        self._on_piece = on_piece
        self._on_end = on_end
        self._rest = b""
        self._state = _HEAD
        self._missing = 0

    def feed(self, data: bytes) -> None:
        """More has arrived; `Broken` if it is nothing that HTTP allows."""
        if self._rest:
            data, self._rest = self._rest + data, b""
        while data:
            state = self._state
            if state == _HEAD:
                data = self._head(data)
            elif state in (_LENGTH, _CHUNK):
                data = self._take(data)
            elif state == _UNTIL_END:
                self._on_piece(data)
                return
            elif state == _DONE:
                raise Broken("bytes after the end")
            else:
                data = self._line(data, state)
            if self._rest:
                return

    def ended(self) -> bool:
        """The other side has closed: whether that is the end of a whole message, or between two."""
        if self._state == _UNTIL_END:
            self._state = _HEAD
            self._on_end()
            return True
        return self._state == _HEAD and not self._rest

    def _head(self, data: bytes) -> bytes:
        stop = data.find(b"\r\n\r\n")
        if stop < 0:
            if len(data) > HEAD_BYTES:
                raise Broken(f"a head of more than {HEAD_BYTES} bytes")
            self._rest = data
            return b""
        first, _, lines = data[:stop].decode("latin-1").partition("\r\n")
        headers = headers_of(lines)
        words = first.split(" ", 2)
        if len(words) < 2:
            raise Broken(f"{first[:80]!r} instead of a first line")
        until_end = self._on_head(words, headers)
        self._begin_body(words, headers, until_end)
        return data[stop + 4 :]

    def _begin_body(self, words: list[str], headers: Headers, until_end: bool) -> None:
        if words[0].startswith("HTTP/") and (words[1].startswith("1") or words[1] in ("204", "304")):
            self._whole()
        elif "chunked" in headers.get("transfer-encoding", "").lower():
            self._state = _SIZE
        elif "content-length" in headers:
            length = headers["content-length"]
            if not length.isdigit():
                raise Broken(f"content-length {length[:40]!r}")
            self._missing = int(length)
            self._state = _LENGTH
            if not self._missing:
                self._whole()
        elif until_end:
            self._state = _UNTIL_END
        else:
            self._whole()

    def _whole(self) -> None:
        self._state = _HEAD
        self._on_end()

    def _take(self, data: bytes) -> bytes:
        piece = data[: self._missing] if len(data) > self._missing else data
        self._missing -= len(piece)
        self._on_piece(piece)
        if not self._missing:
            if self._state == _CHUNK:
                self._state = _CHUNK_END
            else:
                self._whole()
        return data[len(piece) :]

    def _line(self, data: bytes, state: int) -> bytes:
        stop = data.find(b"\r\n")
        if stop < 0:
            if len(data) > _LINE_BYTES:
                raise Broken("a line in a chunked body without end")
            self._rest = data
            return b""
        line = data[:stop]
        if state == _SIZE:
            self._size(line)
        elif state == _CHUNK_END:
            if line:
                raise Broken("a chunk longer than it says")
            self._state = _SIZE
        elif not line:  # the empty line behind the trailers
            self._whole()
        return data[stop + 2 :]

    def _size(self, line: bytes) -> None:
        try:
            self._missing = int(line.partition(b";")[0].strip(), 16)
        except ValueError:
            raise Broken(f"chunk size {line[:40]!r}") from None
        if self._missing < 0:
            raise Broken(f"chunk size {line[:40]!r}")
        self._state = _CHUNK if self._missing else _TRAILER


def headers_of(lines: str) -> Headers:
    """Header lines by name in lower case; `Broken` for what is none."""
    found: Headers = {}
    for line in lines.split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            name, value = name.lower(), value.strip()
            # Cookies hold commas themselves.
            found[name] = f"{found[name]}{COOKIES if name == 'set-cookie' else ', '}{value}" if name in found else value
        elif line:
            raise Broken(f"{line[:80]!r} instead of a header")
    return found


def keeps_alive(version: str, headers: Headers) -> bool:
    """Whether the connection may be used again after this message."""
    said = headers.get("connection", "").lower()
    return "keep-alive" in said if version == "HTTP/1.0" else "close" not in said


def header(name: str, value: object) -> bytes:
    """One header line; what a header cannot hold becomes a question mark."""
    text = "".join(c if " " <= c <= "~" else "?" for c in str(value))
    return f"{name}: {text}\r\n".encode()
