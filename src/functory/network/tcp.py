"""One relayed connection: two sockets, bytes across, both ends' pace kept.

    function ──→ Side ⇄ Side ──→ destination

A side that cannot take more stops the other one's reading: what is held is bounded, whoever is slow.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from typing import cast

HELD_BYTES = 1 << 18
"""What is held for a side that does not take it."""
_RESET = struct.pack("ii", 1, 0)


class Side(asyncio.Protocol):
    """One end. `opposite` is set before anything is read."""

    def __init__(self, count: Callable[[int], None], ended: Callable[[], None]) -> None:
        """`count`: told how many bytes came from here, before they go on. `ended`: told when this end is closed."""
        self.opposite: Side | None = None
        self.used_s = 0.0
        """When something came last."""
        self._early: list[bytes] = []
        """What came before there was another side."""
        self.finished = False
        """Nothing more comes from here."""
        self._count = count
        self._ended = ended
        self._transport: asyncio.Transport | None = None
        self._time = asyncio.get_running_loop().time

    @property
    def closed(self) -> bool:
        """Whether it is gone."""
        return self._transport is None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(high=HELD_BYTES)
        self.used_s = self._time()

    def join(self, opposite: Side) -> None:
        """From now on all that comes from here goes there."""
        self.opposite = opposite
        early, self._early = self._early, []
        for data in early:
            opposite.write(data)
        if self.finished:
            opposite.end_writing()
        elif early and self._transport is not None and not self._transport.is_closing():
            self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        self.used_s = self._time()
        self._count(len(data))
        if self.opposite is not None:
            self.opposite.write(data)
            return
        self._early.append(data)
        if self._transport is not None:
            self._transport.pause_reading()

    def write(self, data: bytes) -> None:
        """Sends it to this end."""
        if self._transport is not None:
            self._transport.write(data)

    def pause_writing(self) -> None:
        if self.opposite is not None:
            self.opposite.hold(True)

    def resume_writing(self) -> None:
        if self.opposite is not None:
            self.opposite.hold(False)

    def hold(self, yes: bool) -> None:
        """Stops reading from this end, or goes on."""
        if self._transport is None or self._transport.is_closing() or self.finished:
            return
        if yes:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def eof_received(self) -> bool:
        self.finished = True
        if self.opposite is not None:
            self.opposite.end_writing()
        return True  # the other direction goes on

    def end_writing(self) -> None:
        """Nothing more is sent to this end."""
        if self._transport is None or self._transport.is_closing():
            return
        if self.finished:
            self._transport.close()
            if self.opposite is not None:
                self.opposite.close()
            return
        with contextlib.suppress(OSError, RuntimeError):
            self._transport.write_eof()

    def connection_lost(self, failure: Exception | None) -> None:
        self._transport = None
        if self.opposite is not None:
            if failure is None:
                self.opposite.close()
            else:
                self.opposite.abort()
        self._ended()

    def close(self) -> None:
        """Ends it once all is sent."""
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        """Ends it with a reset: whoever is there shall not take what came for all there was."""
        if self._transport is None:
            return
        own = self._transport.get_extra_info("socket")
        if own is not None:
            with contextlib.suppress(OSError):
                own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self._transport.abort()
