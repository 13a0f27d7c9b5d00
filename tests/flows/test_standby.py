"""Instances on standby, memory, habits: pools over in-memory instances, on a clock that jumps."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from functory.instances.pools import Pools, PoolsConfig
from functory.instances.standing import Keep
from functory.model.function import Function
from functory.model.instance import InstanceSpec, InstanceState
from functory.model.invocation import Invocation, Outcome, Status
from functory.runtimes import wire
from functory.testing.clock import JumpingClock, settle
from functory.testing.edge import make_function, until
from functory.testing.instances import Asked, Handler, MemorySpawner

MB = 1 << 20


async def echo(asked: Asked) -> bytes:
    return asked.payload


class House:
    """Pools alone: no gateway and no records, so that hours pass quickly."""

    def __init__(self, handler: Handler, config: PoolsConfig) -> None:
        self.clock = JumpingClock()
        self.spawner = MemorySpawner(handler)
        self._numbers = itertools.count(1)
        self.pools = Pools(clock=self.clock, spawner=self.spawner, prepare=self._prepare, config=config)

    async def _prepare(self, function: Function) -> InstanceSpec:
        return InstanceSpec(
            instance_id=f"c-{next(self._numbers):024x}",
            runtime="python3",
            handler=function.handler,
            code_dir="/",
            environment={},
            memory_mb=function.memory_mb,
        )

    async def call(self, function: Function, payload: bytes = b"") -> Outcome:
        """One call."""
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        invocation = Invocation(
            request_id="1",
            account_id=function.account_id,
            function_name=function.name,
            payload=payload,
            accepted_ns=self.clock.monotonic_ns(),
            function=function,
        )
        self.pools.submit(invocation).then(answer.set_result)
        return await answer

    @property
    def states(self) -> list[str]:
        """Of all instances."""
        return sorted(one.state for pool in self.pools.all() for one in pool.instances.values())

    def frozen(self) -> bool:
        """Whether the first one is."""
        return self.spawner.made[0].frozen

    @property
    def made(self) -> int:
        return len(self.spawner.made)


@asynccontextmanager
async def house(handler: Handler = echo, **config: object) -> AsyncIterator[House]:
    built = House(handler, PoolsConfig(**{"grace_s": 0.1, **config}))  # type: ignore[arg-type]
    await built.pools.start()
    try:
        yield built
    finally:
        async with built.clock.jumping():
            await built.pools.stop()
        await built.spawner.stop()


async def test_an_instance_that_nobody_calls_is_frozen_then_goes_and_a_call_wakes_it() -> None:
    async with house(idle_s=60) as here:
        function = make_function()
        await here.call(function, b"1")
        assert here.states == [InstanceState.IDLE]
        await here.clock.advance(3)
        assert here.states == [InstanceState.STANDBY]
        assert here.frozen()
        assert here.pools.statistics()["standby"] == 1
        assert (await here.call(function, b"2")).payload == b"2"
        assert not here.frozen()
        await here.clock.advance(59)
        assert here.states == [InstanceState.STANDBY]
        await here.clock.advance(5)
        await until(lambda: not here.states)
        assert here.made == 1


async def test_what_runs_is_never_frozen_however_long_it_takes() -> None:
    gate = asyncio.Event()

    async def slow(asked: Asked) -> bytes:
        await gate.wait()
        return b"done"

    async with house(slow) as here:
        waits = asyncio.create_task(here.call(make_function(timeout_s=600)))
        await until(lambda: here.states == [InstanceState.BUSY])
        await here.clock.advance(20)
        found, frozen = here.states, here.frozen()
        gate.set()
        assert (found, frozen) == ([InstanceState.BUSY], False)
        assert (await waits).payload == b"done"


async def test_an_answer_that_still_streams_keeps_its_instance_awake() -> None:
    gate = asyncio.Event()

    async def streams(asked: Asked) -> bytes:
        asked.instance.send(asked.stream, wire.Type.RESP, 0, 0, b"", b"begun")
        await gate.wait()
        asked.instance.send(asked.stream, wire.Type.BODY, wire.Flag.END, 0, b"", b"ended")
        await asyncio.Event().wait()
        return b""

    async with house(streams) as here:
        outcome = await here.call(make_function(timeout_s=600))
        assert outcome.stream is not None
        await here.clock.advance(20)
        while_it_streams = here.states, here.frozen()
        gate.set()
        await until(lambda: here.states == [InstanceState.IDLE])
        await here.clock.advance(3)
        assert while_it_streams == ([InstanceState.BUSY], False)
        assert here.states == [InstanceState.STANDBY]


async def test_a_round_that_fails_for_one_function_goes_on_with_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    async with house() as here:
        for name in ("a", "b"):
            await here.call(make_function(name))
        broken = here.pools.all()[0]
        monkeypatch.setattr(broken.keeping, "sweep", lambda *_: 1 / 0)
        await here.clock.advance(5)
        assert here.states == [InstanceState.IDLE, InstanceState.STANDBY]
        monkeypatch.undo()
        await here.clock.advance(3)
        assert here.states == [InstanceState.STANDBY, InstanceState.STANDBY]


async def test_a_frozen_instance_is_ended_in_order_when_its_function_changes() -> None:
    async with house() as here:
        function = make_function()
        await here.call(function)
        await here.clock.advance(3)
        assert here.states == [InstanceState.STANDBY]
        here.pools.retire(function)
        await until(lambda: here.spawner.made[0].ended)
        assert not here.spawner.killed, "it was let go on and asked to end"


async def test_kept_instances_are_frozen_unless_their_owner_pays_for_processors_all_the_time() -> None:
    async with house() as here:
        function = make_function()
        here.pools.keep(function, Keep(1, always=True))
        await until(lambda: here.states == [InstanceState.IDLE])
        await here.clock.advance(400)
        assert here.states == [InstanceState.IDLE]
        here.pools.keep(function, Keep(1))
        await here.clock.advance(3)
        assert here.states == [InstanceState.STANDBY]
        here.pools.keep(function, Keep(1, always=True))
        await here.clock.advance(3)
        assert here.states == [InstanceState.IDLE]
        assert here.made == 1


async def test_instances_that_hold_too_much_give_way_to_what_is_worth_more() -> None:
    async with house(memory_bytes=300 * MB) as here:
        functions = [make_function(name) for name in "abc"]
        for function in functions:
            await here.call(function)
        await here.clock.advance(1.5)
        here.spawner.made[0].kernel.hold(400 * MB)
        await here.call(functions[0])
        await here.clock.advance(3)
        await until(lambda: here.spawner.made[0].ended)
        await here.clock.advance(3)
        assert len(here.states) == 2


async def test_what_its_owner_keeps_is_never_taken_for_others_however_much_it_holds() -> None:
    async with house(memory_bytes=300 * MB) as here:
        kept = make_function("kept")
        here.pools.keep(kept, Keep(1))
        await until(lambda: here.states == [InstanceState.IDLE])
        here.spawner.made[0].kernel.hold(900 * MB)
        for _ in range(3):
            await here.call(kept)
            await here.clock.advance(2)
        assert here.states == [InstanceState.STANDBY]
        assert here.made == 1
        assert here.pools.memory_short


async def test_a_node_whose_memory_is_held_by_what_runs_refuses_and_says_why() -> None:
    gate = asyncio.Event()

    async def slow(asked: Asked) -> bytes:
        asked.instance.kernel.hold(500 * MB)
        await gate.wait()
        return b""

    async with house(slow, memory_bytes=300 * MB, queue_wait_s=5) as here:
        first = asyncio.create_task(here.call(make_function("a", timeout_s=600)))
        await until(lambda: here.states == [InstanceState.BUSY])
        await here.clock.advance(3)
        second = asyncio.create_task(here.call(make_function("b")))
        await settle()
        await here.clock.advance(6)
        gate.set()
        refused, ran = await second, await first
        assert refused.status is Status.THROTTLED
        assert "instances_memory_bytes" in refused.message
        assert ran.status is Status.OK
        assert here.made == 1


async def test_a_function_called_every_hour_is_ready_when_its_call_comes() -> None:
    async with house(parked=1, idle_s=180) as here:
        function = make_function()
        for _ in range(6):
            assert (await here.call(function)).status is Status.OK
            await here.clock.advance(1800)
            assert here.states == []
            await here.clock.advance(1800)
        assert here.states == [InstanceState.PARKED]
        made = here.made
        outcome = await here.call(function)
        assert outcome.cold is None, "it has not waited for a start"
        assert outcome.instance_id == here.spawner.made[made - 1].spec.instance_id
        await here.clock.advance(1800)
        assert here.states == []
        here.pools.retire(function)
        await here.clock.advance(1800)
        assert here.states == [], "what is deleted is not expected"
