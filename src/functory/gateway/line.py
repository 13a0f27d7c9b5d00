"""The client's end of a connection: bytes out, back-pressure, and how it ends. What the bytes mean is above."""

from __future__ import annotations

import asyncio
from typing import cast

from functory.gateway.host import Host

LINGER_NS = 2_000_000_000
"""How long a refused client's remaining bytes are read and dropped."""


class ClientLine(asyncio.Protocol):
    """One TCP or TLS connection. Its server drops it when `late_ns` has passed."""

    __slots__ = ("_paused", "_secure", "_server", "_transport", "_unread", "late_ns", "peer", "write_room")

    def __init__(self, server: Host, *, secure: bool) -> None:
        self._server = server
        self._secure = secure
        self._transport: asyncio.Transport | None = None
        self.peer = ""
        self.late_ns = 0
        """When, on the monotonic clock, the client has taken too long; 0 while it waits for us."""
        self._paused = False
        self._unread = False
        """Bytes of the client lie unread, and will not be read."""
        self.write_room: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self.peer = str(peer[0]) if isinstance(peer, tuple) else "local"

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._let_write()

    # --- out ----------------------------------------------------------------------------------------------------------

    @property
    def gone(self) -> bool:
        return self._transport is None

    @property
    def writing_paused(self) -> bool:
        """The client is slow."""
        return self._paused

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._let_write()

    def _let_write(self) -> None:
        if self.write_room is not None and not self.write_room.done():
            self.write_room.set_result(None)
        self.write_room = None

    def write(self, data: bytes) -> None:
        """Part of an answer."""
        if self._transport is not None:
            self._transport.write(data)

    def hold(self, held: bool) -> None:
        """Whether the client shall not be read from."""
        if self._transport is not None:
            if held:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    # --- the end ------------------------------------------------------------------------------------------------------

    def _end(self, transport: asyncio.Transport) -> None:
        """What is written goes out, then the connection is closed."""
        if not self._unread:
            transport.close()
            return
        # A close with unread bytes resets the connection, and the client may lose the answer: say that this was all,
        # and read on for a moment without keeping anything.
        if not transport.can_write_eof():
            transport.close()  # TLS has no half-closed connections
            return
        transport.write_eof()
        self.late_ns = self._server.now_ns() + LINGER_NS

    def abort(self) -> None:
        """Ends the connection at once."""
        if self._transport is not None:
            self._transport.abort()
