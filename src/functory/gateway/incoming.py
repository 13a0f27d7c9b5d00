"""A request body on its way in: where it ends, by its announced length or by its chunks."""

from __future__ import annotations

import httptools

from functory.gateway.body import BodyCollector
from functory.gateway.head import BadHead, Head
from functory.model import errors


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

    def __init__(self, head: Head, body: BodyCollector) -> None:
        self._done = False
        self._begun = 0
        self.body = body
        self.rest: bytes | None = b""
        """None = something follows the body in its last read; where it begins is the parser's secret."""
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(head.raw)

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
