"""Calls of versions and aliases, reserved places, instances kept ready, the switch: through the whole data plane."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime
from itertools import cycle
from typing import Any

from msgspec import structs

from functory.clock import SystemClock
from functory.instances.instance import InstanceLimits
from functory.instances.pools import PoolsConfig
from functory.instances.standing import Keep
from functory.instances.starts import SHORT_LIVES
from functory.invoke.admit import AdmitConfig
from functory.invoke.route import Canary
from functory.lifecycle import running
from functory.model.function import Restriction
from functory.model.limits import ConcurrencyConfig, ProvisionConfig, ScalingConfig
from functory.model.version import Alias
from functory.node.surroundings import Surroundings
from functory.store.memory import MemoryStore
from functory.testing.clock import JumpingClock
from functory.testing.edge import ACCOUNT, Answer, Edge, edge, make_function, until
from functory.testing.instances import Asked, holding

SERVED_BY = "x-fc-invocation-service-version"
ONE = make_function(version="1", handler="index.one")
TWO = make_function(version="2", handler="index.two")


async def echo(asked: Asked) -> bytes:
    return asked.payload


async def call(node: Edge, qualifier: str, *headers: str) -> Answer:
    return (await node.send(node.request("echo", b"x", *headers, qualifier=qualifier)))[0]


async def test_a_version_has_instances_of_its_own_and_says_that_it_answered() -> None:
    async with edge(echo) as node:
        node.routes.bind(make_function(), {"1": ONE, "2": TWO})
        answers = [await call(node, qualifier) for qualifier in ("LATEST", "1", "2", "1", "")]
        assert [one.headers[SERVED_BY] for one in answers] == ["LATEST", "1", "2", "1", "LATEST"]
        ids = [one.headers["x-fc-instance-id"] for one in answers]
        assert (ids[1], ids[0]) == (ids[3], ids[4])
        assert len(set(ids)) == 3
        records = await node.flushed()
    assert [one.qualifier for one in records] == ["LATEST", "1", "2", "1", "LATEST"]


async def test_a_qualifier_that_is_not_there_is_404_in_the_official_words() -> None:
    async with edge(echo) as node:
        node.routes.bind(make_function(), {"1": ONE})
        for qualifier, code in (("3", "VersionNotFound"), ("prod", "AliasNotFound")):
            answer = await call(node, qualifier)
            assert (answer.status, json.loads(answer.body)["Code"]) == (404, code)


async def test_an_alias_shares_its_calls_by_chance_and_by_key_always_the_same_way() -> None:
    draws = cycle([0.1, 0.3, 0.25, 0.9])
    async with edge(echo, chance=lambda: next(draws)) as node:
        node.routes.bind(make_function(), {"1": ONE, "2": TWO, "prod": Canary(ONE, TWO, 0.25)})
        assert [(await call(node, "prod")).headers[SERVED_BY] for _ in range(4)] == ["2", "1", "1", "1"]
        by_key = {}
        for key in range(200):
            by_key[key] = (await call(node, "prod", f"x-fc-canary-key: user-{key}")).headers[SERVED_BY]
        again = {key: (await call(node, "prod", f"x-fc-canary-key: user-{key}")).headers[SERVED_BY] for key in by_key}
    assert by_key == again
    share = list(by_key.values()).count("2") / len(by_key)
    assert 0.15 < share < 0.35


async def test_a_disabled_function_is_not_called_whatever_the_qualifier_until_it_is_enabled() -> None:
    off = make_function(epoch=2, restriction=Restriction(reason="under repair", at_ms=1))
    async with edge(echo) as node:
        node.routes.bind(make_function(), {"1": ONE})
        node.routes.put(off)
        for qualifier in ("", "1"):
            answer = await call(node, qualifier)
            problem = json.loads(answer.body)
            assert (answer.status, problem["Code"]) == (403, "FunctionInvocationDisabled")
            assert "under repair" in problem["Message"]
        node.routes.put(make_function(epoch=3))
        assert [(await call(node, qualifier)).status for qualifier in ("", "1")] == [200, 200]


async def test_aborting_ends_what_runs_and_tells_its_caller_why() -> None:
    inside, _, hold = holding()
    async with edge(hold) as node:
        running = asyncio.create_task(node.call("echo"))
        await inside.acquire()
        node.pools.kill(ACCOUNT, "other", "not meant")
        node.pools.kill(ACCOUNT, "echo", "it was disabled")
        answer = await running
        assert answer.headers["x-fc-error-type"]
        await until(lambda: not node.pools.views())


async def test_reserved_places_bound_a_function_and_are_taken_from_all_others() -> None:
    inside, go, hold = holding()
    echo_, other = make_function(), make_function("other", function_id="other-id")
    config = AdmitConfig(account_concurrency=3, function_concurrency=3, queue_max=0)
    async with edge(hold, echo_, other, admit=config) as node:
        node.admit.reserve(ACCOUNT, echo_.function_id, 2)
        first = [asyncio.create_task(node.call(name)) for name in ("echo", "echo", "other")]
        for _ in first:
            await inside.acquire()
        refused = [json.loads((await node.call(name)).body)["Message"] for name in ("echo", "other")]
        assert "function concurrency limit 2 is reached" in refused[0]
        assert "account concurrency limit 1 is reached" in refused[1], "places that are not used are not given away"
        node.admit.reserve(ACCOUNT, echo_.function_id, None)
        more = asyncio.create_task(node.call("other"))
        await inside.acquire()
        go.set()
        assert {(await one).status for one in [*first, more]} == {200}
        node.admit.reserve(ACCOUNT, echo_.function_id, 0)
        nothing = await node.call("echo")
        assert (nothing.status, "reserved concurrency is 0" in nothing.body.decode()) == (429, True)


async def test_raising_the_reserved_places_lets_those_who_wait_run() -> None:
    inside, go, hold = holding()
    function = make_function()
    async with edge(hold, function) as node:
        node.admit.reserve(ACCOUNT, function.function_id, 1)
        calls = [asyncio.create_task(node.call("echo")) for _ in range(2)]
        await inside.acquire()
        await until(lambda: node.admit.waiting == 1)
        node.admit.reserve(ACCOUNT, function.function_id, 2)
        await inside.acquire()
        go.set()
        assert [(await one).status for one in calls] == [200, 200]


async def test_kept_instances_start_before_any_call_and_come_back_when_they_die() -> None:
    async with edge(echo) as node:
        function = node.routes.find(ACCOUNT, "echo")
        node.pools.keep(function, Keep(3))
        await until(lambda: node.pools.kept(function) == (3, ""))
        answer = await node.call("echo")
        assert "fork;dur" in answer.headers["server-timing"], "the first call of each tells how it was made"
        node.spawner.kill(node.pools.views()[0].instance_id)
        await until(lambda: len(node.spawner.made) == 4)
        await until(lambda: node.pools.kept(function) == (3, ""))


async def test_kept_instances_that_end_at_once_are_not_replaced_without_end() -> None:
    async with edge(echo) as node:
        function = node.routes.find(ACCOUNT, "echo")
        node.pools.keep(function, Keep(1))
        for count in range(1, SHORT_LIVES + 2):
            await until(lambda count=count: len(node.spawner.made) == count)  # type: ignore[misc]
            await until(lambda: node.pools.kept(function)[0] == 1)
            node.spawner.kill(node.pools.views()[0].instance_id)
            await until(lambda: not node.pools.kept(function)[0])
        await until(lambda: not node.pools.views())
        assert len(node.spawner.made) == SHORT_LIVES + 1


async def test_a_full_node_says_why_there_are_not_more() -> None:
    config = PoolsConfig(grace_s=0.2, instances_max=1, limits=InstanceLimits(start_timeout_s=2))
    async with edge(echo, pools_config=config) as node:
        function = node.routes.find(ACCOUNT, "echo")
        node.pools.keep(function, Keep(2))
        await until(lambda: node.pools.kept(function)[0] == 1)
        assert node.pools.kept(function)[1] == "the node's limit of 1 instances is reached"


async def test_a_change_that_no_instance_sees_keeps_the_instances() -> None:
    async with edge(echo) as node:
        first = await node.call("echo")
        labelled = structs.replace(make_function(epoch=2), official={"tags": [{"Key": "a", "Value": "b"}]})
        node.routes.put(labelled)
        assert node.pools.adopt(labelled)
        second = await node.call("echo")
        records = await node.flushed()
    assert first.headers["x-fc-instance-id"] == second.headers["x-fc-instance-id"]
    assert [one.epoch for one in records] == [1, 2]


async def test_what_is_stored_around_a_function_is_in_force_after_start_and_after_each_change() -> None:
    store = MemoryStore()
    async with edge(echo) as node, running(store):
        function = node.routes.find(ACCOUNT, "echo")
        await store.functions.create(function)
        version = await store.versions.publish(ACCOUNT, "echo", description="", at_ms=1)
        alias = Alias(
            account_id=ACCOUNT, function_name="echo", name="prod", version="1", created_at_ms=1, modified_at_ms=1
        )
        await store.aliases.create(alias)
        of: dict[str, Any] = {"account_id": ACCOUNT, "function_name": "echo"}
        await store.provisions.put(ProvisionConfig(**of, qualifier="prod", target=2))
        await store.scalings.put(ScalingConfig(**of, qualifier="LATEST", min_instances=1))
        await store.concurrency.put(ConcurrencyConfig(**of, reserved=0))
        around = Surroundings(store, routes=node.routes, admit=node.admit, pools=node.pools, clock=SystemClock())
        async with running(around):
            await until(lambda: node.pools.kept(version.function)[0] == 2)
            await until(lambda: node.pools.kept(function)[0] == 1)
            assert (await call(node, "prod")).status == 429
            await store.concurrency.delete(ACCOUNT, "echo", "")
            await around.refresh(ACCOUNT, "echo")
            assert (await call(node, "prod")).headers[SERVED_BY] == "1"
            bound = node.routes.targets(ACCOUNT, "echo")["1"]
            await around.refresh(ACCOUNT, "echo")
            assert node.routes.targets(ACCOUNT, "echo")["1"] is bound, "a version stays one object: its pool goes by it"
            await store.provisions.delete(ACCOUNT, "echo", "prod")
            await store.aliases.delete(ACCOUNT, "echo", "prod")
            await around.refresh(ACCOUNT, "echo")
            assert (await call(node, "prod")).status == 404


async def test_a_start_that_fails_is_told_and_not_tried_without_end() -> None:
    config = PoolsConfig(grace_s=0.2, limits=InstanceLimits(start_timeout_s=0.05))
    async with edge(echo, pools_config=config) as node:
        node.spawner.hello = False
        function = node.routes.find(ACCOUNT, "echo")
        node.pools.keep(function, Keep(1))
        await until(lambda: bool(node.pools.kept(function)[1]))
        assert node.pools.kept(function)[0] == 0
        await until(lambda: not node.pools.views())
        assert len(node.spawner.made) == 1


async def test_a_disabled_function_keeps_no_instances_of_any_version_until_it_is_enabled() -> None:
    store = MemoryStore()
    async with edge(echo) as node, running(store):
        function = node.routes.find(ACCOUNT, "echo")
        await store.functions.create(function)
        version = (await store.versions.publish(ACCOUNT, "echo", description="", at_ms=1)).function
        await store.provisions.put(ProvisionConfig(account_id=ACCOUNT, function_name="echo", qualifier="1", target=2))
        around = Surroundings(store, routes=node.routes, admit=node.admit, pools=node.pools, clock=SystemClock())
        async with running(around):
            await until(lambda: node.pools.kept(version)[0] == 2)
            node.routes.put(structs.replace(function, epoch=2, restriction=Restriction(reason="", at_ms=1)))
            await around.refresh(ACCOUNT, "echo")
            await until(lambda: not node.pools.views())
            node.routes.put(structs.replace(function, epoch=3))
            await around.refresh(ACCOUNT, "echo")
            await until(lambda: node.pools.kept(version)[0] == 2)


async def test_a_scheduled_action_changes_how_many_instances_stand_ready_when_it_is_due() -> None:
    store, clock = MemoryStore(), JumpingClock()
    async with edge(echo) as node, running(store):
        function = node.routes.find(ACCOUNT, "echo")
        await store.functions.create(function)
        due = datetime.fromtimestamp(clock.now_s() + 7200, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        action = {"name": "launch", "scheduleExpression": f"at({due})", "target": 3}
        config = ProvisionConfig(
            account_id=ACCOUNT,
            function_name="echo",
            target=1,
            official={"scheduledActions": [action]},
            modified_at_ms=clock.now_ms(),
        )
        await store.provisions.put(config)
        around = Surroundings(store, routes=node.routes, admit=node.admit, pools=node.pools, clock=clock)
        async with running(around):
            await until(lambda: node.pools.kept(function)[0] == 1)
            clock.jump(7199)
            assert len(node.spawner.made) == 1
            clock.jump(1)
            await until(lambda: node.pools.kept(function)[0] == 3)


async def test_reserved_places_are_one_number_for_all_versions_and_aliases_together() -> None:
    gate = asyncio.Event()

    async def wait(asked: Asked) -> bytes:
        await gate.wait()
        return b""

    store = MemoryStore()
    async with edge(wait, admit=AdmitConfig(account_concurrency=10, queue_max=0)) as node, running(store):
        function = node.routes.find(ACCOUNT, "echo")
        await store.functions.create(function)
        await store.versions.publish(ACCOUNT, "echo", description="", at_ms=1)
        of: dict[str, Any] = {"account_id": ACCOUNT, "function_name": "echo"}
        await store.aliases.create(Alias(**of, name="prod", version="1", created_at_ms=1, modified_at_ms=1))
        await store.concurrency.put(ConcurrencyConfig(**of, reserved=3))
        around = Surroundings(store, routes=node.routes, admit=node.admit, pools=node.pools, clock=SystemClock())
        async with running(around):
            calls = [asyncio.ensure_future(call(node, one)) for one in ("LATEST", "1", "prod")]
            await until(lambda: sum(view.busy for view in node.pools.views()) == 3)
            assert {view.function.version for view in node.pools.views()} == {"", "1"}
            for qualifier in ("LATEST", "1", "prod"):
                assert (await call(node, qualifier)).status == 429
            gate.set()
            assert [(await one).status for one in calls] == [200, 200, 200]
            assert (await call(node, "prod")).status == 200
