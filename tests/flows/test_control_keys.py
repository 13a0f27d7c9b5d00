"""Keys, accounts, the audit trail and the API's own description."""

from __future__ import annotations

import asyncio

import msgspec
import pytest
from starlette.routing import Route

import control_kit as kit
from control_kit import problem_of
from functory.control.functory.audit import FLUSH_S, Trail
from functory.lifecycle import running
from functory.model.account import AccessKey, Scope
from functory.model.audit import AuditEvent
from functory.model.function import Function
from functory.store.memory import MemoryStore
from functory.testing.clock import JumpingClock

KEYS, ACCOUNTS, AUDIT = "/functory/v1/keys", "/functory/v1/accounts", "/functory/v1/audit"


@pytest.fixture
async def control(control: kit.Control) -> kit.Control:
    """With the keys stored, too."""
    for key in kit.KEYS.values():
        await control.store.keys.put(key)
    return control


async def stored(control: kit.Control, access_key_id: str) -> AccessKey | None:
    return next((key for key in await control.store.keys.all() if key.access_key_id == access_key_id), None)


async def test_a_new_key_tells_its_secret_once(control: kit.Control) -> None:
    made = (await control.call("POST", KEYS, json={"scope": "invoke", "label": "the web shop"})).json()
    assert (made["scope"], made["accountId"], made["active"]) == ("invoke", kit.ACCOUNT, True)
    key = await stored(control, made["accessKeyId"])
    assert key is not None
    assert (key.secret, key.label) == (made["accessKeySecret"], "the web shop")
    listed = (await control.call("GET", KEYS)).json()["keys"]
    assert made["accessKeyId"] in [one["accessKeyId"] for one in listed]
    assert not any("accessKeySecret" in one for one in listed)
    assert {one["accountId"] for one in listed} == {kit.ACCOUNT}


@pytest.mark.parametrize("key", [kit.READER, kit.CALLER, kit.DEPLOYER], ids=lambda key: key.scope)
@pytest.mark.parametrize("path", [KEYS, ACCOUNTS, AUDIT])
async def test_only_admins_see_keys_accounts_and_the_audit(control: kit.Control, key: AccessKey, path: str) -> None:
    assert problem_of(await control.call("GET", path, key=key))[:2] == (403, "AccessDenied")


async def test_a_rotated_key_works_beside_the_old_one_until_that_is_switched_off(control: kit.Control) -> None:
    path = f"{KEYS}/{kit.DEPLOYER.access_key_id}"
    new = (await control.call("POST", f"{path}/rotate", json={})).json()
    assert new["scope"] == Scope.DEPLOY
    assert new["accessKeyId"] != kit.DEPLOYER.access_key_id
    old = await stored(control, kit.DEPLOYER.access_key_id)
    assert old is not None
    assert old.active
    off = (await control.call("POST", f"{path}/deactivate")).json()
    assert off["active"] is False
    assert (await control.call("POST", f"{path}/activate")).json()["active"] is True
    await control.call("POST", f"{path}/rotate", json={"deactivateOld": True})
    old = await stored(control, kit.DEPLOYER.access_key_id)
    assert old is not None
    assert not old.active
    assert (await control.call("DELETE", path)).status_code == 204
    assert await stored(control, kit.DEPLOYER.access_key_id) is None


async def test_the_last_admin_key_stays(control: kit.Control) -> None:
    path = f"{KEYS}/{kit.ADMIN.access_key_id}"
    for method, suffix in (("POST", "/deactivate"), ("DELETE", "")):
        assert problem_of(await control.call(method, path + suffix))[:2] == (409, "LastKey")
    other = (await control.call("POST", KEYS, json={"scope": "admin"})).json()
    both = [f"{path}/deactivate", f"{KEYS}/{other['accessKeyId']}/deactivate"]
    answers = await asyncio.gather(*(control.call("POST", one) for one in both))
    assert sorted(answer.status_code for answer in answers) == [200, 409], "of two at once, one must lose"


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code"),
    [
        ("POST", KEYS, {"scope": "root"}, 400, "InvalidArgument"),
        ("POST", KEYS, {}, 400, "InvalidArgument"),
        ("POST", KEYS, {"scope": "read", "label": "x" * 129}, 400, "InvalidArgument"),
        ("POST", KEYS, {"scope": "read", "secret": "mine"}, 400, "InvalidArgument"),
        ("POST", KEYS, {"scope": "read", "accountId": "999"}, 404, "AccountNotFound"),
        ("POST", f"{KEYS}/none/rotate", {}, 404, "KeyNotFound"),
        ("DELETE", f"{KEYS}/none", None, 404, "KeyNotFound"),
        ("DELETE", f"{ACCOUNTS}/999", None, 404, "AccountNotFound"),
        ("DELETE", f"{ACCOUNTS}/{kit.ACCOUNT}", None, 400, "InvalidArgument"),
    ],
)
async def test_what_cannot_be_is_refused(
    control: kit.Control, method: str, path: str, body: object, status: int, code: str
) -> None:
    assert problem_of(await control.call(method, path, json=body))[:2] == (status, code)


