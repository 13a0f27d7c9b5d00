"""Which destinations are allowed."""

from __future__ import annotations

import base64

import pytest

from functory.model.network import INTERNET, Policy, Rule
from functory.network import kernel
from functory.network import policy as policies

WEB = Rule(names=("a.example", "*.b.example"), ports=((443, 443), (8000, 8010)))
LAN = Rule(cidrs=("10.1.0.0/16", "fd00:1::/32"), protocols=("tcp", "udp"))


def _policy(*rules: Rule) -> Policy:
    return Policy(title="test", rules=rules)


@pytest.mark.parametrize(
    ("name", "port", "allowed"),
    [
        ("a.example", 443, True),
        ("a.example", 8005, True),
        ("a.example", 80, False),
        ("x.a.example", 443, False),
        ("x.b.example", 443, True),
        ("x.y.b.example", 443, True),
        ("b.example", 443, False),
        ("xb.example", 443, False),
    ],
)
def test_names_fit_exactly_or_by_their_end(name: str, port: int, allowed: bool) -> None:
    assert policies.allows_name(_policy(WEB), name, port, "tcp") is allowed
    assert not policies.allows_name(_policy(WEB), name, port, "udp")


@pytest.mark.parametrize(
    ("address", "allowed"),
    [("10.1.2.3", True), ("10.2.0.1", False), ("fd00:1::5", True), ("fd00:2::5", False), ("::ffff:10.1.2.3", True)],
)
def test_addresses_fit_by_their_network(address: str, allowed: bool) -> None:
    assert policies.allows_address(_policy(LAN), policies.parse(address), 53, "udp") is allowed


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "198.18.0.9", "::1", "::", "fe80::1", "fd00::1", "ff02::1", "64:ff9b::a00:1", "2002:a00:1::",
        "::ffff:127.0.0.1",
    ],
)  # fmt: skip
def test_the_internet_has_no_address_of_special_use(address: str) -> None:
    found = policies.parse(address)
    assert not policies.allows_address(_policy(INTERNET), found, 443, "tcp")
    assert not policies.allows_resolved(_policy(INTERNET), found, 443, "tcp", is_nodes=False)


@pytest.mark.parametrize("address", ["93.184.216.34", "2606:2800:220:1::1"])
def test_the_internet_has_public_addresses_but_for_the_nodes_own(address: str) -> None:
    found = policies.parse(address)
    assert policies.allows_address(_policy(INTERNET), found, 443, "tcp")
    assert policies.allows_resolved(_policy(INTERNET), found, 443, "tcp", is_nodes=False)
    assert not policies.allows_resolved(_policy(INTERNET), found, 443, "tcp", is_nodes=True)
    alone = Rule(names=("*",), cidrs=(address,))
    assert policies.allows_resolved(_policy(alone), found, 443, "tcp", is_nodes=True)


def test_a_name_leads_to_a_private_address_only_if_a_network_names_it() -> None:
    named = Rule(names=("db.example",), cidrs=("10.1.0.0/16",), ports=((5432, 5432),))
    inside, outside = policies.parse("10.1.0.7"), policies.parse("10.2.0.7")
    assert policies.allows_resolved(_policy(named), inside, 5432, "tcp", is_nodes=False)
    assert not policies.allows_resolved(_policy(named), inside, 22, "tcp", is_nodes=False)
    assert not policies.allows_resolved(_policy(named), outside, 5432, "tcp", is_nodes=False)


def test_rules_are_made_once_for_a_policy_and_differ_between_policies() -> None:
    first, second = kernel.rules(_policy(WEB)), kernel.rules(_policy(LAN))
    assert first is kernel.rules(_policy(WEB))
    assert first != second
    assert b"tproxy" in base64.b64decode(first)
