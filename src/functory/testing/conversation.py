"""The node's side of the frames, without a node: for tests that talk to an instance directly."""

from __future__ import annotations

import os
import select
import time
from typing import NamedTuple

import msgspec

from functory.runtimes import wire


class Frame(NamedTuple):
    """One frame as it came."""

    stream: int
    type: wire.Type
    flags: wire.Flag
    aux: int
    meta: bytes
    payload: bytes


class Answer(NamedTuple):
    """All that came for one request."""

    type: wire.Type
    """RESP or ERROR."""
    flags: wire.Flag
    aux: int
    body: bytes
    log: bytes
    frames: tuple[Frame, ...]

    @property
    def error(self) -> dict[str, object]:
        """The error JSON of an ERROR."""
        assert self.type is wire.Type.ERROR, f"no error came but {self.body[:200]!r}"
        return msgspec.json.decode(self.body, type=dict[str, object])


class Ended(Exception):
    """The instance closed its end before it answered."""


class Conversation:
    """Sends requests and collects answers over blocking descriptors."""

    def __init__(self, request_fd: int, reply_fd: int, *, limit_s: float = 20.0) -> None:
        self._request_fd = request_fd
        self._reply_fd = reply_fd
        self._limit_s = limit_s
        self._data = b""
        self._stream = 0
        self._kept: list[Frame] = []
        os.set_blocking(request_fd, True)
        os.set_blocking(reply_fd, True)

    def close(self) -> None:
        """Closes both ends; harmless twice."""
        for fd in (self._request_fd, self._reply_fd):
            if fd >= 0:
                os.close(fd)
        self._request_fd = self._reply_fd = -1

    def hello(self) -> Frame:
        """The first frame that is not a LOG: HELLO, or the ERROR of a failed start."""
        while True:
            frame = self.read()
            if frame.type is not wire.Type.LOG:
                return frame
            self._kept.append(frame)

    def send(self, event: bytes, *, request_id: str = "1-test", meta: bytes = b"", flags: int = 0) -> int:
        """Sends a request, in pieces if it is large; answers its stream."""
        self._stream += 1
        head = request_id.encode() + (b"\0" + meta if meta else b"")
        flags |= wire.Flag.META if meta else 0
        last = wire.Flag.END if len(event) <= wire.INLINE_BYTES else 0
        self.write(wire.frame(self._stream, wire.Type.REQ, flags | last, 3000, head, event[: wire.INLINE_BYTES]))
        for start in range(wire.INLINE_BYTES, len(event), wire.PIECE_BYTES):
            piece = event[start : start + wire.PIECE_BYTES]
            last = wire.Flag.END if start + wire.PIECE_BYTES >= len(event) else 0
            self.write(wire.frame(self._stream, wire.Type.BODY, last, 0, b"", piece))
        return self._stream

    def drain(self) -> None:
        """Asks the instance to end."""
        self.write(wire.frame(0, wire.Type.DRAIN, 0, 1000, b"", b""))

    def cancel(self, stream: int) -> None:
        """Says that the caller is gone."""
        self.write(wire.frame(stream, wire.Type.CANCEL, 0, 0, b"", b""))

    def call(self, event: bytes, **options: str) -> Answer:
        """A request and its whole answer."""
        return self.answer(self.send(event, request_id=options.get("request_id", "1-test")))

    def answer(self, stream: int) -> Answer:
        """Everything that comes for `stream`, up to its last frame. Frames of others are kept for them."""
        mine = [frame for frame in self._kept if frame.stream == stream]
        self._kept = [frame for frame in self._kept if frame.stream != stream]
        deadline = time.monotonic() + self._limit_s
        while not mine or not mine[-1].flags & wire.Flag.END:
            frame = self.read()
            (mine if frame.stream == stream else self._kept).append(frame)
            if time.monotonic() > deadline:
                raise TimeoutError(f"the answer is not whole after {self._limit_s} s")
        return _whole(mine)

    def early_log(self) -> bytes:
        """What was printed outside any request so far."""
        return b"".join(frame.payload for frame in self._kept if frame.type is wire.Type.LOG and frame.stream == 0)

    def write(self, data: bytes) -> None:
        """Sends raw bytes."""
        view = memoryview(data)
        while view:
            view = view[os.write(self._request_fd, view) :]

    def read(self) -> Frame:
        """The next frame; `Ended` at the end of the pipe, `TimeoutError` if nothing comes."""
        while True:
            if len(self._data) >= wire.HEADER_BYTES:
                length, stream, meta, kind, flags, aux = wire.HEADER.unpack_from(self._data)
                assert length <= wire.MAX_FRAME_BYTES
                stop = wire.HEADER_BYTES + length
                if len(self._data) >= stop:
                    body = wire.HEADER_BYTES + meta
                    data, self._data = self._data, self._data[stop:]
                    return Frame(stream, wire.Type(kind), wire.Flag(flags), aux, data[16:body], data[body:stop])
            poller = select.poll()  # select() knows no descriptor above 1023
            poller.register(self._reply_fd, select.POLLIN)
            if not poller.poll(self._limit_s * 1000):
                raise TimeoutError(f"nothing came for {self._limit_s} s")
            more = os.read(self._reply_fd, 1 << 20)
            if not more:
                raise Ended
            self._data += more


def _whole(frames: list[Frame]) -> Answer:
    answers = [frame for frame in frames if frame.type is not wire.Type.LOG]
    first, last = answers[0], answers[-1]
    kind = last.type if last.type is wire.Type.ERROR else first.type
    body = last.payload if kind is wire.Type.ERROR else b"".join(frame.payload for frame in answers)
    log = b"".join(frame.payload for frame in frames if frame.type is wire.Type.LOG)
    aux = last.aux if kind is wire.Type.ERROR else first.aux
    return Answer(kind, last.flags | first.flags, aux, body, log, tuple(frames))
