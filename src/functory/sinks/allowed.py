"""Where deliveries by HTTP may go: a pure policy over names, addresses and ports.

POLICY: whoever may configure a destination makes the node send requests from where it stands, which is often inside a
network that its users are not in. So nothing is allowed but what the operator names, and by default that is `public`:
the addresses of the internet. What decides is the **address that is connected to**, looked at after every look-up of
the name and before every connection, so a name that answers with another address later gets nowhere. An operator's own
name (`hooks.example.com`) vouches for the addresses it has; only for the addresses of link-local and metadata
services, which hand out credentials, no name and no word vouches: a network must name them (`169.254.10.0/24`).

An entry is a word (`public`, `private`, `any`), a name (`example.com`, `*.example.com`), or an address or network
(`10.0.0.0/8`, `[fd00::]/8`), each with `:port` if only that port is meant.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import NamedTuple

from functory.model import errors

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

WORDS = frozenset({"public", "private", "any"})
SETTING = "http_destinations"
_ENTRY = re.compile(r"(?P<what>\[[0-9a-f:.]+\](?:/\d{1,3})?|[^:\[\]\s,]+)(?::(?P<port>\d{1,5}))?")
_NAME = re.compile(r"(\*\.)?[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?(\.[a-z0-9_]([a-z0-9_-]*[a-z0-9_])?)*\.?")
_PRIVATE = tuple(map(ipaddress.ip_network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "fc00::/7")))
_GUARDED = tuple(
    map(
        ipaddress.ip_network,
        (
            "169.254.0.0/16",  # link-local: the metadata service of most clouds
            "fe80::/10",
            "100.100.100.200/32",  # metadata and name servers of Alibaba Cloud
            "100.100.2.136/31",
            "168.63.129.16/32",  # Azure's, a public address
            "fd00:ec2::254/128",
            "fd20:ce::254/128",
        ),
    )
)
_EMBEDDED = tuple(map(ipaddress.IPv6Network, ("64:ff9b::/96", "::/96")))
"""IPv6 addresses whose last 32 bits are the IPv4 address that is reached."""


class Entry(NamedTuple):
    """One entry."""

    name: str = ""
    """A host name; `*.example.com` = all below it."""
    word: str = ""
    network: Network | None = None
    port: int = 0
    """0 = all."""


class Allowed(NamedTuple):
    """All entries; none = nowhere."""

    entries: tuple[Entry, ...] = (Entry(word="public"),)

    def address(self, host: str, address: Address, port: int) -> bool:
        """Whether a connection to this address, which `host` was found to have, may be made."""
        address = embedded(address)
        return any(_matches(entry, host, address) for entry in self.entries if entry.port in (0, port))

    def check(self, host: str, address: Address, port: int) -> None:
        """Passes if so; `InvalidArgument` says what is not allowed."""
        if not self.address(host, address, port):
            shown = str(address) if _bare(host) == str(address) else f"{host} ({address})"
            raise errors.InvalidArgument(
                f"deliveries to {shown}, port {port}, are not allowed on this node",
                hint=f"its operator can allow them: the setting {SETTING} names what is allowed",
            )


def parse(text: str) -> Allowed:
    """The entries of a setting, between commas or blanks; ValueError says which one is none."""
    return Allowed(tuple(_entry(one) for one in text.lower().replace(",", " ").split()))


def literal(host: str) -> Address | None:
    """The address that a host is written as, in any of the ways that a connection would understand; None for a name."""
    host = _bare(host)
    try:
        return ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        pass
    try:
        return ipaddress.IPv4Address(socket.inet_aton(host))  # 2130706433, 0x7f.1, 127.1
    except (OSError, ValueError):
        return None


def embedded(address: Address) -> Address:
    """The IPv4 address that is reached through an IPv6 address, or the address itself."""
    if isinstance(address, ipaddress.IPv4Address):
        return address
    inner = address.ipv4_mapped or address.sixtofour
    if inner is None and any(address in network for network in _EMBEDDED) and int(address) > 1:
        inner = ipaddress.IPv4Address(int(address) & 0xFFFF_FFFF)
    return inner or address


def _matches(entry: Entry, host: str, address: Address) -> bool:
    if entry.network is not None:
        return address in entry.network
    if any(address in network for network in _GUARDED) or address.is_multicast or address.is_unspecified:
        return False
    if entry.name:
        return _is_named(entry.name, _bare(host))
    private = any(address in network for network in _PRIVATE)
    return entry.word == "any" or (private if entry.word == "private" else address.is_global and not private)


def _is_named(pattern: str, host: str) -> bool:
    if pattern.startswith("*."):
        return host.endswith(pattern[1:])
    return host == pattern


def _entry(text: str) -> Entry:
    found = _ENTRY.fullmatch(text)
    port = int(found["port"] or 0) if found else 0
    if found is None or port > 65535:
        network = _network(text)  # an IPv6 address without brackets
        if network is None:
            raise ValueError(f"{text!r} is not a word, a name, an address or a network")
        return Entry(network=network)
    what = found["what"].replace("[", "").replace("]", "")
    if what in WORDS:
        return Entry(word=what, port=port)
    network = _network(what)
    if network is not None:
        return Entry(network=network, port=port)
    if not _NAME.fullmatch(what) or literal(what) is not None:
        raise ValueError(f"{text!r} is not a word, a name, an address or a network")
    return Entry(name=what.rstrip("."), port=port)


def _network(text: str) -> Network | None:
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _bare(host: str) -> str:
    return host.lower().strip("[]").rstrip(".")
