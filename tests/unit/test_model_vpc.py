"""Definitions of VPCs are checked when they are made."""

from __future__ import annotations

from typing import Any

import pytest

from functory.model import errors
from functory.model import vpc as vpcs
from functory.model.network import ALL_PORTS
from functory.model.vpc import Vpc


def _checked(**fields: Any) -> Vpc:
    return vpcs.checked(Vpc(account_id="1", **{"vpc_id": "vpc-1", **fields}))


def test_a_definition_is_kept_in_its_plain_form() -> None:
    found = _checked(
        names=("DB.Example.", "*.B.example", "db.example"), cidrs=("10.1.0.0/16",), hosts={"A.b": "10.1.0.1"}
    )
    assert found.names == ("db.example", "*.b.example")
    assert found.hosts == {"a.b": "10.1.0.1"}
    assert found.rule().ports == (ALL_PORTS,)
    assert _checked(ports=("443", "8000-8010")).rule().ports == ((443, 443), (8000, 8010))


@pytest.mark.parametrize(
    "fields",
    [
        {"vpc_id": ""}, {"vpc_id": "a/b"}, {"vpc_id": "x" * 65},
        {"names": ("a b",)}, {"names": ("10.0.0.1",)}, {"names": ("a.*.b",)}, {"names": ("",)}, {"names": ("a" * 64,)},
        {"names": tuple(f"n{n}.example" for n in range(257))},
        {"cidrs": ("10.0.0.1/8",)}, {"cidrs": ("x",)}, {"cidrs": ("198.18.4.0/24",)}, {"cidrs": ("198.0.0.0/8",)},
        {"ports": ("0",)}, {"ports": ("65536",)}, {"ports": ("5-4",)}, {"ports": ("http",)},
        {"protocols": ("icmp",)}, {"protocols": ()},
        {"hosts": {"a.b": "there"}}, {"description": "x" * 257},
    ],
)  # fmt: skip
def test_what_is_no_definition_is_refused_with_a_reason(fields: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidArgument):
        _checked(**fields)


def test_the_whole_internet_may_be_named() -> None:
    assert _checked(cidrs=("0.0.0.0/0", "::/0")).cidrs == ("0.0.0.0/0", "::/0")
