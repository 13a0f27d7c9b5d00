"""Instances made ahead of need, and instances that make room: pools over in-memory instances."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from functory.instances import park
from functory.instances.pools import PoolsConfig
from functory.model.instance import Exit, InstanceSpec, InstanceState
from functory.spawner.base import Spawned
from functory.testing.edge import Edge, edge, make_function, until
from functory.testing.instances import Asked


async def echo(asked: Asked) -> bytes:
    return asked.payload


def states(node: Edge) -> list[str]:
    """Of all instances, parked ones too."""
    return sorted(one.state for pool in node.pools._pools.values() for one in pool.instances.values())


async def test_after_the_first_call_another_instance_stands_ready_and_is_nobodys() -> None:
    async with edge(echo, pools_config=PoolsConfig(parked=1)) as node:
        await node.call("echo", b"1")
        await until(lambda: InstanceState.PARKED in states(node))
        assert states(node) == [InstanceState.IDLE, InstanceState.PARKED]
        assert [view.state for view in node.pools.views()] == [InstanceState.IDLE]
        found = node.pools.statistics()
        assert {name: found[name] for name in ("alive", "busy", "starting", "parked", "standby")} == {
            "alive": 1,
            "busy": 0,
            "starting": 0,
            "parked": 1,
            "standby": 0,
        }


async def test_nothing_is_parked_for_a_function_that_nobody_has_called() -> None:
    functions = [make_function("echo"), make_function("quiet")]
    async with edge(echo, *functions, pools_config=PoolsConfig(parked=1)) as node:
        await node.call("echo", b"1")
        await until(lambda: InstanceState.PARKED in states(node))
        assert len(node.spawner.made) == 2


async def test_a_second_caller_gets_the_parked_one_at_once_and_it_is_replaced() -> None:
    gate = asyncio.Event()

    async def slow(asked: Asked) -> bytes:
        if asked.payload == b"slow":
            await gate.wait()
        return asked.payload

    async with edge(slow, pools_config=PoolsConfig(parked=1)) as node:
        await node.call("echo", b"1")
        await until(lambda: InstanceState.PARKED in states(node))
        waits = asyncio.create_task(node.call("echo", b"slow"))
        await until(lambda: InstanceState.BUSY in states(node))
        answer = await node.call("echo", b"2")
        assert answer.headers["x-fc-instance-id"] == node.spawner.made[1].spec.instance_id
        records = await node.flushed()
        assert [one.cold is not None for one in records] == [True, False], "its caller has not waited for a start"
        await until(lambda: len(node.spawner.made) == 3)
        gate.set()
        await waits


async def test_a_full_node_gives_the_room_of_unused_instances_to_who_waits() -> None:
    names = [f"f{number}" for number in range(12)]
    config = PoolsConfig(instances_max=3, grace_s=0.2)
    async with edge(echo, *map(make_function, names), pools_config=config) as node:
        for name in names:
            answer = await node.call(name, name.encode())
            assert (answer.status, answer.body) == (200, name.encode())
        assert node.pools.statistics()["alive"] <= 3
        assert sum(one.ended for one in node.spawner.made) >= 9


async def test_an_instance_that_ends_as_soon_as_it_is_made_fails_its_caller_at_once() -> None:
    async with edge(echo) as node:
        spawn = node.spawner.spawn

        async def spawn_and_end(spec: InstanceSpec, on_exit: Callable[[Exit], None], parent: str = "") -> Spawned:
            made = await spawn(spec, on_exit)
            node.spawner.made[-1].end(Exit(instance_id=spec.instance_id, code=7))
            return made

        node.spawner.hello = False
        node.spawner.spawn = spawn_and_end  # type: ignore[method-assign]
        answer = await node.call("echo")
        assert answer.headers["x-fc-error-type"]
        assert b"exit code 7" in answer.body


async def test_nothing_is_parked_for_a_function_whose_only_instance_ended_with_its_first_call() -> None:
    async def leave(asked: Asked) -> bytes:
        asked.instance.end(Exit(instance_id=asked.instance.spec.instance_id, code=3))
        return b""

    async with edge(leave, pools_config=PoolsConfig(parked=1, grace_s=5)) as node:
        await node.call("echo")
        await until(lambda: not node.pools._pools)
        await asyncio.sleep(3 * park.DELAY_S)
        assert len(node.spawner.made) == 1
