"""A chunked request body, taken apart as it comes."""

from __future__ import annotations

import httptools

from functory.gateway.body import BodyCollector
from functory.gateway.head import BadHead, Head
from functory.model import errors


class Chunks:
    """Takes a chunked body apart, by httptools."""

    def __init__(self, head: Head, body: BodyCollector) -> None:
        self._body = body
        self._done = False
        self._begun = 0
        self.more = False
        """Something follows the body in the same read."""
        self._parser = httptools.HttpRequestParser(self)
        self._parser.feed_data(head.raw)

    def on_message_begin(self) -> None:
        self._begun += 1
        self.more = self._begun > 1

    def on_body(self, piece: bytes) -> None:
        if self._begun == 1:
            self._body.add(piece)

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
                    self.more = True
                    return True
                raise BadHead(400, f"the chunked body cannot be read: {error}") from None
        return self._done
