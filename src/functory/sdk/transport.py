"""Signed calls, blocking: bytes out, bytes in, and every failure as one of our errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import httpx

from functory.sdk import wire
from functory.sdk.credentials import Credentials
from functory.sdk.wire import Ask, Query, Reply, Wire

T = TypeVar("T")


class Transport:
    """Connections to one node, kept open between calls."""

    def __init__(self, credentials: Credentials, *, timeout_s: float = 60.0) -> None:
        self._wire = Wire(credentials, timeout_s=timeout_s)
        self._http = httpx.Client(**self._wire.options())

    def close(self) -> None:
        self._http.close()

    def ask(self, ask: Ask[T]) -> T:
        """What the answer means; `ApiError`, `ConnectionFailed`."""
        try:
            response = self._http.send(self._wire.request(self._http, ask))
        except httpx.HTTPError as failure:
            raise self._wire.explained(failure) from failure
        return ask.read(self._wire.reply(response))

    def call(
        self,
        action: str,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        wait_s: float | None = 0,
        signed: bool = True,
    ) -> Reply:
        """The whole answer to a call; the fields are those of `wire.Ask`."""
        return self.ask(
            Ask(action, method, path, wire.whole, query or {}, headers or {}, body, wait_s=wait_s, signed=signed)
        )

    def fetch(self, url: str) -> bytes:
        """The bytes behind a link that the node gave; the link itself is the permission."""
        try:
            response = self._http.get(url)
        except httpx.HTTPError as failure:
            raise self._wire.explained(failure) from failure
        return self._wire.reply(response).body

    def json(
        self, answer: type[T], action: str, method: str, path: str, *, query: Query | None = None,
        content: Mapping[str, Any] | None = None, wait_s: float | None = 0, signed: bool = True,
    ) -> T:  # fmt: skip
        """As `call`, with a JSON object both ways."""
        return self.ask(
            wire.json_ask(answer, action, method, path, query=query, content=content, wait_s=wait_s, signed=signed)
        )
