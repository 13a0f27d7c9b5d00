"""A request body on its way in: where it ends, by its announced length or by its chunks."""

from __future__ import annotations

import httptools

from functory.gateway.body import BodyCollector
from functory.gateway.head import BadHead, Head
from functory.model import errors

_HEAD = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
FRAMING_BYTES = 1024 * 1024
_FRAMING_PER_BYTE = 16
"""What a chunked body may take on the wire: this, and so much for each byte of it. Extensions and trailers have no
length of their own, so without a bound a request could go on for ever and never be too large."""


class Counted:
    """A body whose length is announced."""

    __slots__ = ("_left_bytes", "body", "rest")

    def __init__(self, head: Head, body: BodyCollector) -> None:
        self._left_bytes = head.content_length
        self.body = body
        self.rest: bytes | None = b""
        """What follows the body in its last read."""

    def feed(self, data: bytes) -> bool:
        """More of the body; whether it is whole."""
        piece = data if len(data) <= self._left_bytes else data[: self._left_bytes]
        self._left_bytes -= len(piece)
        self.body.add(piece)
        if len(piece) < len(data):
            self.rest = data[len(piece) :]
        return self._left_bytes == 0


class Chunked:
    """A chunked body, taken apart by httptools."""

    def __init__(self, body: BodyCollector) -> None:
        self._done = False
        self._framing_bytes = 0
        self._begun = 0
        self.body = body
        self.rest: bytes | None = b""
        """None = something follows the body in its last read; where it begins is the parser's secret."""
        self._parser = httptools.HttpRequestParser(self)
        # Not the request's own head, which is checked already: an offer to upgrade in it would end the parser there.
        self._parser.feed_data(_HEAD)

    def on_message_begin(self) -> None:
        self._begun += 1
        if self._begun > 1:
            self.rest = None

    def on_body(self, piece: bytes) -> None:
        if self._begun == 1:
            self.body.add(piece)

    def on_message_complete(self) -> None:
        self._done = True

    def feed(self, data: bytes) -> bool:
        """More of the body; whether it is whole."""
        if data:
            self._framing_bytes += len(data)
            if self._framing_bytes > FRAMING_BYTES + _FRAMING_PER_BYTE * self.body.size_bytes:
                raise BadHead(413, "the chunked body is hardly more than chunk headers, extensions or trailers")
            try:
                self._parser.feed_data(data)
            except httptools.HttpParserCallbackError as error:
                if isinstance(error.__context__, errors.FunctoryError):
                    raise error.__context__ from None
                raise
            except httptools.HttpParserError as error:
                if self._done:
                    self.rest = None
                    return True
                raise BadHead(400, f"the chunked body cannot be read: {error}") from None
        return self._done
