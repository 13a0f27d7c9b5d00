"""The pump beside a store that fails."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from functory.lifecycle import running
from functory.model import errors
from functory.model.task import TaskState
from functory.queue import base
from functory.queue.base import Group, Item, Leased, Move, Row
from functory.queue.fair import Limits
from functory.queue.handler import Overdue
from functory.queue.memory import MemoryQueue
from functory.queue.pump import Pump, PumpConfig
from functory.testing.clock import JumpingClock, settle

GROUP = Group(1, "1", "f")


class Failing(MemoryQueue):
    """Refuses what it is told to."""

    refuse: frozenset[str] = frozenset()
    drop_beats = False

    def _refusal(self, call: str) -> None:
        if call in self.refuse:
            raise errors.StorageFull

    def lease(self, *args: Any, **options: Any) -> Any:
        self._refusal("lease")
        return super().lease(*args, **options)

    def settle(self, moves: Sequence[Move]) -> Any:
        self._refusal("settle")
        return super().settle(moves)

    def sweep(self, *args: Any, **options: Any) -> Any:
        self._refusal("sweep")
        return super().sweep(*args, **options)

    def extend(self, *args: Any, **options: Any) -> Any:
        self._refusal("extend")
        return super().extend(*args, **options)


class Handler:
    """Ends each row when told to."""

    def __init__(self) -> None:
        self.held: list[Leased] = []
        self.abandoned: list[str] = []

    def limits(self, group: Group) -> Limits:
        return Limits()

    def run(self, leased: Leased) -> None:
        self.held.append(leased)

    def overdue(self, row: Row, why: Overdue) -> Move:
        return base.move(row, TaskState.EXPIRED if why is Overdue.TOO_OLD else TaskState.RETRYING, crashes=1)

    def stop(self, leased: Leased) -> None:
        self.held.remove(leased)

    def stopped(self, leased: Leased) -> Move:
        return base.move(leased, TaskState.STOPPED, keep_ms=1000)

    def abandon(self, leased: Leased) -> None:
        self.abandoned.append(leased.key)

    def dropped(self, refs: Sequence[str]) -> None:
        pass


class Setting:
    def __init__(self) -> None:
        self.clock = JumpingClock()
        self.queue = Failing(clock=self.clock)
        self.handler = Handler()
        self.pump = self.new_pump("n/1")

    def new_pump(self, owner: str) -> Pump:
        config = PumpConfig(lease_ms=8000, grace_s=2)
        return Pump(self.queue, self.handler, lane=1, node="n/", owner=owner, clock=self.clock, config=config)

    async def put(self, *keys: str, **options: Any) -> None:
        await self.queue.put([Item(group=GROUP, key=key, max_age_ms=10**8, **options) for key in keys])
        await settle()

    async def state(self, key: str) -> TaskState:
        row = await self.queue.get(GROUP, key)
        assert row is not None
        return row.state

    def end_all(self) -> None:
        held, self.handler.held = self.handler.held, []
        for leased in held:
            self.pump.finish(leased, base.ack(leased, keep_ms=10**8))


@pytest.fixture
def setting() -> Setting:
    return Setting()


@pytest.mark.parametrize("call", ["lease", "sweep", "extend"])
async def test_work_waits_for_a_store_that_fails_and_goes_on_after(setting: Setting, call: str) -> None:
    async with running(setting.queue, setting.pump):
        setting.queue.refuse = frozenset({call})
        await setting.put("a")
        await setting.put("b", delay_ms=1000)
        await setting.clock.advance(5)
        setting.queue.refuse = frozenset()
        await setting.clock.advance(5)
        assert sorted(leased.key for leased in setting.handler.held) == ["a", "b"]
        setting.end_all()


async def test_an_end_that_cannot_be_stored_is_kept_and_stored_later(setting: Setting) -> None:
    async with running(setting.queue, setting.pump):
        await setting.put("a")
        setting.queue.refuse = frozenset({"settle"})
        setting.end_all()
        await setting.clock.advance(60)
        assert await setting.state("a") is TaskState.RUNNING
        assert setting.pump.in_flight == 1
        setting.queue.refuse = frozenset()
        await setting.clock.advance(1)
        assert await setting.state("a") is TaskState.SUCCEEDED
        assert setting.pump.in_flight == 0


async def test_a_row_whose_lease_was_lost_is_abandoned_and_its_end_does_not_count(setting: Setting) -> None:
    async with running(setting.queue, setting.pump):
        await setting.put("a")
        (leased,) = setting.handler.held
        # Another node sweeps: to it the lease is over.
        await setting.queue.settle([base.move(leased, TaskState.RETRYING, delay_ms=10**7)])
        await setting.clock.advance(4)
        assert setting.handler.abandoned == ["a"]
        setting.end_all()
        await settle()
        assert setting.pump.fenced == 2
        assert await setting.state("a") is TaskState.RETRYING


async def test_a_row_that_is_stopped_from_elsewhere_hears_it_with_the_next_beat(setting: Setting) -> None:
    async with running(setting.queue, setting.pump):
        await setting.put("a")
        (leased,) = setting.handler.held
        await setting.queue.settle([base.move(leased, TaskState.STOPPING)])
        await setting.clock.advance(4)
        assert setting.handler.held == []
        setting.pump.finish(leased, setting.handler.stopped(leased))
        await settle()
        assert await setting.state("a") is TaskState.STOPPED


async def test_an_end_that_meets_a_stop_becomes_a_stop(setting: Setting) -> None:
    async with running(setting.queue, setting.pump):
        await setting.put("a")
        (leased,) = setting.handler.held
        await setting.queue.settle([base.move(leased, TaskState.STOPPING)])
        setting.end_all()
        await settle()
        assert await setting.state("a") is TaskState.STOPPED


async def test_a_start_takes_back_what_earlier_starts_held_and_nothing_else(setting: Setting) -> None:
    async with running(setting.queue):
        await setting.put("mine", owner="n/0", lease_ms=10**7)
        await setting.put("theirs", owner="m/0", lease_ms=10**7)
        async with running(setting.pump):
            await settle()
            assert [leased.key for leased in setting.handler.held] == ["mine"]
            assert setting.handler.held[0].crashes == 1
            assert await setting.state("theirs") is TaskState.RUNNING
            setting.end_all()


async def test_a_stop_waits_for_what_runs_and_hands_back_the_rest(setting: Setting) -> None:
    async with running(setting.queue):
        await setting.pump.start()
        await setting.put("a", "b")
        stopping = setting.pump.stop()
        a, b = setting.handler.held
        setting.pump.finish(a, base.ack(a, keep_ms=10**8))
        async with setting.clock.jumping():
            await stopping
        assert await setting.state("a") is TaskState.SUCCEEDED
        assert await setting.state("b") is TaskState.ENQUEUED
        assert setting.handler.abandoned == ["b"]
        setting.pump.finish(b, base.ack(b, keep_ms=10**8))
        await settle()
        assert await setting.state("b") is TaskState.ENQUEUED
        await setting.pump.stop()


async def test_a_row_that_cannot_be_begun_goes_back_and_the_others_run(setting: Setting) -> None:
    run = setting.handler.run
    bad = ["bad"]

    def run_or_fail(leased: Leased) -> None:
        if leased.key in bad:
            bad.clear()
            raise RuntimeError("cannot")
        run(leased)

    setting.handler.run = run_or_fail  # type: ignore[method-assign]
    async with running(setting.queue, setting.pump):
        await setting.put("bad", "good")
        assert [leased.key for leased in setting.handler.held] == ["good"]
        await setting.clock.advance(1)
        assert [leased.key for leased in setting.handler.held] == ["good", "bad"]
        setting.end_all()


def test_an_owner_belongs_to_its_node(setting: Setting) -> None:
    with pytest.raises(errors.InvalidArgument):
        setting.new_pump("other/1")
    with pytest.raises(errors.InvalidArgument):
        PumpConfig(lease_ms=10)
