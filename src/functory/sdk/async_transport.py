"""Signed calls on the event loop: the twin of `transport`."""

from __future__ import annotations

from typing import TypeVar

import httpx

from functory.sdk.credentials import Credentials
from functory.sdk.wire import Ask, Wire

CONNECTIONS = 32
"""More calls at once wait for one of them."""
T = TypeVar("T")


class AsyncTransport:
    """Connections to one node, kept open between calls; many calls at once share them."""

    def __init__(self, credentials: Credentials, *, timeout_s: float = 60.0) -> None:
        self._wire = Wire(credentials, timeout_s=timeout_s)
        limits = httpx.Limits(max_connections=CONNECTIONS, max_keepalive_connections=CONNECTIONS)
        self._http = httpx.AsyncClient(**self._wire.options(), limits=limits)

    async def close(self) -> None:
        await self._http.aclose()

    async def ask(self, ask: Ask[T]) -> T:
        """What the answer means; `ApiError`, `ConnectionFailed`."""
        try:
            response = await self._http.send(self._wire.request(self._http, ask))
        except httpx.HTTPError as failure:
            raise self._wire.explained(failure) from failure
        return ask.read(self._wire.reply(response))
