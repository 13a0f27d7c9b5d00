"""CreateTrigger and its siblings, over in-memory parts."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import httpx
import pytest

from control_kit import CALLER, READER, STRANGER, Control, problem_of
from functory.control.app import create_app
from functory.gateway.targets import Targets
from functory.model.trigger import PER_FUNCTION, Trigger

TRIGGERS = "/2023-03-30/functions/echo/triggers"
HTTP = {"authType": "anonymous", "methods": ["GET", "POST"]}
TIMER = {"cronExpression": "0 0 4 * * *", "enable": True, "payload": "wake"}


class Told:
    """A control API that tells of its triggers."""

    def __init__(self) -> None:
        self.control = Control()
        self.changed: list[Trigger] = []
        self.deleted: list[Trigger] = []
        targets = Targets("1")
        parts = replace(
            self.control.parts,
            on_trigger_changed=self.changed.append,
            on_trigger_deleted=self.deleted.append,
            trigger_url=lambda one: targets.url(one, "http://127.0.0.1:9000"),
        )
        transport = httpx.ASGITransport(create_app(parts))
        self.control.client = httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:9000")

    async def create(self, name: str = "web", kind: str = "http", config: object = HTTP, **more: Any) -> httpx.Response:
        text = config if isinstance(config, str) else json.dumps(config)
        body = {"triggerName": name, "triggerType": kind, "triggerConfig": text, **more}
        return await self.control.call("POST", TRIGGERS, json=body)


@pytest.fixture
async def told() -> AsyncIterator[Told]:
    one = Told()
    await one.control.store.start()
    assert (await one.control.create()).status_code == 200
    yield one
    await one.control.client.aclose()


async def test_a_trigger_is_created_got_changed_listed_and_deleted(told: Told) -> None:
    made = (await told.create(description="first", futureField=1)).json()
    assert made["triggerName"] == "web"
    assert made["triggerType"] == "http"
    assert json.loads(made["triggerConfig"]) == HTTP
    assert made["qualifier"] == "LATEST"
    assert made["targetArn"].endswith(":functions/echo/LATEST")
    assert made["httpTrigger"]["urlInternet"] == made["httpTrigger"]["urlIntranet"]
    assert (await told.control.call("GET", f"{TRIGGERS}/web")).json() == made
    told.control.clock.jump(5)
    changed = await told.control.call("PUT", f"{TRIGGERS}/web", json={"triggerConfig": '{"authType":"function"}'})
    assert changed.json()["triggerId"] == made["triggerId"]
    assert changed.json()["description"] == "first"
    assert changed.json()["lastModifiedTime"] > made["lastModifiedTime"]
    listed = (await told.control.call("GET", TRIGGERS)).json()
    assert listed == {"triggers": [changed.json()]}
    assert (await told.control.call("DELETE", f"{TRIGGERS}/web")).status_code == 204
    assert problem_of(await told.control.call("GET", f"{TRIGGERS}/web"))[:2] == (404, "TriggerNotFound")
    assert problem_of(await told.control.call("DELETE", f"{TRIGGERS}/web"))[:2] == (404, "TriggerNotFound")
    assert [one.epoch for one in told.changed] == [1, 2]
    assert [one.epoch for one in told.deleted] == [2]


async def test_a_url_closed_to_the_internet_is_not_told_as_an_internet_url(told: Told) -> None:
    urls = (await told.create(config={"disableURLInternet": True})).json()["httpTrigger"]
    assert urls["urlInternet"] == ""
    assert urls["urlIntranet"].startswith("http://127.0.0.1:9000/fn/")


async def test_the_second_of_two_is_refused_and_a_qualifier_makes_room(told: Told) -> None:
    answers = await asyncio.gather(*[told.create() for _ in range(4)])
    assert sorted(answer.status_code for answer in answers) == [200, 409, 409, 409]
    assert problem_of(await told.create())[1] == "TriggerAlreadyExists"
    assert problem_of(await told.create("other"))[:2] == (409, "TriggerAlreadyExists")
    assert (await told.create("other", qualifier="live")).status_code == 200
    assert (await told.create("clock", "timer", TIMER)).status_code == 200


async def test_pages_of_triggers_follow_each_other(told: Told) -> None:
    for number in range(5):
        await told.create(f"t{number}", "timer", TIMER)
    names: list[str] = []
    token = ""
    for _ in range(3):
        page = (await told.control.call("GET", TRIGGERS, query=[("limit", "2"), ("nextToken", token)])).json()
        names += [one["triggerName"] for one in page["triggers"]]
        token = page.get("nextToken", "")
    assert (names, token) == ([f"t{number}" for number in range(5)], "")
    page = (await told.control.call("GET", TRIGGERS, query=[("prefix", "t3")])).json()
    assert [one["triggerName"] for one in page["triggers"]] == ["t3"]


async def test_the_fifty_first_trigger_is_refused(told: Told) -> None:
    for number in range(PER_FUNCTION):
        assert (await told.create(f"t{number}", "timer", TIMER)).status_code == 200
    assert problem_of(await told.create("one-more", "timer", TIMER))[:2] == (400, "LimitExceeded")


@pytest.mark.parametrize("kind", ["oss", "log", "mns_topic", "cdn_events", "tablestore", "eventbridge"])
async def test_kinds_without_a_source_are_refused_by_name(told: Told, kind: str) -> None:
    status, code, message = problem_of(await told.create(kind=kind))
    assert (status, code) == (400, "InvalidArgument")
    assert kind in message
    assert "yet" in message


@pytest.mark.parametrize(
    ("kind", "config"),
    [
        ("http", "{"),
        ("http", "[]"),
        ("http", '{"authType": "secret"}'),
        ("http", '{"methods": ["BREW"]}'),
        ("http", '{"methods": "GET"}'),
        ("http", '{"authType": "jwt"}'),
        ("http", '{"authType": "jwt", "authConfig": "{}"}'),
        ("http", '{"corsConfig": {"allowOrigins": ["a\\nb"]}}'),
        ("http", '{"corsConfig": {"maxAge": -1}}'),
        ("http", json.dumps({"x": "y" * 70_000})),
        ("timer", "{}"),
        ("timer", '{"cronExpression": "* * *"}'),
        ("timer", '{"cronExpression": "0 0 0 31 2 *"}'),
        ("timer", json.dumps({"cronExpression": "@every 1m", "payload": "x" * 40_000})),
        ("timer", '{"cronExpression": "@every 1m", "enable": "yes"}'),
        ("pigeon", "{}"),
    ],
)
async def test_a_configuration_that_cannot_work_is_not_stored(told: Told, kind: str, config: str) -> None:
    assert problem_of(await told.create("bad", kind, config))[:2] == (400, "InvalidArgument")
    assert told.changed == []


@pytest.mark.parametrize("name", ["", "1a", "-a", "a" * 129, "a b", "ä", "a.b", "a|b"])
async def test_names_have_their_rules(told: Told, name: str) -> None:
    assert problem_of(await told.create(name))[:2] == (400, "InvalidArgument")


async def test_unknown_keys_in_the_configuration_are_kept(told: Told) -> None:
    made = (await told.create(config={**HTTP, "future": {"x": 1}})).json()
    assert json.loads(made["triggerConfig"])["future"] == {"x": 1}


async def test_a_trigger_needs_its_function(told: Told) -> None:
    body = {"triggerName": "web", "triggerType": "http", "triggerConfig": "{}"}
    for method, path in (("POST", ""), ("GET", "")):
        answer = await told.control.call(
            method, f"/2023-03-30/functions/none/triggers{path}", json=body if method == "POST" else None
        )
        assert problem_of(answer)[:2] == (404, "FunctionNotFound")


async def test_scopes_and_accounts_are_kept_apart(told: Told) -> None:
    await told.create()
    body = {"triggerName": "x", "triggerType": "http", "triggerConfig": "{}"}
    assert (await told.control.call("GET", f"{TRIGGERS}/web", key=READER)).status_code == 200
    assert problem_of(await told.control.call("POST", TRIGGERS, json=body, key=READER))[0] == 403
    assert problem_of(await told.control.call("GET", TRIGGERS, key=CALLER))[0] == 403
    assert problem_of(await told.control.call("GET", f"{TRIGGERS}/web", key=STRANGER))[0] == 404


async def test_changes_at_once_are_all_made(told: Told) -> None:
    await told.create()
    puts = [told.control.call("PUT", f"{TRIGGERS}/web", json={"description": f"d{n}"}) for n in range(6)]
    assert {answer.status_code for answer in await asyncio.gather(*puts)} == {200}
    assert max(one.epoch for one in told.changed) == 7
