"""Timers fire each due time once: on time, after a restart, after a change, beside another node."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import pytest

from functory.lifecycle import running
from functory.model import errors
from functory.model.trigger import Trigger, TriggerKind
from functory.sources import timers
from functory.store.memory import MemoryStore
from functory.testing.checks import samples
from functory.testing.clock import START_MS, JumpingClock


def timer(cron: str = "@every 1m", *, name: str = "t", epoch: int = 1, at_ms: int = START_MS, **config: Any) -> Trigger:
    return Trigger(
        account_id=samples.ACCOUNT,
        function_name="hello",
        name=name,
        trigger_id=f"id-{name}",
        kind=TriggerKind.TIMER,
        config=msgspec.json.encode({"cronExpression": cron, "payload": "p", **config}).decode(),
        created_at_ms=START_MS,
        modified_at_ms=at_ms,
        epoch=epoch,
    )


class Bench:
    """Timers over a store and a clock, and what they ran."""

    def __init__(self, store: MemoryStore, clock: JumpingClock) -> None:
        self.store = store
        self.clock = clock
        self.ran: list[tuple[str, str]] = []
        self.refuse: errors.FunctoryError | None = None
        self.timers = timers.Timers(claims=store.triggers, submit=self.submit, clock=clock)

    async def submit(self, trigger: Trigger, payload: bytes, dedup_id: str) -> None:
        if self.refuse is not None:
            raise self.refuse
        event = msgspec.json.decode(payload)
        assert event["triggerName"] == trigger.name
        assert event["payload"] == "p"
        self.ran.append((event["triggerTime"][11:19], dedup_id))

    @property
    def times(self) -> list[str]:
        return [time for time, _ in self.ran]

    async def create(self, trigger: Trigger) -> None:
        await self.store.triggers.create(trigger)
        self.timers.put(trigger)


@asynccontextmanager
async def bench(clock: JumpingClock | None = None) -> AsyncIterator[Bench]:
    clock = clock or JumpingClock()
    async with running(store := MemoryStore()):
        await store.functions.create(samples.function())
        one = Bench(store, clock)
        async with running(one.timers):
            yield one


async def test_each_due_time_is_fired_once_at_its_time() -> None:
    async with bench() as one:
        await one.create(timer("*/20 * * * * *"))
        await one.clock.advance(19.9)
        assert one.times == []
        await one.clock.advance(45)
        assert one.times == ["00:00:20", "00:00:40", "00:01:00"]
        assert len({dedup for _, dedup in one.ran}) == 3


async def test_a_disabled_timer_rests_until_it_is_enabled() -> None:
    async with bench() as one:
        await one.create(timer(enable=False))
        await one.clock.advance(300)
        assert one.ran == []
        on = timer(enable=True, epoch=2, at_ms=one.clock.now_ms())
        await one.store.triggers.replace(on)
        one.timers.put(on)
        await one.clock.advance(61)
        assert one.times == ["00:06:00"]


async def test_a_change_counts_at_once_and_the_old_rule_no_more() -> None:
    async with bench() as one:
        await one.create(timer("@every 1m"))
        await one.clock.advance(60)
        changed = timer("@every 10m", epoch=2, at_ms=one.clock.now_ms())
        await one.store.triggers.replace(changed)
        one.timers.put(changed)
        one.timers.put(timer("@every 1s"))  # news that comes late is old
        await one.clock.advance(600)
        assert one.times == ["00:01:00", "00:11:00"]


async def test_a_deleted_timer_fires_no_more() -> None:
    async with bench() as one:
        await one.create(timer())
        await one.create(timer(name="other"))
        one.timers.drop(timer())
        one.timers.drop_function(samples.ACCOUNT, "hello")
        await one.clock.advance(120)
        assert one.ran == []


@pytest.mark.parametrize(("down_s", "expected"), [(150, ["00:02:00"]), (3600 + 90, ["01:01:00"])])
async def test_what_was_missed_is_fired_once_for_its_latest_due_time(down_s: int, expected: list[str]) -> None:
    clock = JumpingClock()
    async with running(store := MemoryStore()):
        await store.functions.create(samples.function())
        await store.triggers.create(timer("0 * * * * *"))
        clock.jump(down_s)
        one = Bench(store, clock)
        one.timers.load(await store.triggers.all())
        async with running(one.timers):
            await clock.advance(0)
            assert one.times == expected


async def test_what_was_missed_for_too_long_is_passed_over() -> None:
    clock = JumpingClock()
    async with running(store := MemoryStore()):
        await store.functions.create(samples.function())
        await store.triggers.create(timer("0 0 1 * * *"))
        clock.jump(2 * 3600 + 1)
        one = Bench(store, clock)
        one.timers.load(await store.triggers.all())
        async with running(one.timers):
            await clock.advance(0)
            assert one.ran == []
            await clock.advance(23 * 3600)
            assert one.times == ["01:00:00"]


async def test_a_restart_does_not_fire_a_due_time_again() -> None:
    async with bench() as one:
        await one.create(timer())
        await one.clock.advance(60)
        await one.timers.stop()
        again = Bench(one.store, one.clock)
        again.timers.load(await one.store.triggers.all())
        async with running(again.timers):
            await one.clock.advance(30)
            assert again.ran == []
            await one.clock.advance(30)
            assert (one.times, again.times) == (["00:01:00"], ["00:02:00"])


async def test_two_nodes_over_one_store_share_the_due_times() -> None:
    async with bench() as one:
        other = Bench(one.store, one.clock)
        async with running(other.timers):
            await one.create(timer())
            other.timers.put(timer())
            await one.clock.advance(180)
            assert len({dedup for _, dedup in one.ran + other.ran}) == 3  # the same ids: the queue takes each once
            assert one.timers.fired + other.timers.fired == 3


async def test_a_task_that_a_crash_left_unclaimed_is_submitted_under_the_same_id() -> None:
    async with bench() as one:
        await one.create(timer())
        ids: list[str] = []

        async def crash(_trigger: Trigger, _payload: bytes, dedup_id: str) -> None:
            ids.append(dedup_id)
            if len(ids) == 1:
                raise errors.Unavailable("the node ends here")

        for _ in range(2):
            durable = timers.Timers(claims=one.store.triggers, submit=crash, clock=one.clock)
            durable.load(await one.store.triggers.all())
            await one.timers.stop()
            async with running(durable):
                await one.clock.advance(60 if not ids else 1)
        assert len(ids) == 2
        assert len(set(ids)) == 1
        assert [fired for _, fired in await one.store.triggers.all()] == [START_MS + 60_000]


async def test_a_wall_clock_set_back_fires_nothing_twice() -> None:
    async with bench() as one:
        await one.create(timer("0 * * * * *"))
        await one.clock.advance(60)
        one.clock.step_wall(-45)
        await one.clock.advance(60)
        assert one.times == ["00:01:00"]
        await one.clock.advance(90)
        assert one.times == ["00:01:00", "00:02:00"]


async def test_a_wall_clock_set_on_is_noticed() -> None:
    async with bench() as one:
        await one.create(timer("0 0 1 * * *"))
        one.clock.step_wall(3600)
        await one.clock.advance(timers.LONGEST_WAIT_S)
        assert one.times == ["01:00:00"]


async def test_a_store_that_fails_disturbs_no_later_due_time() -> None:
    async with bench() as one:
        await one.create(timer())
        await one.store.stop()
        await one.clock.advance(60)
        await one.store.start()
        await one.clock.advance(60)
        assert one.times == ["00:01:00", "00:02:00"]


async def test_a_run_that_is_refused_costs_that_due_time_only() -> None:
    async with bench() as one:
        await one.create(timer())
        one.refuse = errors.FunctionNotFound("hello")
        await one.clock.advance(60)
        one.refuse = None
        await one.clock.advance(60)
        assert one.times == ["00:02:00"]
