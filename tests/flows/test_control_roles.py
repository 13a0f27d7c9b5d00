"""Roles: who makes them, who may give them to a function, and what a function with one may do."""

from __future__ import annotations

from typing import Any

import pytest

import control_kit as kit
from control_kit import problem_of
from functory.model.account import AccessKey

ROLES = "/functory/v1/roles"
FUNCTIONS = "/2023-03-30/functions"
ARN = f"acs:ram::{kit.ACCOUNT}:role/orders"


async def make(control: kit.Control, **fields: Any) -> dict[str, Any]:
    answer = await control.call("POST", ROLES, json={"name": "orders", "scopes": ["invoke"], **fields})
    assert answer.status_code == 200, answer.text
    shown: dict[str, Any] = answer.json()
    return shown


async def test_a_role_is_made_shown_changed_and_removed(control: kit.Control) -> None:
    made = await make(control, functions=["b", "a", "b"], description="bills")
    assert (made["arn"], made["scopes"], made["functions"]) == (ARN, ["invoke"], ["a", "b"])
    shown = await control.call("GET", f"{ROLES}/orders")
    assert shown.json() == made
    changed = await control.call("PUT", f"{ROLES}/orders", json={"scopes": ["read", "deploy"]})
    assert (changed.json()["scopes"], changed.json()["functions"]) == (["deploy", "read"], None)
    assert changed.json()["roleId"] == made["roleId"]
    assert [one["name"] for one in (await control.call("GET", ROLES)).json()["roles"]] == ["orders"]
    assert (await control.call("DELETE", f"{ROLES}/orders")).status_code == 204
    assert problem_of(await control.call("GET", f"{ROLES}/orders"))[:2] == (404, "RoleNotFound")


async def test_a_change_of_another_revision_is_refused(control: kit.Control) -> None:
    await make(control)
    old = (await control.call("GET", f"{ROLES}/orders")).headers["etag"]
    changes = {"scopes": ["read"]}
    first = await control.call("PUT", f"{ROLES}/orders", json=changes, headers={"if-match": old})
    assert first.status_code == 200
    for method, body in (("PUT", changes), ("DELETE", None)):
        refused = await control.call(method, f"{ROLES}/orders", json=body, headers={"if-match": old})
        assert problem_of(refused)[:2] == (412, "PreconditionFailed")
    now = first.headers["etag"]
    assert (await control.call("DELETE", f"{ROLES}/orders", headers={"if-match": now})).status_code == 204


@pytest.mark.parametrize("key", [kit.READER, kit.CALLER, kit.DEPLOYER], ids=lambda key: key.scope)
async def test_only_admins_manage_roles(control: kit.Control, key: AccessKey) -> None:
    await make(control)
    body = {"name": "mine", "scopes": ["admin"]}
    for method, path, content in (
        ("GET", ROLES, None),
        ("POST", ROLES, body),
        ("GET", f"{ROLES}/orders", None),
        ("PUT", f"{ROLES}/orders", {"scopes": ["admin"]}),
        ("DELETE", f"{ROLES}/orders", None),
    ):
        assert problem_of(await control.call(method, path, json=content, key=key))[:2] == (403, "AccessDenied")


async def test_roles_of_another_account_are_not_there(control: kit.Control) -> None:
    await make(control)
    assert (await control.call("GET", ROLES, key=kit.STRANGER)).json() == {"roles": []}
    for method in ("GET", "DELETE"):
        refused = await control.call(method, f"{ROLES}/orders", key=kit.STRANGER)
        assert problem_of(refused)[:2] == (404, "RoleNotFound")


@pytest.mark.parametrize(
    "fields",
    [
        {"scopes": []},
        {"scopes": ["all"]},
        {"functions": []},
        {"functions": ["a b"]},
        {"functions": [f"f{n}" for n in range(101)]},
        {"description": "x" * 257},
        {"name": "a b"},
        {"name": ""},
        {"other": 1},
    ],
)
async def test_a_role_that_cannot_be_is_refused(control: kit.Control, fields: dict[str, Any]) -> None:
    answer = await control.call("POST", ROLES, json={"name": "orders", "scopes": ["invoke"], **fields})
    assert problem_of(answer)[:2] == (400, "InvalidArgument")


async def test_a_function_has_the_role_it_names_from_its_deploy_on(control: kit.Control) -> None:
    made = await make(control)
    shown = (await control.create(role=ARN)).json()
    assert (shown["role"], shown.get("stateReason", "")) == (ARN, "")
    assert control.changed[-1].role_id == made["roleId"]
    await control.call("PUT", f"{FUNCTIONS}/echo", json={"role": ""})
    assert control.changed[-1].role_id == ""


async def test_a_role_made_later_or_anew_gives_nothing_to_what_named_it_before(control: kit.Control) -> None:
    shown = (await control.create(role=ARN)).json()
    assert "no credentials" in shown["stateReason"]
    assert control.changed[-1].role_id == ""
    await make(control)
    assert (await control.store.functions.get(kit.ACCOUNT, "echo")).role_id == ""
    await control.call("PUT", f"{FUNCTIONS}/echo", json={"description": "again"})
    bound = control.changed[-1].role_id
    assert bound
    await control.call("DELETE", f"{ROLES}/orders")
    again = await make(control)
    assert again["roleId"] != bound


