"""Provision and scaling configurations acted on: schedules, tracking policies, bounds, with instances and the clock."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NamedTuple

from msgspec import structs

from functory.instances.pools import PoolsConfig
from functory.lifecycle import running
from functory.model.function import Function, Restriction
from functory.model.invocation import Invocation, Pending, Status
from functory.model.limits import ProvisionConfig, Ready, ScalingConfig, Standing
from functory.model.usage import Mode
from functory.node.surroundings import Surroundings
from functory.store.memory import MemoryStore
from functory.testing.clock import JumpingClock
from functory.testing.edge import ACCOUNT, Edge, edge, make_function, until
from functory.testing.instances import Asked

OF: dict[str, Any] = {"account_id": ACCOUNT, "function_name": "echo"}
BUSY = {"name": "busy", "metricType": "ProvisionedConcurrencyUtilization", "metricTarget": 0.5}


class Held(NamedTuple):
    """A node in memory whose time stands still, and calls that end when told."""

    node: Edge
    around: Surroundings
    clock: JumpingClock
    store: MemoryStore
    gate: asyncio.Event

    @property
    def function(self) -> Function:
        return self.node.routes.find(ACCOUNT, "echo")

    def call(self, number: int) -> Pending:
        now = self.clock.monotonic_ns()
        return self.node.invoke(
            Invocation(request_id=f"r{number}", account_id=ACCOUNT, function_name="echo", accepted_ns=now)
        )

    async def put(self, config: Standing) -> Standing:
        kind = self.store.provisions if isinstance(config, ProvisionConfig) else self.store.scalings
        await kind.put(config)  # type: ignore[arg-type]
        await self.around.refresh(ACCOUNT, "echo")
        return config

    async def stands(self, config: Standing, target: int) -> None:
        await until(lambda: self.around.ready(config) == Ready(target, target, ""))

    @property
    def modes(self) -> list[Mode]:
        pool = self.node.pools._pools[self.function.pool_id]
        return [one.mode for one in pool.instances.values()]


@asynccontextmanager
async def held(instances_max: int = 300) -> AsyncIterator[Held]:
    gate, clock, store = asyncio.Event(), JumpingClock(), MemoryStore()

    async def wait(asked: Asked) -> bytes:
        await gate.wait()
        return b""

    function = make_function(timeout_s=7200)
    config = PoolsConfig(grace_s=0, idle_s=60, instances_max=instances_max)
    async with edge(wait, function, clock=clock, pools_config=config) as node, running(store):
        await store.functions.create(function)
        around = Surroundings(store, routes=node.routes, admit=node.admit, pools=node.pools, clock=clock)
        async with running(around):
            try:
                yield Held(node, around, clock, store, gate)
            finally:
                gate.set()
                await clock.advance(1)  # the last records are on their way


async def test_a_policy_follows_the_calls_up_at_once_and_down_slowly() -> None:
    async with held() as it:
        policy = BUSY | {"minCapacity": 1, "maxCapacity": 8}
        config = await it.put(ProvisionConfig(**OF, official={"targetTrackingPolicies": [policy]}))
        await it.stands(config, 1)
        calls = [it.call(number) for number in range(3)]
        await until(lambda: len(it.node.pools.views()) == 3)
        await it.clock.advance(60)
        await it.stands(config, 6)
        it.gate.set()
        for one in calls:
            assert (await one).status is Status.OK
        await it.clock.advance(600)
        assert it.around.ready(config).target == 6, "the busiest minute of the last quarter of an hour counts"
        await it.clock.advance(700)
        assert it.around.ready(config).target == 1


async def test_the_largest_of_target_schedule_and_policies_counts() -> None:
    async with held() as it:
        action = {"name": "evening", "scheduleExpression": "cron(0 0 1 * * *)", "target": 4}
        low, high = (
            BUSY | {"minCapacity": 3, "maxCapacity": 8},
            BUSY | {"name": "b", "minCapacity": 1, "maxCapacity": 8},
        )
        config = await it.put(
            ProvisionConfig(
                **OF,
                target=2,
                official={"scheduledActions": [action], "targetTrackingPolicies": [low, high]},
                modified_at_ms=it.clock.now_ms(),
            )
        )
        await it.stands(config, 3)
        await it.clock.advance(3600)
        await it.stands(config, 4)


async def test_both_kinds_of_configuration_of_one_qualifier_do_not_add_up() -> None:
    async with held() as it:
        first = await it.put(ProvisionConfig(**OF, target=2))
        scheduled = {"name": "a", "scheduleExpression": "at(2026-01-01T00:30:00Z)", "target": 5}
        second = await it.put(
            ScalingConfig(
                **OF, min_instances=1, official={"scheduledPolicies": [scheduled]}, modified_at_ms=it.clock.now_ms()
            )
        )
        await it.stands(first, 2)
        assert it.around.ready(second) == Ready(1, 1, "")
        assert len(it.node.spawner.made) == 2
        await it.clock.advance(1800)
        await it.stands(second, 5)
        assert it.around.ready(first) == Ready(2, 2, "")


async def test_without_scaling_on_demand_no_more_than_the_kept_ones_are_made() -> None:
    async with held() as it:
        config = await it.put(ScalingConfig(**OF, min_instances=1, official={"enableOnDemandScaling": False}))
        await it.stands(config, 1)
        calls = [it.call(number) for number in range(3)]
        await it.clock.advance(1)
        assert len(it.node.spawner.made) == 1
        it.gate.set()
        assert [(await one).status for one in calls] == [Status.OK] * 3
        assert len(it.node.spawner.made) == 1
        await it.put(ScalingConfig(**OF, min_instances=0, official={"enableOnDemandScaling": False}))
        await it.clock.advance(120)
        refused = it.call(9)
        await it.clock.advance(30)
        assert (await refused).status is Status.THROTTLED


async def test_the_kept_ones_are_called_first_and_billed_from_ready_to_gone() -> None:
    async with held() as it:
        config = await it.put(ProvisionConfig(**OF, target=1, official={"alwaysAllocateCPU": True}))
        await it.stands(config, 1)
        await it.clock.advance(10)
        calls = [it.call(number) for number in range(2)]
        await until(lambda: len(it.node.pools.views()) == 2)
        assert it.modes == [Mode.ALWAYS, Mode.ON_DEMAND]
        it.gate.set()
        ids = [(await one).instance_id for one in calls]
        assert (await it.call(5)).instance_id == ids[0], "the other one was used last"
        await it.clock.advance(5)
        assert it.node.pools.take_kept() == [(it.function, True, 15_000)]
        assert it.node.pools.take_kept() == []
        await it.put(ProvisionConfig(**OF, target=0))
        await it.clock.advance(5)
        assert it.node.pools.take_kept() == []


async def test_what_was_kept_of_a_revision_that_is_gone_is_billed_to_its_end() -> None:
    async with held() as it:
        config = await it.put(ProvisionConfig(**OF, target=2))
        await it.stands(config, 2)
        await it.clock.advance(3)
        old = it.function
        it.node.pools.retire(old)
        await until(lambda: not it.node.pools.views())
        assert it.node.pools.take_kept() == [(old, False, 6_000)]


async def test_what_cannot_be_kept_says_why() -> None:
    async with held(instances_max=1) as it:
        config = await it.put(ProvisionConfig(**OF, target=3))
        await until(lambda: it.around.ready(config).current == 1)
        assert it.around.ready(config) == Ready(3, 1, "the node's limit of 1 instances is reached")


async def test_what_a_policy_wants_stands_again_after_a_restart() -> None:
    async with held() as it:
        policy = BUSY | {"minCapacity": 1, "maxCapacity": 8}
        config = await it.put(ProvisionConfig(**OF, official={"targetTrackingPolicies": [policy]}))
        await it.stands(config, 1)
        calls = [it.call(number) for number in range(2)]
        await it.clock.advance(60)
        await it.stands(config, 4)
        after = Surroundings(it.store, routes=it.node.routes, admit=it.node.admit, pools=it.node.pools, clock=it.clock)
        async with running(after):
            assert after.ready(config).target == 4
        it.gate.set()
        for one in calls:
            await one


async def test_a_disabled_function_says_that_it_keeps_nothing() -> None:
    async with held() as it:
        config = await it.put(ProvisionConfig(**OF, target=1))
        await it.stands(config, 1)
        it.node.routes.put(structs.replace(it.function, epoch=2, restriction=Restriction(reason="", at_ms=1)))
        await it.around.refresh(ACCOUNT, "echo")
        await it.clock.advance(120)
        assert it.around.ready(config) == Ready(1, 0, "the function is disabled: no instances are kept")
