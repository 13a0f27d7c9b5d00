"""Many hands on one function of a real node: one wins, the others hear the official code; nothing is left half done."""

from __future__ import annotations

import io
import zipfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from e2e.node_process import NodeProcess
from functory.sdk import ApiError, Client

pytestmark = pytest.mark.server

HANDS = 8
FIELDS = {"runtime": "python3", "handler": "index.handler"}


def archive(text: str = "") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as made:
        made.writestr("index.py", f"def handler(event, context):\n    return event\n# {text}\n")
    return out.getvalue()


def at_once(node: NodeProcess, *works: Callable[[Client], Any]) -> Counter[str]:
    """What each heard: `ok`, or the code of its refusal. Each has a connection of its own."""

    def hear(work: Callable[[Client], Any]) -> str:
        with Client(node.credentials) as client:
            try:
                work(client)
            except ApiError as refusal:
                return refusal.code
        return "ok"

    with ThreadPoolExecutor(len(works)) as hands:
        return Counter(hands.map(hear, works))


def test_of_many_who_make_or_delete_a_function_one_wins(node: NodeProcess, client: Client) -> None:
    for _ in range(5):
        heard = at_once(node, *[lambda one: one.functions.create("raced", FIELDS, archive())] * HANDS)
        assert heard == {"ok": 1, "FunctionAlreadyExists": HANDS - 1}
        heard = at_once(node, *[lambda one: one.functions.delete("raced")] * HANDS)
        assert heard == {"ok": 1, "FunctionNotFound": HANDS - 1}
    assert not list(client.functions.list("raced"))


def test_those_who_change_make_and_delete_at_once_hear_official_codes(node: NodeProcess, client: Client) -> None:
    works: list[Callable[[Client], Any]] = [
        lambda one: one.functions.create("stirred", FIELDS, archive()),
        lambda one: one.functions.update("stirred", {"timeout": 9}),
        lambda one: one.functions.update("stirred", {"memorySize": 1024}, archive("new")),
        lambda one: one.versions.publish("stirred"),
        lambda one: one.aliases.create("stirred", "prod", "1"),
        lambda one: one.triggers.create("stirred", "web", "http", {"authType": "anonymous", "methods": ["GET"]}),
        lambda one: one.triggers.delete("stirred", "web"),
        lambda one: one.functions.delete("stirred"),
    ]
    expected = {
        "ok", "FunctionAlreadyExists", "FunctionNotFound", "FunctionNotEmpty", "VersionPublishError",
        "VersionNotFound", "AliasAlreadyExists", "TriggerNotFound", "TriggerAlreadyExists", "ConcurrentUpdateError",
    }  # fmt: skip
    for _ in range(10):
        assert set(at_once(node, *works)) <= expected
    for trigger in _triggers(client, "stirred"):
        client.triggers.delete("stirred", trigger)
    if list(client.functions.list("stirred")):
        client.functions.delete("stirred")
    client.functions.create("stirred", FIELDS, archive())
    assert list(client.versions.list("stirred")) == [], "a new function has nothing of an old one"
    assert list(client.aliases.list("stirred")) == []
    client.functions.delete("stirred")


def _triggers(client: Client, name: str) -> list[str]:
    there = list(client.functions.list(name))
    return [one.trigger_name for one in client.triggers.list(name)] if there else []


def refused(code: str, work: Callable[[], Any]) -> str:
    with pytest.raises(ApiError) as caught:
        work()
    assert caught.value.code == code
    return caught.value.message


def test_a_function_goes_when_nothing_holds_it_and_takes_the_rest_along(client: Client) -> None:
    name = "held"
    client.functions.create(name, FIELDS, archive())
    refused("VersionNotFound", lambda: client.aliases.create(name, "prod", "1"))
    version = client.versions.publish(name).version_id
    client.aliases.create(name, "prod", version)
    assert "-0.1" in refused("InvalidArgument", lambda: _weigh(client, name, -0.1))
    assert "1.1" in refused("InvalidArgument", lambda: _weigh(client, name, 1.1))
    client.triggers.create(name, "web", "http", {"authType": "anonymous", "methods": ["GET"]})
    client.provision.put(name, {"target": 1}, "prod")
    client.async_configs.put(name, {"maxAsyncRetryAttempts": 1})
    client.concurrency.put(name, {"reservedConcurrency": 2})
    assert "web" in refused("FunctionNotEmpty", lambda: _delete_without_provision(client, name))
    client.triggers.delete(name, "web")
    client.functions.delete(name)
    refused("FunctionNotFound", lambda: client.aliases.get(name, "prod"))
    assert all(config["functionArn"].rpartition("/")[2] != name for config in client.concurrency.list())


def _weigh(client: Client, name: str, weight: float) -> None:
    client.aliases.update(name, "prod", {"additionalVersionWeight": {"2": weight}})


def _delete_without_provision(client: Client, name: str) -> None:
    refused("ProvisionConfigExist", lambda: client.functions.delete(name))
    client.provision.delete(name, "prod")
    client.functions.delete(name)
