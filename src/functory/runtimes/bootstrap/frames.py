"""The wire protocol as the instance speaks it. The numbers repeat `runtimes/wire.py`; a test compares them."""

from __future__ import annotations

import _thread
import json
import os
from struct import Struct

PROTOCOL = 1
HEADER = Struct("<IIHBBI")
HEADER_BYTES = 16
INLINE_BYTES = 65536
PIECE_BYTES = 65536
NOTE_BYTES = 4096
WINDOW_BYTES = 262144
MAX_FRAME_BYTES = 1 << 20

HELLO, REQ, RESP, BODY, ERROR, CANCEL, LOG, DRAIN, NOTE, CREDENTIALS = 0, 1, 2, 3, 5, 6, 9, 10, 13, 14
CREDIT = 7
END, META, RAW_LOG, TWO_WAY = 1, 4, 16, 32
E_HANDLER, E_UNHANDLED, E_INIT, E_MEMORY, E_TOO_LARGE, E_HANDLED = 1, 2, 3, 4, 5, 6

REPLY_BYTES = 32 << 20
"""The longest answer that is not streamed."""
READ_BYTES = 131072
_BUFFERS = 512
"""Buffers in one system call; the kernel takes 1024."""

pack = HEADER.pack
unpack_from = HEADER.unpack_from


def frame(stream: int, kind: int, flags: int, aux: int, meta: bytes, payload: bytes) -> bytes:
    """One frame as bytes."""
    return pack(len(meta) + len(payload), stream, len(meta), kind, flags, aux) + meta + payload


def read_meta(meta: bytes) -> tuple[str, dict[str, object]]:
    """The request id and what else the meta of a REQ with flag META holds."""
    request_id, _, facts = meta.partition(b"\0")
    return request_id.decode(), json.loads(facts)


class Gone(Exception):
    """The node has let go of the channel."""


class Pipe:
    """The reply pipe. Whole frames only: threads of a function may print while the main thread answers."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.unlock()

    def unlock(self) -> None:
        """A new lock: in a forked process, the old one may be held by a thread that is not there."""
        # Reentrant: a signal handler of the function may print while the main thread writes.
        self.lock = _thread.RLock()

    def write(self, data: bytes) -> None:
        """Writes all of it."""
        try:
            with self.lock:
                written = os.write(self.fd, data)
                while written < len(data):  # a signal came in between
                    written += os.write(self.fd, data[written:])
        except OSError as failure:
            raise Gone from failure

    def write_all(self, buffers: list[bytes | memoryview]) -> None:
        """Writes all of them, without joining them first."""
        with self.lock:
            for start in range(0, len(buffers), _BUFFERS):
                some = buffers[start : start + _BUFFERS]
                try:
                    missing = sum(map(len, some)) - os.writev(self.fd, some)
                except OSError as failure:
                    raise Gone from failure
                if missing:
                    self.write(b"".join(some)[-missing:])


def answer(stream: int, flags: int, us: int, body: bytes | memoryview) -> list[bytes | memoryview]:
    """A whole answer as buffers: one frame, or a RESP with the length and BODY pieces."""
    size = len(body)
    if size <= INLINE_BYTES:
        return [pack(size, stream, 0, RESP, flags | END, us), body]
    view = memoryview(body)
    buffers: list[bytes | memoryview] = [
        pack(8 + PIECE_BYTES, stream, 8, RESP, flags, us) + size.to_bytes(8, "little"),
        view[:PIECE_BYTES],
    ]
    for start in range(PIECE_BYTES, size, PIECE_BYTES):
        piece = view[start : start + PIECE_BYTES]
        last = END if start + PIECE_BYTES >= size else 0
        buffers += (pack(len(piece), stream, 0, BODY, last, 0), piece)
    return buffers


class Inbox:
    """Cuts what was read into whole requests, for modes in which several are open at once."""

    def __init__(self, others: tuple[int, ...] = ()) -> None:
        """`others`: further types to pass on, BODY of streams that are no request in pieces for one."""
        self._others = others
        self._rest = b""
        self._open: dict[int, tuple[int, bytes, list[bytes], int]] = {}

    def feed(self, data: bytes) -> list[tuple[int, int, int, bytes, bytes, int]]:
        """`(type, stream, flags, meta, payload, aux)` for each REQ that is whole now, and for what else concerns the
        instance or an open request."""
        if self._rest:
            data = self._rest + data
        at, size = 0, len(data)
        found = []
        while size - at >= 16:
            length, stream, meta, kind, flags, aux = unpack_from(data, at)
            stop = at + 16 + length
            if stop > size:
                break
            body = at + 16 + meta
            if (kind == REQ and flags & END) or kind in (CANCEL, DRAIN, CREDENTIALS):
                found.append((kind, stream, flags, data[at + 16 : body], data[body:stop], aux))
            elif kind == REQ:
                self._open[stream] = (flags, data[at + 16 : body], [data[body:stop]], aux)
            elif kind == BODY and stream in self._open:
                self._open[stream][2].append(data[body:stop])
                if flags & END:
                    first, head, parts, left_ms = self._open.pop(stream)
                    found.append((REQ, stream, first, head, b"".join(parts), left_ms))
            elif kind in self._others:
                found.append((kind, stream, flags, data[at + 16 : body], data[body:stop], aux))
            at = stop
        self._rest = data[at:] if at < size else b""
        return found
