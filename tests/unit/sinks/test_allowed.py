"""Where deliveries may go: words, names, networks and ports, and the addresses that nobody means."""

from __future__ import annotations

import ipaddress

import pytest

from functory.model import errors
from functory.sinks import allowed

PUBLIC, INNER, HERE, META = "93.184.215.14", "10.1.2.3", "127.0.0.1", "169.254.169.254"


def may(setting: str, host: str, address: str = "", port: int = 443) -> bool:
    return allowed.parse(setting).address(host, ipaddress.ip_address(address or host), port)


def test_by_default_the_internet_is_allowed_and_nothing_nearer() -> None:
    default = allowed.Allowed()
    assert default.address("x", ipaddress.ip_address(PUBLIC), 443)
    assert default.address("x", ipaddress.ip_address("2606:4700::1111"), 80)
    for near in (HERE, INNER, "192.168.1.1", "172.31.0.1", "0.0.0.0", "::1", "::", "fd00::1", "fe80::1", "224.0.0.1"):
        assert not default.address("x", ipaddress.ip_address(near), 443), near
    assert not any(allowed.parse("").address("x", ipaddress.ip_address(one), 443) for one in (PUBLIC, HERE))


@pytest.mark.parametrize(
    "address",
    [META, "100.100.100.200", "168.63.129.16", "fe80::1", "fd00:ec2::254", "::ffff:169.254.169.254",
     "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1"],
)  # fmt: skip
def test_what_hands_out_credentials_is_reached_only_where_a_network_names_it(address: str) -> None:
    assert not may("any, public, private, metadata.example.com", "metadata.example.com", address)
    assert may("169.254.0.0/16 100.100.100.200 168.63.129.16 fe80::/10 fd00:ec2::254", "x", address)


@pytest.mark.parametrize("address", ["::ffff:127.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "::10.0.0.1"])
def test_an_address_within_an_address_counts_as_what_is_reached(address: str) -> None:
    assert not may("public", "x", address)
    assert may("127.0.0.1 10.0.0.0/8", "x", address)


@pytest.mark.parametrize(
    ("setting", "host", "address", "port", "good"),
    [
        ("private", "db", INNER, 1, True),
        ("private", "db", PUBLIC, 1, False),
        ("private", "db", HERE, 1, False),
        ("any", "x", HERE, 1, True),
        ("hooks.internal", "hooks.internal", INNER, 1, True),
        ("hooks.internal", "HOOKS.Internal.", INNER, 1, True),
        ("hooks.internal", "other.internal", INNER, 1, False),
        ("hooks.internal", "hooks.internal.evil.com", PUBLIC, 1, False),
        ("*.internal", "a.b.internal", INNER, 1, True),
        ("*.internal", "internal", INNER, 1, False),
        ("localhost:9000", "localhost", HERE, 9000, True),
        ("localhost:9000", "localhost", HERE, 9001, False),
        ("10.1.0.0/16:8080", INNER, INNER, 8080, True),
        ("10.1.0.0/16:8080", INNER, INNER, 80, False),
        ("[::1]:80", "::1", "::1", 80, True),
        ("[fd00::]/8:80", "x", "fd12::1", 80, True),
        ("::1", "::1", "::1", 5, True),
        ("public:443", PUBLIC, PUBLIC, 80, False),
    ],
)
def test_entries_are_words_names_and_networks_with_or_without_a_port(
    setting: str, host: str, address: str, port: int, good: bool
) -> None:
    assert may(setting, host, address, port) is good


@pytest.mark.parametrize("wrong", ["http://x", "a b:99999", "*", "exa mple..com", "10.0.0.0/99", "a/b", "127.1", "x:y"])
def test_what_is_no_entry_is_refused_and_named(wrong: str) -> None:
    with pytest.raises(ValueError, match="is not a word"):
        allowed.parse(wrong)


@pytest.mark.parametrize(
    ("host", "address"),
    [("127.1", HERE), ("2130706433", HERE), ("0x7f000001", HERE), ("[::1]", "::1"), ("fe80::1%eth0", "fe80::1")],
)
def test_an_address_is_known_in_every_way_of_writing_it(host: str, address: str) -> None:
    assert allowed.literal(host) == ipaddress.ip_address(address)
    assert allowed.literal("example.com") is None


def test_a_refusal_names_host_address_port_and_the_setting() -> None:
    with pytest.raises(errors.InvalidArgument) as refused:
        allowed.Allowed().check("sneaky.example.com", ipaddress.ip_address(META), 80)
    assert "sneaky.example.com (169.254.169.254), port 80" in refused.value.message
    assert "http_destinations" in refused.value.hint
