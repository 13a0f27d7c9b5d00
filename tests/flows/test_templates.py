"""Templates over in-memory instances: when they are made, what is forked from them, when they go."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec

from functory.instances import snapshot
from functory.instances.pools import PoolsConfig
from functory.model.function import Function
from functory.model.instance import Exit
from functory.model.template import TemplateState, TemplateView
from functory.testing.edge import Edge, edge, make_function, until
from functory.testing.instances import Asked, MemoryInstance

SLOW = snapshot.SURE_US


class Gate:
    """Calls with the payload `wait` wait until it opens: the next call needs another instance."""

    def __init__(self) -> None:
        self.opened = asyncio.Event()

    async def handler(self, asked: Asked) -> bytes:
        if asked.payload == b"wait":
            await self.opened.wait()
        return asked.payload


@asynccontextmanager
async def node_with(function: Function, load_us: int = SLOW) -> AsyncIterator[tuple[Edge, Gate]]:
    gate = Gate()
    async with edge(gate.handler, function, templates_mb=1024, pools_config=PoolsConfig(grace_s=0.2)) as node:
        node.spawner.load_us = load_us
        yield node, gate
        gate.opened.set()


def view(node: Edge, function: Function) -> TemplateView:
    return node.pools.template(function)


def templates(node: Edge) -> list[MemoryInstance]:
    return [one for one in node.spawner.made if one.spec.template]


async def ready(node: Edge, function: Function) -> MemoryInstance:
    """After a first call: the template."""
    assert (await node.call(function.name, b"1")).body == b"1"
    await until(lambda: view(node, function).state is TemplateState.READY)
    return templates(node)[-1]


async def another(node: Edge, name: str) -> MemoryInstance:
    """While one instance is busy, a call brings another."""
    waits = asyncio.create_task(node.call(name, b"wait"))
    count = len(node.spawner.made)
    await until(lambda: any(one.asked and one.asked[-1].payload == b"wait" for one in node.spawner.made))
    assert (await node.call(name, b"2")).body == b"2"
    del waits
    return node.spawner.made[count]


async def test_what_is_quick_to_load_has_no_template() -> None:
    function = make_function("quick")
    async with node_with(function, load_us=5) as (node, _):
        await node.call("quick", b"1")
        await another(node, "quick")
        assert templates(node) == []
        assert view(node, function).state is TemplateState.NONE


async def test_beside_the_first_call_a_template_is_made_and_what_comes_is_forked_from_it() -> None:
    function = make_function("slow")
    async with node_with(function) as (node, gate):
        template = await ready(node, function)
        assert template.spec.template
        assert not template.asked, "it never gets a request"
        copy = await another(node, "slow")
        assert copy.parent is template
        gate.opened.set()
        records = await node.flushed()
        cold = [one.cold for one in records if one.instance_id == copy.spec.instance_id and one.cold is not None]
        assert [(one.import_us, one.init_us, one.template_us) for one in cold] == [(0, 0, 11)]
        shown = view(node, function)
        assert (shown.forks, shown.children, shown.import_us, shown.init_us) == (1, 1, SLOW, 7)
        assert template.spec.instance_id not in {one.instance_id for one in node.pools.views()}


async def test_a_function_that_does_not_want_it_is_not_copied() -> None:
    function = msgspec.structs.replace(make_function("no"), environment={"FUNCTORY_SNAPSHOT": "off"})
    async with node_with(function) as (node, _):
        await node.call("no", b"1")
        await another(node, "no")
        assert templates(node) == []
        assert view(node, function).state is TemplateState.OFF


async def test_a_template_that_dies_is_made_again_at_once_and_starts_go_on() -> None:
    function = make_function("slow")
    async with node_with(function) as (node, _):
        first = await ready(node, function)
        first.end(Exit(instance_id=first.spec.instance_id, signal=9))
        await until(lambda: len(templates(node)) == 2 and view(node, function).state is TemplateState.READY)
        second = templates(node)[1]
        second.end(Exit(instance_id=second.spec.instance_id, signal=9))
        await until(lambda: view(node, function).state is TemplateState.NONE)
        assert "signal 9" in view(node, function).reason
        copy = await another(node, "slow")
        assert copy.parent is None, "the second one in a row waits for a while"


async def test_a_copy_that_fails_to_be_restored_is_replaced_before_its_caller_notices() -> None:
    function = make_function("slow")
    async with node_with(function) as (node, _):
        template = await ready(node, function)
        said = {"errorMessage": "after_restore failed: OSError: no", "errorType": "SnapshotHookError"}
        node.spawner.restore_fails = msgspec.json.encode(said)
        copy = await another(node, "slow")
        assert copy.parent is template
        assert view(node, function).state is TemplateState.REFUSED
        assert view(node, function).reason == "after_restore failed: OSError: no"
        assert node.spawner.made[-1].parent is None


async def test_after_a_change_the_template_stays_until_its_last_copy_has_ended() -> None:
    function = make_function("slow")
    async with node_with(function) as (node, gate):
        template = await ready(node, function)
        waits = asyncio.create_task(node.call("slow", b"wait"))
        await until(lambda: any(one.asked and one.asked[-1].payload == b"wait" for one in node.spawner.made))
        late = asyncio.create_task(node.call("slow", b"wait"))
        await until(lambda: sum(bool(one.asked) and one.asked[-1].payload == b"wait" for one in node.spawner.made) == 2)
        node.pools.retire(function)
        assert not template.ended, "a copy of it runs a request"
        gate.opened.set()
        assert {(await waits).body, (await late).body} == {b"wait"}
        await until(lambda: template.ended)
