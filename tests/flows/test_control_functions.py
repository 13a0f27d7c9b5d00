"""The five function operations, from a signed request to the store and back."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

import control_kit as kit
from control_kit import problem_of
from functory.control.parts import Limits
from functory.model import errors
from functory.model.function import Function, LayerRef
from functory.model.instance import InstanceState, InstanceView

ALL = "/2023-03-30/functions"
ECHO = f"{ALL}/echo"


async def test_a_created_function_is_answered_stored_and_told_before_the_answer(control: kit.Control) -> None:
    response = await control.create(description="says it again", environmentVariables={"MODE": "x"})
    assert response.status_code == 200
    shown = response.json()
    [stored] = await control.store.functions.all()
    assert control.changed == [stored]
    assert control.code.archives[stored.code_digest] == kit.ECHO_ZIP
    assert shown == {
        "functionName": "echo",
        "functionId": stored.function_id,
        "functionArn": f"acs:fc:local:{kit.ACCOUNT}:functions/echo",
        "runtime": "python3",
        "handler": "index.handler",
        "cpu": 0.35,
        "memorySize": 512,
        "diskSize": 512,
        "timeout": 3,
        "instanceConcurrency": 1,
        "idleTimeout": 0,
        "description": "says it again",
        "environmentVariables": {"MODE": "x"},
        "layers": [],
        "instanceLifecycleConfig": {},
        "codeChecksum": stored.code_checksum,
        "codeSize": len(kit.ECHO_ZIP),
        "createdTime": "2026-01-01T00:00:00Z",
        "lastModifiedTime": "2026-01-01T00:00:00Z",
        "state": "Active",
        "stateReason": "",
        "stateReasonCode": "",
        "lastUpdateStatus": "Successful",
        "lastUpdateStatusReason": "",
        "lastUpdateStatusReasonCode": "",
        "internetAccess": True,
        "tags": [],
        "invocationRestriction": {"disable": False, "reason": "", "lastModifiedTime": ""},
    }
    assert (await control.call("GET", ECHO)).json() == shown
    assert response.headers["x-fc-request-id"] == response.headers["x-acs-request-id"]


async def test_of_concurrent_creates_one_wins_and_the_others_hear_that_it_exists(control: kit.Control) -> None:
    responses = await asyncio.gather(*(control.create() for _ in range(20)))
    assert sorted(response.status_code for response in responses) == [200] + [409] * 19
    for response in responses:
        if response.status_code == 409:
            assert problem_of(response) == (409, "FunctionAlreadyExists", "function 'echo' already exists")
    assert len(control.changed) == 1


async def test_functions_of_another_account_are_not_seen(control: kit.Control) -> None:
    await control.create()
    for method in ("GET", "PUT", "DELETE"):
        response = await control.call(method, ECHO, key=kit.STRANGER, json={})
        assert problem_of(response) == (404, "FunctionNotFound", "function 'echo' does not exist")
    assert (await control.call("GET", ALL, key=kit.STRANGER)).json() == {"functions": []}


async def test_a_missing_function_is_told_in_the_official_words(control: kit.Control) -> None:
    for method, path in (("GET", ECHO), ("PUT", ECHO), ("DELETE", ECHO), ("GET", f"{ECHO}/code")):
        response = await control.call(method, path, json={})
        assert problem_of(response) == (404, "FunctionNotFound", "function 'echo' does not exist")


async def test_an_update_changes_only_what_is_given(control: kit.Control) -> None:
    before = (await control.create(description="old", timeout=9, environmentVariables={"A": "1"})).json()
    control.clock.jump(5)
    after = (await control.call("PUT", ECHO, json={"description": "new", "timeout": None})).json()
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"description", "lastModifiedTime"}
    assert after["lastModifiedTime"] == "2026-01-01T00:00:05Z"
    assert [function.epoch for function in control.changed] == [1, 2]


async def test_an_update_may_bring_new_code(control: kit.Control) -> None:
    await control.create()
    other = kit.zip_of(index__py="def handler(event, context): return 'new'")
    after = (await control.call("PUT", ECHO, json={"code": {"zipFile": kit.b64(other)}})).json()
    assert after["codeSize"] == len(other)
    assert (await control.call("GET", f"{ECHO}/code")).json()["checksum"] == after["codeChecksum"]


async def test_concurrent_updates_of_different_fields_all_hold(control: kit.Control) -> None:
    await control.create()
    changes: list[dict[str, Any]] = [{"timeout": 77}, {"description": "x"}, {"diskSize": 10240}, {"handler": "a.b"}]
    responses = await asyncio.gather(*(control.call("PUT", ECHO, json=change) for change in changes))
    assert {response.status_code for response in responses} == {200}
    shown = (await control.call("GET", ECHO)).json()
    assert (shown["timeout"], shown["description"], shown["diskSize"], shown["handler"]) == (77, "x", 10240, "a.b")
    [stored] = await control.store.functions.all()
    assert stored.epoch == 5


async def test_an_update_that_always_loses_the_race_is_given_up() -> None:
    control = kit.Control(limits=Limits(update_tries=3))
    await control.store.start()
    await control.create()
    replace, tries = control.store.functions.replace, 0

    async def overtaken(function: Function) -> None:
        nonlocal tries
        tries += 1
        await replace(msgspec.structs.replace(function, description=str(tries)))
        await replace(function)

    control.store.functions.replace = overtaken  # type: ignore[method-assign]
    response = await control.call("PUT", ECHO, json={"timeout": 5})
    assert problem_of(response)[:2] == (409, "ConcurrentUpdateError")
    assert tries == 3


async def test_a_deleted_function_is_gone_and_can_be_made_anew_with_another_id(control: kit.Control) -> None:
    first = (await control.create()).json()
    response = await control.call("DELETE", ECHO)
    assert (response.status_code, response.content) == (204, b"")
    assert response.headers["x-fc-request-id"]
    assert [function.name for function in control.deleted] == ["echo"]
    assert problem_of(await control.call("DELETE", ECHO))[:2] == (404, "FunctionNotFound")
    assert (await control.create()).json()["functionId"] != first["functionId"]


async def test_a_caller_who_hangs_up_during_the_commit_leaves_nothing_half_done(control: kit.Control) -> None:
    create = control.store.functions.create
    entered, release, told = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(function: Function) -> None:
        entered.set()
        await release.wait()
        await create(function)
        asyncio.get_running_loop().call_soon(told.set)

    control.store.functions.create = slow  # type: ignore[method-assign]
    request = asyncio.create_task(control.create())
    await entered.wait()
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request
    release.set()
    await told.wait()
    assert [function.name for function in control.changed] == ["echo"]


async def test_pages_are_stable_while_functions_come_and_go(control: kit.Control) -> None:
    for name in ("b", "d", "f", "h", "j"):
        await control.create(name)
    first = (await control.call("GET", ALL, query=[("limit", "2")])).json()
    assert [one["functionName"] for one in first["functions"]] == ["b", "d"]
    await control.create("a")
    await control.create("e")
    await control.call("DELETE", f"{ALL}/d")
    names, token = [], first["nextToken"]
    while token:
        page = (await control.call("GET", ALL, query=[("limit", "2"), ("nextToken", token)])).json()
        names += [one["functionName"] for one in page["functions"]]
        token = page.get("nextToken")
    assert names == ["e", "f", "h", "j"]


async def test_lists_are_filtered_by_prefix_runtime_tags_and_text(control: kit.Control) -> None:
    await control.create("a-one", tags=[{"Key": "team", "Value": "red"}], description="first")
    await control.create("a-two", runtime="python3.10")
    await control.create("b-one", runtime="custom", resourceGroupId="rg-1")

    async def names(*query: tuple[str, str]) -> list[str]:
        response = await control.call("GET", ALL, query=query)
        assert response.status_code == 200, response.text
        return [one["functionName"] for one in response.json()["functions"]]

    assert await names() == ["a-one", "a-two", "b-one"]
    assert await names(("prefix", "a-")) == ["a-one", "a-two"]
    assert await names(("prefix", "a b/ü")) == []
    assert await names(("runtime", "python3.10")) == ["a-two"]
    assert await names(("tags", '[{"Key":"team","Value":"red"}]')) == ["a-one"]
    assert await names(("tags", '[{"Key":"team","Value":"blue"}]')) == []
    assert await names(("functionName", "one"), ("description", "fir")) == ["a-one"]
    assert await names(("resourceGroupId", "rg-1")) == ["b-one"]
    assert await names(("fcVersion", "v2")) == []
    assert await names(("fcVersion", "v3"), ("limit", ""), ("somethingNew", "1")) == ["a-one", "a-two", "b-one"]


async def test_a_last_page_has_no_token_and_filters_do_not_make_an_empty_one(control: kit.Control) -> None:
    for name in ("a", "b", "c"):
        await control.create(name, runtime="custom" if name == "c" else "python3")
    for query in ([("limit", "3")], [("limit", "2"), ("runtime", "python3")]):
        assert "nextToken" not in (await control.call("GET", ALL, query=query)).json()


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ([("limit", "0")], "limit 0 is not valid: 1 to 100"),
        ([("limit", "101")], "limit 101 is not valid: 1 to 100"),
        ([("limit", "many")], "$.limit"),
        ([("nextToken", "???")], "nextToken"),
        ([("nextToken", "x" * 600)], "nextToken"),
        ([("tags", "{}")], "tags is not a JSON list"),
        ([("tags", "[" * 5000)], "tags is not a JSON list"),
    ],
)
async def test_a_wrong_query_is_refused(control: kit.Control, query: list[tuple[str, str]], said: str) -> None:
    status, code, message = problem_of(await control.call("GET", ALL, query=query))
    assert (status, code) == (400, "InvalidArgument")
    assert said in message


async def test_only_latest_is_a_version_so_far(control: kit.Control) -> None:
    await control.create()
    for path in (ECHO, f"{ECHO}/code", f"{ECHO}/instances"):
        assert (await control.call("GET", path, query=[("qualifier", "LATEST")])).status_code == 200
        number = problem_of(await control.call("GET", path, query=[("qualifier", "3")]))
        alias = problem_of(await control.call("GET", path, query=[("qualifier", "prod")]))
        assert number == (404, "VersionNotFound", "version '3' of function 'echo' does not exist")
        assert alias == (404, "AliasNotFound", "alias 'prod' of function 'echo' does not exist")


async def test_the_code_can_be_fetched_by_its_link_until_it_ends(control: kit.Control) -> None:
    created = (await control.create()).json()
    shown = (await control.call("GET", f"{ECHO}/code")).json()
    assert shown["checksum"] == created["codeChecksum"]
    target = shown["url"].removeprefix(f"http://{kit.HOST}")
    fetched = await control.client.get(target)
    assert (fetched.status_code, fetched.content) == (200, kit.ECHO_ZIP)
    assert fetched.headers["content-type"] == "application/zip"
    for wrong in (target[:-1], target.replace("expires=", "expires=1"), target.split("?")[0], target + "&x=1"):
        response = await control.client.get(wrong)
        assert response.status_code in (400, 403)
        problem_of(response)
    control.clock.jump(601)
    assert problem_of(await control.client.get(target))[:2] == (403, "AccessDenied")


async def test_instances_are_listed_as_the_official_api_does(control: kit.Control) -> None:
    await control.create()
    [stored] = await control.store.functions.all()
    states = [InstanceState.IDLE, InstanceState.BUSY, InstanceState.DEAD]
    control.views = [
        InstanceView(
            instance_id=f"c-{n}", function=stored, state=state, busy=0, created_at_ms=5 + n, served=1, pid=100 + n
        )
        for n, state in enumerate(states)
    ]
    path = f"{ECHO}/instances"
    response = await control.call("GET", path)
    shown = response.json()
    assert shown["requestId"] == response.headers["x-fc-request-id"]
    assert [row["instanceId"] for row in shown["instances"]] == ["c-0", "c-1"]
    assert shown["instances"][0] == {
        "instanceId": "c-0",
        "status": "Running",
        "createdTimeMs": 5,
        "destroyedTimeMs": 0,
        "qualifier": "LATEST",
        "versionId": "0",
        "resourceType": "",
    }
    for query, wanted in [
        ([("instanceIds", '["c-1"]')], ["c-1"]),
        ([("instanceStatus", '["Destroyed"]')], []),
        ([("limit", "1")], ["c-0"]),
        ([("startKey", "c-0"), ("withAllActive", "True")], ["c-1"]),
    ]:
        found = (await control.call("GET", path, query=query)).json()["instances"]
        assert [row["instanceId"] for row in found] == wanted
    for query in ([("limit", "0")], [("instanceIds", "c-1")], [("endTimeMs", "x")]):
        assert problem_of(await control.call("GET", path, query=query))[:2] == (400, "InvalidArgument")


async def test_layers_must_exist_and_are_answered_with_their_size(control: kit.Control) -> None:
    layer = LayerRef(arn=f"acs:fc:local:{kit.ACCOUNT}:layers/deps/versions/1", digest="d", size_bytes=77)
    await control.store.layers.put("hash", layer)
    shown = (await control.create(layers=[layer.arn])).json()
    assert shown["layers"] == [{"arn": layer.arn, "size": 77}]
    kept = (await control.call("PUT", ECHO, json={"description": "x"})).json()
    assert kept["layers"] == shown["layers"]
    assert (await control.call("PUT", ECHO, json={"layers": []})).json()["layers"] == []
    for layers, said in (
        (["acs:none"], "is not the ARN of a layer version"),
        (["acs:fc:local:1:layers/deps/versions/1"], "does not exist"),
        ([layer.arn] * 2, "given twice"),
        ([str(n) for n in range(6)], "6 are given; 5 are allowed"),
    ):
        status, code, message = problem_of(await control.call("PUT", ECHO, json={"layers": layers}))
        assert (status, code) == (400, "InvalidArgument")
        assert said in message


async def test_a_failing_store_is_a_plain_fault_and_nothing_is_told(control: kit.Control) -> None:
    async def full(function: Function) -> None:
        raise errors.StorageFull("the disk of the data folder is full")

    control.store.functions.create = full  # type: ignore[method-assign]
    assert problem_of(await control.create())[:2] == (503, "StorageFull")
    assert control.changed == []
    await control.store.stop()
    assert problem_of(await control.call("GET", ALL))[:2] == (503, "ServiceUnavailable")


async def test_of_those_who_make_change_and_delete_one_function_at_once_each_gets_an_official_answer(
    control: kit.Control,
) -> None:
    for _ in range(10):
        answers = await asyncio.gather(
            *(control.create() for _ in range(3)),
            *(control.call("PUT", ECHO, json={"timeout": n}) for n in range(1, 5)),
            *(control.call("DELETE", ECHO) for _ in range(3)),
            *(control.call("POST", f"{ECHO}/versions") for _ in range(2)),
        )
        for answer in answers:
            if answer.status_code >= 300:
                _, code, _ = problem_of(answer)
                assert code in {
                    "FunctionAlreadyExists",
                    "FunctionNotFound",
                    "ConcurrentUpdateError",
                    "VersionPublishError",
                }
        there = (await control.call("GET", ECHO)).status_code == 200
        assert bool(await control.store.functions.all()) is there
        if not there:
            assert list(await control.store.versions.all()) == []
