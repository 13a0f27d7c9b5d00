"""VPCs open networks that the node stands in: the operator alone defines them, for whichever account."""

from __future__ import annotations

import control_kit as kit
from control_kit import problem_of

VPCS = "/functory/v1/vpcs"


async def test_an_admin_of_another_account_may_look_at_its_vpcs_but_define_none(control: kit.Control) -> None:
    for method, path in (("POST", VPCS), ("PUT", f"{VPCS}/vpc-1"), ("DELETE", f"{VPCS}/vpc-1")):
        body = {"vpcId": "vpc-1", "cidrs": ["127.0.0.0/8"]} if method == "POST" else {"cidrs": ["127.0.0.0/8"]}
        answer = await control.call(method, path, json=None if method == "DELETE" else body, key=kit.STRANGER)
        assert problem_of(answer)[:2] == (403, "AccessDenied"), method
    assert (await control.call("GET", VPCS, key=kit.STRANGER)).json() == {"vpcs": []}


async def test_the_operator_defines_vpcs_for_another_account(control: kit.Control) -> None:
    made = (await control.call("POST", "/functory/v1/accounts", json={"name": "blue"})).json()
    of = [("accountId", made["accountId"])]
    answer = await control.call("POST", VPCS, query=of, json={"vpcId": "vpc-1", "names": ["db.example.com"]})
    assert answer.status_code == 200, answer.text
    listed = (await control.call("GET", VPCS, query=of)).json()["vpcs"]
    assert [one["vpcId"] for one in listed] == ["vpc-1"]
    assert (await control.call("GET", VPCS)).json() == {"vpcs": []}, "it is not the operator's own"
    assert (await control.call("DELETE", f"{VPCS}/vpc-1", query=of)).status_code == 204


async def test_an_account_that_is_not_there_gets_no_vpc(control: kit.Control) -> None:
    answer = await control.call("POST", VPCS, query=[("accountId", "1" * 16)], json={"vpcId": "vpc-1"})
    assert problem_of(answer)[0] == 404
    other = await control.call("GET", VPCS, query=[("accountId", kit.ACCOUNT)], key=kit.STRANGER)
    assert problem_of(other)[:2] == (403, "AccessDenied")