async def test_who_deploys_cannot_gain_more_than_they_have(control: kit.Control) -> None:
    await make(control, scopes=["admin"])
    refused = await control.call(
        "POST",
        FUNCTIONS,
        key=kit.DEPLOYER,
        json={
            "functionName": "sly",
            "runtime": "python3",
            "handler": "index.handler",
            "role": ARN,
            "code": {"zipFile": kit.b64(kit.ECHO_ZIP)},
        },
    )
    assert problem_of(refused)[:2] == (403, "AccessDenied")
    await control.create(role=ARN)
    # New code for a function with a role does what the role may do.
    new_code = {"code": {"zipFile": kit.b64(kit.ECHO_ZIP)}}
    refused = await control.call("PUT", f"{FUNCTIONS}/echo", json=new_code, key=kit.DEPLOYER)
    assert problem_of(refused)[:2] == (403, "AccessDenied")
    assert (await control.call("PUT", f"{FUNCTIONS}/echo", json=new_code)).status_code == 200


async def signed_by_role(control: kit.Control, method: str, path: str, **call: Any) -> Any:
    """A call with the credentials of the role `orders`."""
    role = await control.store.roles.get(kit.ACCOUNT, "orders")
    made = control.sessions.make(role, "caller", 60)
    key = AccessKey(access_key_id=made.access_key_id, secret=made.access_key_secret, account_id=kit.ACCOUNT)
    return await control.call(method, path, key=key, headers={"x-acs-security-token": made.security_token}, **call)


async def test_a_role_for_some_functions_touches_these_alone(control: kit.Control) -> None:
    await control.create("echo")
    await control.create("other")
    await make(control, scopes=["deploy"], functions=["echo"])
    assert (await signed_by_role(control, "GET", f"{FUNCTIONS}/echo")).json()["functionName"] == "echo"
    for method, path in (
        ("GET", f"{FUNCTIONS}/other"),
        ("DELETE", f"{FUNCTIONS}/other"),
        ("GET", FUNCTIONS),
        ("GET", "/2023-03-30/layers"),
        ("GET", "/functory/v1/requests"),
    ):
        assert problem_of(await signed_by_role(control, method, path))[:2] == (403, "AccessDenied"), path


async def test_a_role_for_some_functions_cannot_have_others_called_by_naming_them(control: kit.Control) -> None:
    for name in ("echo", "friend", "other"):
        await control.create(name)
    await make(control, scopes=["deploy"], functions=["echo", "friend"])
    config = f"{FUNCTIONS}/echo/async-invoke-config"
    for on in ("onSuccess", "onFailure"):
        for arn, status in (
            (f"acs:fc:local:{kit.ACCOUNT}:functions/other", 403),
            ("acs:fc:local::functions/other/LATEST", 403),
            (f"acs:fc:local:{kit.ACCOUNT}:functions/friend", 200),
        ):
            body = {"destinationConfig": {on: {"destination": arn}}}
            assert (await signed_by_role(control, "PUT", config, json=body)).status_code == status, arn
    body = {"destinationConfig": {"onFailure": {"destination": f"acs:fc:local:{kit.ACCOUNT}:functions/other"}}}
    assert (await control.call("PUT", config, json=body)).status_code == 200


async def test_a_role_for_some_functions_cannot_read_a_layer_by_putting_it_under_its_code(control: kit.Control) -> None:
    await control.create("echo")
    built = await control.call("POST", "/functory/v1/layers", json={"requirements": "six", "runtime": "python3"})
    await make(control, scopes=["deploy"], functions=["echo"])
    body = {"layers": [built.json()["arn"]]}
    refused = await signed_by_role(control, "PUT", f"{FUNCTIONS}/echo", json=body)
    assert problem_of(refused)[:2] == (403, "AccessDenied")
    assert (await control.call("PUT", f"{FUNCTIONS}/echo", json=body)).status_code == 200
    kept = await signed_by_role(control, "PUT", f"{FUNCTIONS}/echo", json=body | {"description": "kept"})
    assert kept.status_code == 200  # what an admin put there may stay


async def test_a_role_for_some_functions_cannot_put_its_code_into_a_network(control: kit.Control) -> None:
    await control.create("echo")
    body = {"vpcConfig": {"vpcId": "vpc-inner"}}
    await make(control, scopes=["deploy"], functions=["echo"])
    refused = await signed_by_role(control, "PUT", f"{FUNCTIONS}/echo", json=body)
    assert problem_of(refused)[:2] == (403, "AccessDenied")
    assert problem_of(await control.call("PUT", f"{FUNCTIONS}/echo", json=body))[:2] == (400, "InvalidArgument")


async def test_temporary_credentials_make_no_token_that_outlives_them(control: kit.Control) -> None:
    await make(control, scopes=["admin"])
    body = {"functions": None, "expiresInSeconds": 3600}
    refused = await signed_by_role(control, "POST", "/functory/v1/tokens", json=body)
    assert problem_of(refused)[:2] == (403, "AccessDenied")


async def test_the_audit_names_the_role_by_its_key(control: kit.Control) -> None:
    made = await make(control, scopes=["read"])
    await signed_by_role(control, "GET", FUNCTIONS)
    assert control.audited[-1].access_key_id == f"STS.{made['roleId']}"
    assert control.audited[-1].account_id == kit.ACCOUNT
