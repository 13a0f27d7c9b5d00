"""The frames of one instance over its pipe pair, on the loop's thread.

Writes go through a transport, which sends at the end of the loop's turn: requests that arrive together leave in one
system call. Reads are cut into frames here and checked: everything an instance sends is hostile until proven.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable
from typing import Any

from functory.runtimes import wire

FrameHandler = Callable[[int, int, int, int, bytes, bytes], None]
"""`(stream, type, flags, aux, meta, payload)`."""

_unpack = wire.HEADER.unpack_from
_LONGEST = wire.MAX_FRAME_BYTES


class _Writer(asyncio.BaseProtocol):
    """The request pipe. Knows whether it is full."""

    def __init__(self) -> None:
        self.full = False
        self.on_room: Callable[[], None] | None = None

    def pause_writing(self) -> None:
        self.full = True

    def resume_writing(self) -> None:
        self.full = False
        if self.on_room is not None:
            self.on_room()


class Channel(asyncio.Protocol):
    """Sends and receives frames.

    `on_frame` is called for each frame, `on_batch` after all frames of one read, `on_end` once: with a sentence if the
    instance broke the protocol, with an empty string if it closed its end.
    """

    def __init__(self, on_end: Callable[[str], None]) -> None:
        self._on_frame: FrameHandler
        self._on_batch: Callable[[], None]
        self._on_end = on_end
        self._rest = b""
        self._writer = _Writer()
        self._write_transport: asyncio.WriteTransport | None = None
        self._read_transport: asyncio.ReadTransport | None = None
        self._ended = False

    def listen(self, on_frame: FrameHandler, on_batch: Callable[[], None]) -> None:
        """Who takes the frames; said once, before `open`."""
        self._on_frame = on_frame
        self._on_batch = on_batch

    async def open(self, request_fd: int, reply_fd: int) -> None:
        """Takes over the two descriptors."""
        loop = asyncio.get_running_loop()
        write_end = os.fdopen(request_fd, "wb", buffering=0)
        read_end = os.fdopen(reply_fd, "rb", buffering=0)
        try:
            transport, _ = await loop.connect_write_pipe(lambda: self._writer, write_end)
            self._write_transport = transport
            reader, _ = await loop.connect_read_pipe(lambda: self, read_end)
            self._read_transport = reader
        except BaseException:
            write_end.close()
            read_end.close()
            raise

    @property
    def full(self) -> bool:
        """The request pipe holds more than the instance has read: send no more pieces now."""
        return self._writer.full

    def when_room(self, callback: Callable[[], None] | None) -> None:
        """Call back each time the request pipe has room again."""
        self._writer.on_room = callback

    def send(self, data: bytes) -> None:
        """Sends one or more whole frames."""
        if self._write_transport is not None:
            try:  # noqa: SIM105 - half the price of suppress, and paid by every call
                self._write_transport.write(data)
            except RuntimeError:
                pass  # the other end has just closed: the end of the instance is on its way to us

    def send_pieces(self, pieces: list[Any]) -> None:
        """Sends frames given as several buffers, without joining them first."""
        if self._write_transport is not None:
            with contextlib.suppress(RuntimeError):
                self._write_transport.writelines(pieces)

    def pause_reading(self) -> None:
        """Let the instance wait: its reply cannot be passed on now."""
        if self._read_transport is not None and not self._ended:
            self._read_transport.pause_reading()

    def resume_reading(self) -> None:
        """Go on reading."""
        if self._read_transport is not None and not self._ended:
            self._read_transport.resume_reading()

    def close(self) -> None:
        """Closes both pipes; `on_end` is not called afterwards."""
        self._ended = True
        if self._write_transport is not None and not self._write_transport.is_closing():
            self._write_transport.abort()
        if self._read_transport is not None and not self._read_transport.is_closing():
            self._read_transport.close()
        self._write_transport = self._read_transport = None

    def data_received(self, data: bytes) -> None:
        if self._rest:
            data = self._rest + data
        position, end = 0, len(data)
        on_frame = self._on_frame
        while end - position >= 16:
            length, stream, meta_bytes, kind, flags, aux = _unpack(data, position)
            if length > _LONGEST or meta_bytes > length:
                self._broken(f"a frame of {length} bytes with {meta_bytes} bytes of meta")
                return
            body = position + 16 + meta_bytes
            stop = position + 16 + length
            if stop > end:
                break
            on_frame(stream, kind, flags, aux, data[position + 16 : body] if meta_bytes else b"", data[body:stop])
            if self._ended:
                return
            position = stop
        self._rest = data[position:] if position < end else b""
        self._on_batch()

    def _broken(self, what: str) -> None:
        self.connection_lost(None, what)

    def connection_lost(self, exc: Exception | None, reason: str = "") -> None:
        if not self._ended:
            self._ended = True
            self._on_end(reason)
