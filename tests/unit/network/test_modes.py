"""Official fields as modes: a VPC adds to the internet, and never shares the node's network."""

from __future__ import annotations

from typing import Any

import pytest

from functory.model.function import Function
from functory.model.vpc import Vpc
from functory.network import modes

VPC = Vpc(account_id="1", vpc_id="vpc-1", names=("a.example",), hosts={"a.example": "10.0.0.1"})


def _function(official: dict[str, Any]) -> Function:
    return Function(
        account_id="1", name="f", function_id="i", runtime="python3", handler="a.b", code_digest="d",
        code_checksum="1", code_size_bytes=1, created_at_ms=1, modified_at_ms=1, official=official,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("internet", "vpc", "open_to_node", "mode", "rules"),
    [
        (None, None, True, "host", 0),
        (True, None, True, "host", 0),
        (True, None, False, "allow", 1),
        (False, None, True, "none", 0),
        (False, None, False, "none", 0),
        (False, VPC, True, "allow", 1),
        (True, VPC, True, "allow", 2),
        (None, VPC, False, "allow", 2),
    ],
)
def test_each_setting_has_its_mode(
    internet: bool | None, vpc: Vpc | None, open_to_node: bool, mode: str, rules: int
) -> None:
    official = {} if internet is None else {"internetAccess": internet}
    found, policy = modes.of(_function(official), vpc, open_to_node=open_to_node)
    assert found == mode
    assert (len(policy.rules) if policy else 0) == rules
    if vpc is not None:
        assert policy is not None
        assert policy.hosts == (("a.example", "10.0.0.1"),)


def test_the_vpc_of_a_function_is_found_in_its_official_fields() -> None:
    assert modes.vpc_id(_function({"vpcConfig": {"vpcId": "vpc-1"}})) == "vpc-1"
    assert modes.vpc_id(_function({"vpcConfig": {}})) == modes.vpc_id(_function({})) == ""
