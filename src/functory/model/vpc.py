"""The VPC: what an operator lets functions reach that name it, by names, networks, ports and protocols."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable

import msgspec

from functory.model import errors
from functory.model.network import ALL_PORTS, PROTOCOLS, Rule

VPC_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")
MAX_NAMES, MAX_CIDRS, MAX_PORTS, MAX_HOSTS = 256, 64, 32, 64
PER_ACCOUNT = 100
"""VPCs of one account."""
MAX_DESCRIPTION = 256
_LABEL = r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_NAME = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_PORTS = re.compile(r"(\d{1,5})(?:-(\d{1,5}))?")
_OWN = tuple(ipaddress.ip_network(one) for one in ("198.18.0.0/15", "fdf0:c0de::/32"))
"""What instances use themselves: addresses that stand for names, and their own."""


class Vpc(msgspec.Struct, frozen=True, kw_only=True):
    """A definition at one revision."""

    account_id: str
    vpc_id: str
    description: str = ""
    names: tuple[str, ...] = ()
    """`db.example.com`, `*.example.com` (all below it, not itself), or `*`."""
    cidrs: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    """`443` or `8000-8010`; none = all."""
    protocols: tuple[str, ...] = ("tcp",)
    hosts: dict[str, str] = {}
    """Addresses of names that no name server knows."""
    created_at_ms: int = 0
    modified_at_ms: int = 0

    def rule(self) -> Rule:
        """It as the network's policies have it."""
        ranges = tuple(port_range(one) for one in self.ports) or (ALL_PORTS,)
        return Rule(names=self.names, cidrs=self.cidrs, ports=ranges, protocols=self.protocols)


def check_id(value: object) -> str:
    """The id, if it can be one."""
    if not isinstance(value, str) or not VPC_ID.fullmatch(value):
        raise errors.InvalidArgument(
            f"vpcId {str(value)[:80]!r} is not valid: 1 to 64 letters, digits, - and _, first a letter or digit"
        )
    return value


def checked(vpc: Vpc) -> Vpc:
    """The definition in its plain form; `InvalidArgument` says what is wrong with it."""
    check_id(vpc.vpc_id)
    if len(vpc.description) > MAX_DESCRIPTION:
        raise errors.InvalidArgument(f"description is longer than {MAX_DESCRIPTION}")
    for what, found, most in (
        ("names", vpc.names, MAX_NAMES), ("cidrs", vpc.cidrs, MAX_CIDRS), ("ports", vpc.ports, MAX_PORTS),
        ("hosts", vpc.hosts, MAX_HOSTS),
    ):  # fmt: skip
        if len(found) > most:
            raise errors.InvalidArgument(f"{what}: {len(found)} are given; {most} are allowed")
    unknown = [one for one in vpc.protocols if one not in PROTOCOLS]
    if unknown or not vpc.protocols:
        raise errors.InvalidArgument(f"protocols: {', '.join(unknown) or 'none'} given; known: {', '.join(PROTOCOLS)}")
    for one in vpc.ports:
        port_range(one)
    return msgspec.structs.replace(
        vpc,
        names=_once(_pattern(one) for one in vpc.names),
        cidrs=_once(_cidr(one) for one in vpc.cidrs),
        ports=_once(vpc.ports),
        protocols=_once(vpc.protocols),
        hosts={_name(name): _address(address) for name, address in vpc.hosts.items()},
    )


def port_range(value: str) -> tuple[int, int]:
    """`443` or `8000-8010` as a range."""
    found = _PORTS.fullmatch(value)
    first = int(found[1]) if found else 0
    last = int(found[2] or first) if found else 0
    if not 1 <= first <= last <= ALL_PORTS[1]:
        raise errors.InvalidArgument(f"port {value[:20]!r} is not valid: give 443, or 8000-8010, from 1 to 65535")
    return first, last


def _once(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def _pattern(value: str) -> str:
    lower = value.lower().rstrip(".")
    if lower == "*":
        return lower
    return "*." + _name(lower[2:]) if lower.startswith("*.") else _name(lower)


def _name(value: str) -> str:
    lower = value.lower().rstrip(".")
    if not _NAME.fullmatch(lower) or len(lower) > 253 or lower.rpartition(".")[2].isdigit():
        raise errors.InvalidArgument(
            f"name {value[:80]!r} is not valid: give db.example.com, or *.example.com; addresses go to cidrs"
        )
    return lower


def _cidr(value: str) -> str:
    try:
        network = ipaddress.ip_network(value)
    except ValueError as reason:
        raise errors.InvalidArgument(f"cidr {value[:60]!r} is not valid: {reason}") from None
    if any(network.version == own.version and network.overlaps(own) and network.prefixlen > 0 for own in _OWN):
        raise errors.InvalidArgument(f"cidr {value!r} overlaps what instances use themselves: {_OWN[0]}, {_OWN[1]}")
    return str(network)


def _address(value: str) -> str:
    try:
        return str(ipaddress.ip_address(value))
    except ValueError:
        raise errors.InvalidArgument(f"hosts: {value[:60]!r} is not an address") from None
