"""A client's connection once it has been upgraded: bytes both ways, until either side ends or is silent too long.

    handshake   the function's first piece is its answer's head: 101 switches, anything else is an ordinary answer
    tunnel      client bytes → the instance, as it has room · the instance's bytes → client, as it reads

The node does not look at what is inside: what the function's server says is what its client hears, frame for frame.
"""

from __future__ import annotations

from typing import Protocol

from functory.gateway import http_answer
from functory.model.invocation import Sink, TwoWay


class Line(Protocol):
    """The client's connection."""

    @property
    def gone(self) -> bool:
        """The client has left."""

    def switch(self, head: bytes, tunnel: Tunnel) -> None:
        """Sends the head; what the client sends from now on goes to the tunnel."""

    def tunnel_write(self, data: bytes) -> None:
        """Bytes for the client."""

    def tunnel_end(self) -> None:
        """No more bytes for the client: what is written goes out, then the connection is closed."""

    def hold(self, held: bool) -> None:
        """Whether the client shall not be read from."""


class Tunnel:
    """Implements `model.invocation.Sink`."""

    __slots__ = ("_line", "stream")

    def __init__(self, line: Line, stream: TwoWay) -> None:
        self._line = line
        self.stream = stream
        stream.on_room = self._room

    # --- from the function --------------------------------------------------------------------------------------------

    def write(self, piece: bytes) -> None:
        if piece:
            self._line.tunnel_write(piece)

    def end(self, complete: bool) -> None:
        # Whole or broken off: in the new protocol, either is for its two ends to tell apart.
        self._line.tunnel_end()

    # --- from the client ----------------------------------------------------------------------------------------------

    def take(self, data: bytes) -> None:
        """The client sent more."""
        self.stream.send(data)
        if self.stream.full:
            self._line.hold(True)

    def client_ended(self) -> None:
        """It sends no more, and still reads."""
        self.stream.end_sending()

    def client_gone(self) -> None:
        """It has left."""
        self.stream.cancel()

    def _room(self) -> None:
        self._line.hold(False)


class Handshake:
    """Takes the first piece of the answer to an offer. Implements `model.invocation.Sink`."""

    __slots__ = ("_line", "_request_id", "_sink", "_stream", "_usual")

    def __init__(self, line: Line, stream: TwoWay, request_id: str, usual: Sink) -> None:
        """`usual`: takes an answer that does not switch."""
        self._line = line
        self._stream = stream
        self._request_id = request_id
        self._usual = usual
        self._sink: Sink | None = None

    def write(self, piece: bytes) -> None:
        if self._sink is None:
            lines = http_answer.switching(piece)
            if lines is None:
                self._sink = self._usual
            elif self._line.gone:
                self._stream.cancel()
                return
            else:
                tunnel = self._sink = Tunnel(self._line, self._stream)
                head = b"HTTP/1.1 101 Switching Protocols\r\n%bx-fc-request-id: %b\r\n\r\n"
                self._line.switch(head % (lines, self._request_id.encode()), tunnel)
                return
        self._sink.write(piece)

    def end(self, complete: bool) -> None:
        (self._sink or self._usual).end(complete)
