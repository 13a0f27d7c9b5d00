"""What a function may reach: a policy of a few rules, each of names and networks with their ports and protocols."""

from __future__ import annotations

import msgspec

PROTOCOLS = ("tcp", "udp")
ALL_PORTS = (1, 65535)


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """A destination fits if its name or address does, its port does, and its protocol does."""

    names: tuple[str, ...] = ()
    """In lower case: `db.example.com` exactly, `*.example.com` all below it, `*` all."""
    cidrs: tuple[str, ...] = ()
    """Networks of either family."""
    ports: tuple[tuple[int, int], ...] = (ALL_PORTS,)
    """Ranges, both ends included."""
    protocols: tuple[str, ...] = ("tcp",)


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """What fits any of its rules is allowed."""

    title: str
    """What a denial names: `vpc-db`."""
    rules: tuple[Rule, ...]
    hosts: tuple[tuple[str, str], ...] = ()
    """Addresses of names that no name server knows: `(name, address)`."""


INTERNET = Rule(names=("*",), cidrs=("0.0.0.0/0", "::/0"), protocols=PROTOCOLS)
"""All public addresses: those of special use are only in networks that name them (`network.policy`)."""
