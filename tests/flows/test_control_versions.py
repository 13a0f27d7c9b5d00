"""Versions and aliases through the control API."""

from __future__ import annotations

import asyncio

import httpx
import pytest

import control_kit as kit
from control_kit import problem_of
from functory.model import errors

ECHO = "/2023-03-30/functions/echo"
VERSIONS, ALIASES = f"{ECHO}/versions", f"{ECHO}/aliases"


@pytest.fixture
async def control(control: kit.Control) -> kit.Control:
    """With a function."""
    await control.create()
    return control


async def publish(control: kit.Control, description: str) -> httpx.Response:
    """LATEST gets a description of its own, and is published."""
    await control.call("PUT", ECHO, json={"description": description})
    return await control.call("POST", VERSIONS, json={"description": f"as {description}"})


async def listed(control: kit.Control, **query: str) -> tuple[list[str], str]:
    page = (await control.call("GET", VERSIONS, query=list(query.items()))).json()
    return [one["versionId"] for one in page["versions"]], page.get("nextToken", "")


async def test_a_version_is_a_copy_that_later_changes_leave_alone(control: kit.Control) -> None:
    made = (await publish(control, "one")).json()
    assert made["versionId"] == "1"
    assert made["description"] == "as one"
    await control.call("PUT", ECHO, json={"description": "two", "timeout": 77})
    first = (await control.call("GET", ECHO, query=[("qualifier", "1")])).json()
    assert (first["description"], first["timeout"]) == ("one", 3)
    assert first["functionArn"].endswith("functions/echo/1")
    latest = (await control.call("GET", ECHO, query=[("qualifier", "LATEST")])).json()
    assert (latest["description"], latest["timeout"]) == ("two", 77)
    assert latest["functionArn"].endswith("functions/echo")


async def test_publishing_what_did_not_change_is_refused_in_the_words_that_scripts_know(control: kit.Control) -> None:
    await publish(control, "one")
    status, code, message = problem_of(await control.call("POST", VERSIONS))
    assert (status, code) == (400, "VersionPublishError")
    assert "No changes were made since last publish" in message
    await control.call("PUT", ECHO, json={"description": "other"})
    assert (await control.call("POST", VERSIONS)).json()["versionId"] == "2"


async def test_a_number_is_never_given_again(control: kit.Control) -> None:
    await publish(control, "one")
    await publish(control, "two")
    assert (await control.call("DELETE", f"{VERSIONS}/2")).status_code == 204
    assert problem_of(await control.call("DELETE", f"{VERSIONS}/2"))[:2] == (404, "VersionNotFound")
    assert (await publish(control, "three")).json()["versionId"] == "3"
    assert problem_of(await control.call("GET", ECHO, query=[("qualifier", "2")]))[:2] == (404, "VersionNotFound")


async def test_versions_are_listed_page_by_page_in_both_directions(control: kit.Control) -> None:
    for n in range(12):
        await publish(control, str(n))
    assert (await listed(control))[0] == [str(n) for n in range(12, 0, -1)], "the newest first, by number, not by text"
    first, token = await listed(control, limit="5", direction="FORWARD")
    await publish(control, "meanwhile")
    second, token = await listed(control, limit="5", direction="FORWARD", nextToken=token)
    third, end = await listed(control, limit="5", direction="FORWARD", nextToken=token)
    assert first + second + third == [str(n) for n in range(1, 14)]
    assert end == ""
    newest, token = await listed(control, limit="2")
    assert (newest, (await listed(control, limit="2", nextToken=token))[0]) == (["13", "12"], ["11", "10"])
    wrong = await control.call("GET", VERSIONS, query=[("direction", "SIDEWAYS")])
    assert problem_of(wrong)[:2] == (400, "InvalidArgument")


