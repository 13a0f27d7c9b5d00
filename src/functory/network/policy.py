"""Whether a destination is allowed. Pure.

A name is allowed by a rule that has it; what it resolves to must then be a public address, or lie in a network that a
rule has: a name server, which may be anybody's, shall not lead a function to the node, its neighbours, or the address
where clouds hand out credentials (DNS rebinding). So the relay looks a name up itself, and connects to the address that
it has checked.

A network is allowed as it stands if it lies within a block of special use: whoever writes 10.1.0.0/16 means these
machines. A wider one, `0.0.0.0/0` for one, means the public addresses in it: "everything" is said quickly, and its
author thinks of the internet.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from functools import lru_cache

from functory.model.network import Policy, Rule

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

SPECIAL: tuple[Network, ...] = tuple(
    ipaddress.ip_network(block)
    for block in (
        "0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24",
        "192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24",
        "224.0.0.0/4", "240.0.0.0/4",
        "::/8", "64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16",
        "fc00::/7", "fe80::/10", "fec0::/10", "ff00::/8",
    )
)  # fmt: skip
"""Blocks that are nobody's on the internet, or hide an address of the older family (RFC 6890 and its registries)."""
NAMED = ipaddress.IPv4Network("198.18.0.0/15")
"""Addresses that stand for names, each in its own instance only."""


def parse(text: str) -> Address:
    """An address; one of the older family in the younger's clothes is undressed. ValueError for anything else."""
    found = ipaddress.ip_address(text.partition("%")[0])
    return getattr(found, "ipv4_mapped", None) or found


def is_public(address: Address) -> bool:
    """Whether it lies in no block of special use."""
    return not any(address in block for block in SPECIAL)


@lru_cache(maxsize=4096)
def network(cidr: str) -> Network:
    """The network of a stored policy; it was checked when it was stored."""
    return ipaddress.ip_network(cidr)


@lru_cache(maxsize=4096)
def is_special(cidr: str) -> bool:
    """Whether it lies within a block of special use, so that it is allowed as it stands."""
    one = network(cidr)
    return any(one.version == block.version and one.subnet_of(block) for block in SPECIAL)  # type: ignore[arg-type]


def names(policy: Policy, name: str) -> bool:
    """Whether a name may be looked up."""
    return any(_has_name(rule, name) for rule in policy.rules)


def allows_name(policy: Policy, name: str, port: int, protocol: str) -> bool:
    """Whether a name may be connected to; `allows_resolved` still has to agree to its addresses."""
    return any(_has_name(rule, name) and _has_port(rule, port, protocol) for rule in policy.rules)


def allows_address(policy: Policy, address: Address, port: int, protocol: str) -> bool:
    """Whether an address may be connected to as such."""
    public = is_public(address)
    return any(
        (public or is_special(cidr)) and address in network(cidr)
        for rule in policy.rules
        if _has_port(rule, port, protocol)
        for cidr in rule.cidrs
    )


def allows_resolved(policy: Policy, address: Address, port: int, protocol: str, *, is_nodes: bool) -> bool:
    """Whether an address may be connected to that an allowed name leads to. `is_nodes`: it is one of this machine's."""
    if is_public(address) and not is_nodes:
        return True
    return is_named(policy, address, port, protocol)


def is_named(policy: Policy, address: Address, port: int, protocol: str) -> bool:
    """Whether a network of special use, or an address by itself, allows it."""
    return any(
        address in network(cidr) and (is_special(cidr) or network(cidr).num_addresses == 1)
        for rule in policy.rules
        if _has_port(rule, port, protocol)
        for cidr in rule.cidrs
    )


def uses_datagrams(policy: Policy) -> bool:
    """Whether any UDP is allowed."""
    return any("udp" in rule.protocols for rule in policy.rules)


def _has_name(rule: Rule, name: str) -> bool:
    return any(_matches(pattern, name) for pattern in rule.names)


def _matches(pattern: str, name: str) -> bool:
    if pattern.startswith("*."):
        return name.endswith(pattern[1:])
    return pattern in ("*", name)


def _has_port(rule: Rule, port: int, protocol: str) -> bool:
    return protocol in rule.protocols and in_ranges(port, rule.ports)


def in_ranges(port: int, ranges: Iterable[tuple[int, int]]) -> bool:
    """Whether one of the ranges has it."""
    return any(first <= port <= last for first, last in ranges)
