"""A streamed reply on its way to a client."""

from __future__ import annotations

from typing import Protocol

from functory.model.invocation import ReplyStream


class Line(Protocol):
    """The client's connection."""

    def write(self, data: bytes) -> None:
        """Part of the answer."""

    def answered(self) -> None:
        """That was all."""

    def abort(self) -> None:
        """Ends the connection at once."""


class StreamSink:
    """Passes a streamed reply on to the client. Implements `model.invocation.Sink`."""

    __slots__ = ("_chunked", "_line", "source")

    def __init__(self, line: Line, source: ReplyStream, *, chunked: bool) -> None:
        self._line = line
        self._chunked = chunked
        self.source = source

    def write(self, piece: bytes) -> None:
        if piece:
            self._line.write(b"%x\r\n%b\r\n" % (len(piece), piece) if self._chunked else piece)

    def end(self, complete: bool) -> None:
        if not complete:
            # The only way to say "this is not whole" once the head is sent.
            self._line.abort()
            return
        if self._chunked:
            self._line.write(b"0\r\n\r\n")
        self._line.answered()

    def client_gone(self) -> None:
        """Nobody reads any more."""
        self.source.cancel()