async def test_two_publishers_of_one_revision_make_one_version(control: kit.Control) -> None:
    answers = await asyncio.gather(*(control.call("POST", VERSIONS) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [200, 400, 400, 400, 400]


async def test_a_version_is_published_of_the_revision_that_the_caller_saw_or_not_at_all(control: kit.Control) -> None:
    seen = (await control.call("GET", ECHO)).headers["etag"]
    await control.call("PUT", ECHO, json={"description": "meanwhile"})
    late = await control.call("POST", VERSIONS, headers={"if-match": seen})
    assert problem_of(late)[:2] == (412, "PreconditionFailed")
    now = (await control.call("GET", ECHO)).headers["etag"]
    assert (await control.call("POST", VERSIONS, headers={"if-match": now})).status_code == 200


async def test_a_change_or_removal_of_an_old_revision_is_refused(control: kit.Control) -> None:
    seen = (await control.call("GET", ECHO)).headers["etag"]
    await control.call("PUT", ECHO, json={"timeout": 9})
    for method, body in (("PUT", {"timeout": 8}), ("DELETE", None)):
        refused = await control.call(method, ECHO, json=body, headers={"if-match": seen})
        assert problem_of(refused)[:2] == (412, "PreconditionFailed")
    assert (await control.call("GET", ECHO)).json()["timeout"] == 9


async def test_an_alias_names_a_version_and_gives_another_a_share(control: kit.Control) -> None:
    await publish(control, "one")
    await publish(control, "two")
    weights = {"2": 0.25}
    made = await control.call(
        "POST", ALIASES, json={"aliasName": "prod", "versionId": "1", "additionalVersionWeight": weights}
    )
    shown = made.json()
    assert (shown["aliasName"], shown["versionId"], shown["additionalVersionWeight"]) == ("prod", "1", weights)
    assert (await control.call("GET", f"{ALIASES}/prod")).json() == shown
    function = (await control.call("GET", ECHO, query=[("qualifier", "prod")])).json()
    assert function["description"] == "one"
    changed = await control.call("PUT", f"{ALIASES}/prod", json={"versionId": "2", "additionalVersionWeight": {}})
    assert (changed.json()["versionId"], changed.json()["additionalVersionWeight"]) == ("2", {})
    stale = await control.call(
        "PUT", f"{ALIASES}/prod", json={"versionId": "1"}, headers={"if-match": made.headers["etag"]}
    )
    assert problem_of(stale)[:2] == (412, "PreconditionFailed")
    assert (await control.call("DELETE", f"{ALIASES}/prod")).status_code == 204
    assert problem_of(await control.call("GET", f"{ALIASES}/prod"))[:2] == (404, "AliasNotFound")


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        ({"aliasName": "a", "versionId": "9"}, 404, "VersionNotFound"),
        ({"aliasName": "a", "versionId": "LATEST"}, 404, "VersionNotFound"),
        ({"aliasName": "1a", "versionId": "1"}, 400, "InvalidArgument"),
        ({"aliasName": "LATEST", "versionId": "1"}, 400, "InvalidArgument"),
        ({"aliasName": "a" * 129, "versionId": "1"}, 400, "InvalidArgument"),
        ({"versionId": "1"}, 400, "InvalidArgument"),
        ({"aliasName": "a", "versionId": "1", "additionalVersionWeight": {"2": 1.5}}, 400, "InvalidArgument"),
        ({"aliasName": "a", "versionId": "1", "additionalVersionWeight": {"2": -0.1}}, 400, "InvalidArgument"),
        ({"aliasName": "a", "versionId": "1", "additionalVersionWeight": {"1": 0.1}}, 400, "InvalidArgument"),
        ({"aliasName": "a", "versionId": "1", "additionalVersionWeight": {"2": 0.1, "3": 0.1}}, 400, "InvalidArgument"),
        ({"aliasName": "a", "versionId": "1", "additionalVersionWeight": {"9": 0.1}}, 404, "VersionNotFound"),
        ({"aliasName": "taken", "versionId": "1"}, 409, "AliasAlreadyExists"),
    ],
)
async def test_an_alias_that_cannot_be_is_refused(
    control: kit.Control, body: dict[str, object], status: int, code: str
) -> None:
    await publish(control, "one")
    await publish(control, "two")
    assert (await control.call("POST", ALIASES, json={"aliasName": "taken", "versionId": "1"})).status_code == 200
    assert problem_of(await control.call("POST", ALIASES, json=body))[:2] == (status, code)


async def test_what_an_alias_names_stays(control: kit.Control) -> None:
    await publish(control, "one")
    await publish(control, "two")
    body = {"aliasName": "prod", "versionId": "1", "additionalVersionWeight": {"2": 0.5}}
    await control.call("POST", ALIASES, json=body)
    for number in "12":
        status, code, message = problem_of(await control.call("DELETE", f"{VERSIONS}/{number}"))
        assert (status, code) == (409, "VersionInUse")
        assert "'prod'" in message
    await control.call("DELETE", f"{ALIASES}/prod")
    assert (await control.call("DELETE", f"{VERSIONS}/1")).status_code == 204


async def test_aliases_are_listed_by_prefix_and_page_by_page(control: kit.Control) -> None:
    await publish(control, "one")
    for name in ("prod-b", "prod-a", "test", "prod-c"):
        await control.call("POST", ALIASES, json={"aliasName": name, "versionId": "1"})
    page = (await control.call("GET", ALIASES, query=[("prefix", "prod"), ("limit", "2")])).json()
    rest = (await control.call("GET", ALIASES, query=[("prefix", "prod"), ("nextToken", page["nextToken"])])).json()
    names = [one["aliasName"] for one in [*page["aliases"], *rest["aliases"]]]
    assert names == ["prod-a", "prod-b", "prod-c"]
    assert "nextToken" not in rest


async def test_a_function_takes_its_versions_and_aliases_along(control: kit.Control) -> None:
    await publish(control, "one")
    await control.call("POST", ALIASES, json={"aliasName": "prod", "versionId": "1"})
    assert (await control.call("DELETE", ECHO)).status_code == 204
    assert problem_of(await control.call("GET", VERSIONS))[:2] == (404, "FunctionNotFound")
    await control.create()
    assert await listed(control) == ([], "")
    assert (await control.call("GET", ALIASES)).json() == {"aliases": []}
    assert (await control.call("POST", VERSIONS)).json()["versionId"] == "1", "another function, another count"


async def test_another_accounts_versions_are_not_there(control: kit.Control) -> None:
    await publish(control, "one")
    answer = await control.call("GET", VERSIONS, key=kit.STRANGER)
    assert problem_of(answer)[:2] == (404, "FunctionNotFound")


async def test_whoever_blocks_a_deletion_is_asked_before_anything_is_gone(control: kit.Control) -> None:
    async def blocks(_: object) -> None:
        raise errors.FunctionNotEmpty("it has triggers")

    control.parts.deletion_blockers.append(blocks)
    assert problem_of(await control.call("DELETE", ECHO))[:2] == (400, "FunctionNotEmpty")
    assert (await control.call("GET", ECHO)).status_code == 200
