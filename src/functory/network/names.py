"""Names that an instance has asked for: the address that stands for each, and where it really is.

An address stands for a name in one instance only. What a name server says is checked against the policy each time it is
used, so it does not matter whose name server it is.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
from collections import OrderedDict
from collections.abc import Callable, Sequence

from functory.model.network import Policy
from functory.network import policy as policies
from functory.network.policy import Address

NAMES_MAX = 4096
"""Names remembered for an instance; the one used longest ago goes first."""
LOOKUPS_MAX = 16
"""Look-ups of an instance at once."""
FRESH_S = 30.0
"""How long what was found is used again."""
LOOKUP_LIMIT_S = 10.0
_FIRST = int(policies.NAMED.network_address) + 256


class NoSuchName(Exception):
    """There is no such name, or no address for it."""


class Busy(Exception):
    """Too many look-ups at once, or one that took too long."""


class Entry:
    """One name."""

    __slots__ = ("addresses", "fresh_until_s", "name", "pending", "stand_in")

    def __init__(self, name: str, stand_in: ipaddress.IPv4Address) -> None:
        self.name = name
        self.stand_in = stand_in
        self.addresses: Sequence[Address] = ()
        self.fresh_until_s = 0.0
        self.pending: asyncio.Future[None] | None = None


class Names:
    """The names of one instance."""

    def __init__(self, policy: Policy, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._hosts = {name: policies.parse(address) for name, address in policy.hosts}
        self._by_name: OrderedDict[str, Entry] = OrderedDict()
        self._by_address: dict[ipaddress.IPv4Address, Entry] = {}
        self._made = 0
        self._lookups = 0

    def entry(self, name: str) -> Entry:
        """The name's entry, made if there is none."""
        found = self._by_name.get(name)
        if found is not None:
            self._by_name.move_to_end(name)
            return found
        if len(self._by_name) >= NAMES_MAX:
            _, oldest = self._by_name.popitem(last=False)
            del self._by_address[oldest.stand_in]
            stand_in = oldest.stand_in
        else:
            stand_in = ipaddress.IPv4Address(_FIRST + self._made)
            self._made += 1
        entry = self._by_name[name] = self._by_address[stand_in] = Entry(name, stand_in)
        return entry

    def at(self, address: Address) -> Entry | None:
        """The name that an address stands for."""
        return self._by_address.get(address) if isinstance(address, ipaddress.IPv4Address) else None

    async def addresses(self, entry: Entry) -> Sequence[Address]:
        """Where it is; `NoSuchName`, `Busy`."""
        if entry.fresh_until_s <= self._loop.time():
            if entry.pending is None:
                entry.pending = self._loop.create_task(self._look_up(entry))
            await asyncio.shield(entry.pending)
        if not entry.addresses:
            raise NoSuchName(entry.name)
        return entry.addresses

    async def _look_up(self, entry: Entry) -> None:
        try:
            given = self._hosts.get(entry.name)
            entry.addresses = (given,) if given is not None else await self._ask(entry.name)
            entry.fresh_until_s = self._loop.time() + FRESH_S
        finally:
            entry.pending = None

    async def _ask(self, name: str) -> Sequence[Address]:
        if self._lookups >= LOOKUPS_MAX:
            raise Busy
        self._lookups += 1
        try:
            async with asyncio.timeout(LOOKUP_LIMIT_S):
                found = await self._loop.getaddrinfo(name, None, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as failure:
            if isinstance(failure, TimeoutError) or getattr(failure, "errno", 0) == socket.EAI_AGAIN:
                raise Busy from failure
            return ()
        finally:
            self._lookups -= 1
        return list(dict.fromkeys(policies.parse(str(answer[4][0])) for answer in found))


def is_nodes(address: Address, probe: Callable[[int], socket.socket] = lambda family: socket.socket(family, 2)) -> bool:
    """Whether this machine has the address: only such can be bound to."""
    family = socket.AF_INET if address.version == 4 else socket.AF_INET6
    try:
        with probe(family) as one:
            one.bind((str(address), 0))
    except OSError:
        return False
    return True
