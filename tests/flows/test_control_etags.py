"""ETag and If-Match: whoever read another revision than the current one changes and removes nothing."""

from __future__ import annotations

import asyncio
import json
from typing import Any, NamedTuple

import pytest

import control_kit as kit
from control_kit import problem_of

ECHO = "/2023-03-30/functions/echo"


class Thing(NamedTuple):
    """Something with revisions: how it is made and changed."""

    all: str
    one: str
    made: dict[str, Any]
    changes: list[dict[str, Any]]


def config(*methods: str) -> str:
    return json.dumps({"authType": "anonymous", "methods": list(methods)})


THINGS = {
    "function": Thing("", ECHO, {}, [{"timeout": 7}, {"timeout": 8}]),
    "trigger": Thing(
        f"{ECHO}/triggers",
        f"{ECHO}/triggers/web",
        {"triggerName": "web", "triggerType": "http", "triggerConfig": config("GET")},
        [{"triggerConfig": config("PUT")}, {"triggerConfig": config("POST")}],
    ),
    "alias": Thing(
        f"{ECHO}/aliases",
        f"{ECHO}/aliases/prod",
        {"aliasName": "prod", "versionId": "1"},
        [{"description": "a"}, {"description": "b"}],
    ),
    "domain": Thing(
        "/2023-03-30/custom-domains",
        "/2023-03-30/custom-domains/www.example.com",
        {"domainName": "www.example.com", "protocol": "HTTP"},
        [{"routeConfig": {"routes": []}}, {"protocol": "HTTP"}],
    ),
}


@pytest.fixture
async def control(control: kit.Control) -> kit.Control:
    """With a function that has a version."""
    await control.create()
    await control.call("POST", f"{ECHO}/versions")
    return control


async def make(control: kit.Control, thing: Thing) -> str:
    """Makes it (the function is there already); its ETag."""
    if thing.all:
        made = await control.call("POST", thing.all, json=thing.made)
        assert made.status_code == 200, made.text
        assert made.headers["etag"]
    got = await control.call("GET", thing.one)
    if thing.all:
        assert got.headers["etag"] == made.headers["etag"]
    return str(got.headers["etag"])


@pytest.mark.parametrize("kind", THINGS)
async def test_each_change_has_an_etag_of_its_own_and_old_ones_count_no_more(control: kit.Control, kind: str) -> None:
    thing = THINGS[kind]
    first = await make(control, thing)
    changed = await control.call("PUT", thing.one, json=thing.changes[0], headers={"if-match": first})
    assert changed.status_code == 200, changed.text
    second = changed.headers["etag"]
    assert second != first
    for method, body in (("PUT", thing.changes[1]), ("DELETE", None)):
        refused = await control.call(method, thing.one, json=body, headers={"if-match": first})
        assert problem_of(refused)[:2] == (412, "PreconditionFailed")
    assert (await control.call("GET", thing.one)).headers["etag"] == second
    any_ = await control.call("PUT", thing.one, json=thing.changes[1], headers={"if-match": "*"})
    assert any_.status_code == 200
    last = any_.headers["etag"]
    assert (await control.call("DELETE", thing.one, headers={"if-match": last})).status_code == 204


@pytest.mark.parametrize("kind", THINGS)
async def test_of_several_changes_of_one_revision_one_wins(control: kit.Control, kind: str) -> None:
    thing = THINGS[kind]
    first = await make(control, thing)
    calls = [
        control.call("PUT", thing.one, json=thing.changes[number % 2], headers={"if-match": first})
        for number in range(8)
    ]
    statuses = sorted(answer.status_code for answer in await asyncio.gather(*calls))
    assert statuses == [200] + [412] * 7


@pytest.mark.parametrize("kind", [kind for kind in THINGS if kind != "function"])
async def test_a_thing_made_anew_has_another_etag(control: kit.Control, kind: str) -> None:
    thing = THINGS[kind]
    first = await make(control, thing)
    assert (await control.call("DELETE", thing.one)).status_code == 204
    control.clock.jump(1)
    assert await make(control, thing) != first
