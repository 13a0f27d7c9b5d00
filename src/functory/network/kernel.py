"""A policy as packet rules: what is not allowed is refused by the kernel, before any of our code hears of it.

Pure. The rules are put into chains that `sandbox.networks` has prepared; they come into force with one message.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from functools import lru_cache

from functory.model.network import ALL_PORTS, Policy, Rule
from functory.network import policy as policies
from functory.sandbox import netlink, networks

_NUMBERS = {"tcp": 6, "udp": 17}


@lru_cache(maxsize=256)
def rules(policy: Policy) -> str:
    """The message, in base64."""
    messages: list[bytes] = []
    for number, rule in enumerate(policy.rules):
        chain = f"{networks.DESTINATIONS}-{number}"
        messages.append(netlink.chain(networks.TABLE, chain))
        messages += [netlink.rule(networks.TABLE, chain, *one) for one in _destinations(rule)]
        messages += [netlink.rule(networks.TABLE, networks.ALLOWED, *one, netlink.jump(chain)) for one in _ports(rule)]
    return base64.b64encode(netlink.batch(messages)).decode()


def _ports(rule: Rule) -> Iterator[list[bytes]]:
    for protocol in rule.protocols:
        for first, last in rule.ports:
            is_protocol = netlink.protocol_is(_NUMBERS[protocol])
            yield [is_protocol] if (first, last) == ALL_PORTS else [is_protocol, netlink.port_in(first, last)]


def _destinations(rule: Rule) -> Iterator[list[bytes]]:
    relayed = netlink.to_proxy(networks.RELAY_PORT)
    if rule.names:
        yield [_in(policies.NAMED), relayed]
    for cidr in filter(policies.is_special, rule.cidrs):
        yield [_in(policies.network(cidr)), relayed]
    wide = [policies.network(cidr) for cidr in rule.cidrs if not policies.is_special(cidr)]
    for block in policies.SPECIAL:
        if any(block.version == one.version and block.subnet_of(one) for one in wide):  # type: ignore[arg-type]
            yield [_in(block), netlink.leave()]
    for one in wide:
        yield [_in(one), relayed]


def _in(network: policies.Network) -> bytes:
    return netlink.destination_in(network.network_address.packed, network.prefixlen)
