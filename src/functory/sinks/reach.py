"""Connections to nowhere but where they may go: names are looked up, their addresses checked, and those connected to.

It stands below HTTP and TLS: the certificate is still checked against the name, and a kept connection is one whose
address was checked when it was made.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections.abc import Awaitable, Callable, Iterable

import httpcore
from httpcore import AsyncNetworkStream

from functory.model import errors
from functory.sinks.allowed import Address, Allowed, literal

LOOK_UP_S = 5.0
_ADDRESSES_TRIED = 4

Resolve = Callable[[str, int], Awaitable[list[Address]]]
"""The addresses of a host name, best first; OSError if it has none."""


class NotAllowed(Exception):
    """The setting forbids it."""


async def resolve(host: str, port: int) -> list[Address]:
    """As the system looks names up."""
    loop = asyncio.get_running_loop()
    async with asyncio.timeout(LOOK_UP_S):
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return [ipaddress.ip_address(str(address[0]).partition("%")[0]) for *_, address in found]


class Reach(httpcore.AsyncNetworkBackend):
    """Connects where `allowed` allows it."""

    def __init__(self, allowed: Allowed, *, resolve: Resolve = resolve) -> None:
        self._allowed = allowed
        self._resolve = resolve
        self._plain = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> AsyncNetworkStream:
        """A connection to one of the host's allowed addresses; `NotAllowed` if none is."""
        failure: Exception = httpcore.ConnectError(f"{host} has no address")
        for address in (await self._allowed_of(host, port))[:_ADDRESSES_TRIED]:
            try:
                return await self._plain.connect_tcp(str(address), port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as reason:
                failure = reason
        raise failure

    async def check(self, host: str, port: int) -> None:
        """`InvalidArgument` if the host may not be reached as it stands. A name that is not known passes: the
        look-up before each connection decides.
        """
        address = literal(host)
        try:
            addresses = [address] if address else await self._resolve(host, port)
        except (OSError, TimeoutError):
            return
        refused = [one for one in addresses if not self._allowed.address(host, one, port)]
        if len(refused) == len(addresses):
            for one in refused[:1]:
                self._allowed.check(host, one, port)

    async def _allowed_of(self, host: str, port: int) -> list[Address]:
        try:
            addresses = await self._resolve(host, port)
        except TimeoutError:
            raise httpcore.ConnectTimeout(f"the address of {host} was not found in {LOOK_UP_S:g} s") from None
        except OSError as reason:
            raise httpcore.ConnectError(f"the address of {host} was not found: {reason.strerror or reason}") from reason
        allowed = [one for one in addresses if self._allowed.address(host, one, port)]
        if addresses and not allowed:
            try:
                self._allowed.check(host, addresses[0], port)
            except errors.InvalidArgument as refusal:
                raise NotAllowed(refusal.message) from None
        return allowed