async def test_an_account_comes_with_its_first_key_and_goes_with_all_of_them(control: kit.Control) -> None:
    made = (await control.call("POST", ACCOUNTS, json={"name": "team blue"})).json()
    assert len(made["accountId"]) == 16
    assert made["key"]["scope"] == "admin"
    second = {"scope": "read", "accountId": made["accountId"]}
    assert (await control.call("POST", KEYS, json=second)).json()["accountId"] == made["accountId"]
    listed = await control.call("GET", KEYS, query=[("accountId", made["accountId"])])
    assert len(listed.json()["keys"]) == 2
    assert [one["name"] for one in (await control.call("GET", ACCOUNTS)).json()["accounts"]] == ["team blue"]
    assert (await control.call("DELETE", f"{ACCOUNTS}/{made['accountId']}")).status_code == 204
    assert all(key.account_id != made["accountId"] for key in await control.store.keys.all())


async def test_an_account_with_functions_stays(control: kit.Control) -> None:
    made = (await control.call("POST", ACCOUNTS, json={})).json()
    of_another = msgspec.structs.replace(
        (await _function(control)), account_id=made["accountId"], function_id="another"
    )
    await control.store.functions.create(of_another)
    assert problem_of(await control.call("DELETE", f"{ACCOUNTS}/{made['accountId']}"))[:2] == (400, "FunctionNotEmpty")


async def _function(control: kit.Control) -> Function:
    await control.create()
    return await control.store.functions.get(kit.ACCOUNT, "echo")


async def test_admins_of_other_accounts_manage_their_own_only(control: kit.Control) -> None:
    mine = await control.call("POST", KEYS, json={"scope": "read"}, key=kit.STRANGER)
    assert mine.json()["accountId"] == kit.STRANGER.account_id
    for method, path, query in (
        ("GET", KEYS, [("accountId", kit.ACCOUNT)]),
        ("GET", ACCOUNTS, []),
        ("POST", ACCOUNTS, []),
    ):
        answer = await control.call(method, path, query=query, key=kit.STRANGER)
        assert problem_of(answer)[:2] == (403, "AccessDenied")
    theirs = await control.call("DELETE", f"{KEYS}/{kit.READER.access_key_id}", key=kit.STRANGER)
    assert problem_of(theirs)[:2] == (404, "KeyNotFound")


async def test_every_call_leaves_an_event_with_its_result(control: kit.Control) -> None:
    await control.create()
    await control.call("GET", "/2023-03-30/functions/none")
    await control.call("POST", KEYS, json={"scope": "invoke"}, key=kit.READER)
    await control.call("GET", "/2023-03-30/functions", key=None)
    await control.client.get("/healthz")
    assert [
        (event.access_key_id, event.operation, event.status, event.code, event.changes) for event in control.audited
    ] == [
        ("LTAIadmin", "CreateFunction", 200, "", True),
        ("LTAIadmin", "GetFunction", 404, "FunctionNotFound", False),
        ("LTAIreader", "", 403, "AccessDenied", True),
        ("", "ListFunctions", 400, "MissingRequiredHeader", False),
    ]
    assert {event.account_id for event in control.audited} == {kit.ACCOUNT}


def event(n: int, *, changes: bool = True) -> AuditEvent:
    return AuditEvent(
        request_id=f"r{n}",
        at_ms=n,
        account_id=kit.ACCOUNT,
        access_key_id="k",
        method="PUT",
        path="/x",
        operation="UpdateFunction",
        status=200,
        changes=changes,
    )


async def test_the_audit_is_listed_newest_first_and_page_by_page(control: kit.Control) -> None:
    await control.store.audit.append([event(n, changes=n % 2 == 0) for n in range(5)])
    page = (await control.call("GET", AUDIT, query=[("limit", "2")])).json()
    rest = (await control.call("GET", AUDIT, query=[("before", str(page["nextBefore"]))])).json()
    assert [one["requestId"] for one in page["events"] + rest["events"]] == ["r4", "r3", "r2", "r1", "r0"]
    only = (await control.call("GET", AUDIT, query=[("changes", "true")])).json()
    assert [one["requestId"] for one in only["events"]] == ["r4", "r2", "r0"]
    theirs = await control.call("GET", AUDIT, key=kit.STRANGER)
    assert theirs.json() == {"events": [], "nextBefore": 0}


async def test_events_leave_in_batches_and_the_last_ones_at_stop() -> None:
    clock = JumpingClock()
    async with running(store := MemoryStore()):
        trail = Trail(store.audit, clock=clock)
        async with running(trail):
            trail.add(event(1))
            await asyncio.sleep(0)
            clock.jump(FLUSH_S)
            trail.add(event(2))
        found = [entry.request_id for _, entry in await store.audit.list(kit.ACCOUNT)]
        assert found == ["r2", "r1"]


async def test_the_api_describes_every_call_that_it_serves(control: kit.Control) -> None:
    document = (await control.call("GET", "/functory/v1/openapi.json")).json()
    served = {
        (method, route.path)
        for route in control.app.routes
        if isinstance(route, Route) and hasattr(route.endpoint, "described")
        for method in (route.methods or set()) - {"HEAD"}
    }
    described = {(method.upper(), path) for path, item in document["paths"].items() for method in item}
    assert served < described
    create = document["paths"]["/2023-03-30/functions"]["post"]
    assert create["operationId"] == "CreateFunction"
    schema = create["requestBody"]["content"]["application/json"]["schema"]["$ref"].rsplit("/", 1)[-1]
    assert set(document["components"]["schemas"][schema]["required"]) == {"functionName", "runtime"}
    listing = {one["name"] for one in document["paths"]["/2023-03-30/functions"]["get"]["parameters"]}
    assert {"limit", "nextToken", "prefix"} <= listing
