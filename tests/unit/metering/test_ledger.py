"""What standing instances cost is written in batches: nothing twice, at most the last one lost."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from functory.lifecycle import running
from functory.metering.ledger import EVERY_S, Ledger
from functory.model import errors
from functory.model.function import Function
from functory.model.spending import HOUR_MS, Line, Spent
from functory.model.usage import RateCard
from functory.testing.clock import JumpingClock
from functory.testing.edge import make_function


class Books:
    """Takes batches, or refuses them, or holds them up."""

    def __init__(self) -> None:
        self.batches: list[Sequence[Spent]] = []
        self.failure: Exception | None = None
        self.gate: asyncio.Event | None = None

    async def add(self, rows: Sequence[Spent]) -> None:
        if self.gate is not None:
            await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        self.batches.append(rows)

    @property
    def instance_ms(self) -> list[int]:
        return [sum(row.instance_ms for row in rows) for rows in self.batches]


class Stand:
    """Instances that stand: as long as the clock says, each time since it was asked last."""

    def __init__(self, clock: JumpingClock, function: Function) -> None:
        self._clock = clock
        self._function = function
        self._taken_ms = clock.now_ms()

    def take(self) -> list[tuple[Function, bool, int]]:
        before, self._taken_ms = self._taken_ms, self._clock.now_ms()
        return [(self._function, False, self._taken_ms - before)] if self._taken_ms > before else []


async def test_each_batch_holds_what_stood_since_the_last_one_priced() -> None:
    clock, books = JumpingClock(), Books()
    function = make_function(cpu=1.0, memory_mb=2048)
    async with running(Ledger(Stand(clock, function).take, books, RateCard(), clock=clock)):
        await clock.advance(2 * EVERY_S + 3)
        assert books.instance_ms == [10_000, 10_000]
    assert books.instance_ms == [10_000, 10_000, 3_000], "the rest is written at the end"
    row = books.batches[0][0]
    assert (row.line, row.function_name, row.account_id) == (Line.STANDING, "echo", function.account_id)
    assert row.cost_nano_usd == 10 * 2 * 0.15 * 20_000
    assert row.hour_ms % HOUR_MS == 0


async def test_a_batch_that_is_refused_is_written_once_with_the_next() -> None:
    clock, books = JumpingClock(), Books()
    books.failure = errors.StorageFull()
    async with running(Ledger(Stand(clock, make_function()).take, books, RateCard(), clock=clock)):
        await clock.advance(3 * EVERY_S)
        assert books.batches == []
        books.failure = None
        await clock.advance(EVERY_S)
        assert books.instance_ms == [40_000]
    assert books.instance_ms == [40_000]


async def test_a_write_under_way_at_the_stop_is_finished_and_not_repeated() -> None:
    clock, books = JumpingClock(), Books()
    books.gate = asyncio.Event()
    ledger = Ledger(Stand(clock, make_function()).take, books, RateCard(), clock=clock)
    await ledger.start()
    await clock.advance(EVERY_S)
    stop = asyncio.ensure_future(ledger.stop())
    await clock.advance(1)
    books.gate.set()
    await stop
    await ledger.stop()
    assert books.instance_ms == [10_000, 1_000]
