"""The jumping clock, and that the system's clock keeps the same contract."""

from __future__ import annotations

import asyncio
import time
from functools import partial

import pytest

from functory.clock import Clock, SystemClock
from functory.testing.clock import START_MS, JumpingClock, JumpingTimer, settle


def _fail() -> None:
    raise ArithmeticError("this timer fails")


def test_both_clocks_keep_the_protocol() -> None:
    clocks: list[Clock] = [SystemClock(), JumpingClock()]
    assert all(clock.now_ms() > 1_700_000_000_000 for clock in clocks)
    assert all(abs(clock.now_s() * 1000 - clock.now_ms()) < 1000 for clock in clocks)


async def test_the_systems_timers_fire_and_can_be_cancelled() -> None:
    clock, fired = SystemClock(), asyncio.Event()
    clock.call_later(0.001, fired.set)
    clock.call_later(0, lambda: pytest.fail("a cancelled timer fired")).cancel()
    before = clock.monotonic_ns()
    await fired.wait()
    await clock.sleep(0.001)
    assert clock.monotonic_ns() - before >= 1_500_000


def test_time_stands_until_told() -> None:
    clock = JumpingClock()
    assert (clock.now_ms(), clock.now_s()) == (START_MS, START_MS / 1000)
    assert clock.monotonic_ns() == clock.monotonic_ns() > 0


def test_a_jump_moves_both_clocks_exactly() -> None:
    clock = JumpingClock(start_ms=1000)
    before = clock.monotonic_ns()
    clock.jump(0.25)
    assert clock.now_ms() == 1250
    assert clock.monotonic_ns() - before == 250_000_000


def test_setting_the_wall_clock_back_leaves_monotonic_time() -> None:
    clock = JumpingClock(start_ms=10_000)
    before = clock.monotonic_ns()
    clock.step_wall(-5)
    assert (clock.now_ms(), clock.monotonic_ns()) == (5000, before)


def test_time_does_not_run_backwards() -> None:
    with pytest.raises(ValueError, match="-1 seconds"):
        JumpingClock().jump(-1)


def test_timers_run_in_order_each_at_its_own_time() -> None:
    clock, seen = JumpingClock(start_ms=0), list[tuple[str, int]]()

    def note(name: str) -> None:
        seen.append((name, clock.now_ms()))

    for name, delay_s in (("late", 3), ("first", 1), ("second", 1), ("never", 10)):
        clock.call_later(delay_s, partial(note, name))
    clock.jump(5)
    assert seen == [("first", 1000), ("second", 1000), ("late", 3000)]
    assert (clock.now_ms(), clock.waiting, clock.next_s) == (5000, 1, 5)


def test_a_timer_set_by_a_timer_runs_in_the_same_jump_if_it_is_due() -> None:
    clock, seen = JumpingClock(start_ms=0), list[int]()

    def tick() -> None:
        seen.append(clock.now_ms())
        clock.call_later(2, tick)

    clock.call_later(2, tick)
    clock.jump(7)
    assert seen == [2000, 4000, 6000]


def test_a_cancelled_timer_does_not_run_and_is_not_counted() -> None:
    clock = JumpingClock()
    timer = clock.call_later(1, lambda: pytest.fail("a cancelled timer ran"))
    timer.cancel()
    timer.cancel()
    assert (clock.waiting, clock.next_s) == (0, None)
    clock.jump(2)


def test_a_timer_cancelled_by_another_of_the_same_moment_does_not_run() -> None:
    clock = JumpingClock()
    victims: list[JumpingTimer] = []
    clock.call_later(1, lambda: victims[0].cancel())
    victims.append(clock.call_later(1, lambda: pytest.fail("a cancelled timer ran")))
    clock.jump(1)


async def test_sleepers_wake_in_order_and_finish_their_turn_before_the_next() -> None:
    clock, seen = JumpingClock(start_ms=0), list[tuple[str, int]]()

    async def sleeper(name: str, delay_s: float) -> None:
        await clock.sleep(delay_s)
        await asyncio.sleep(0)
        seen.append((name, clock.now_ms()))

    tasks = [asyncio.create_task(sleeper(name, s)) for name, s in (("b", 2), ("a", 1), ("c", 3.5))]
    await clock.advance(3)
    assert seen == [("a", 1000), ("b", 2000)]
    await clock.advance(1)
    assert seen[-1] == ("c", 3500)
    await asyncio.gather(*tasks)


async def test_a_cancelled_sleep_takes_its_timer_along() -> None:
    clock = JumpingClock()
    task = asyncio.create_task(clock.sleep(5))
    await clock.wait_armed()
    task.cancel()
    await settle()
    assert task.cancelled()
    assert clock.waiting == 0


async def test_what_a_callback_raises_comes_out_of_advance() -> None:
    clock = JumpingClock()
    clock.call_later(1, _fail)
    with pytest.raises(ArithmeticError, match="this timer fails"):
        await clock.advance(1)


async def test_wait_armed_returns_once_that_many_timers_wait() -> None:
    clock = JumpingClock()
    waiter = asyncio.create_task(clock.wait_armed(2))
    clock.call_later(1, lambda: None)
    await settle()
    assert not waiter.done()
    clock.call_later(1, lambda: None)
    await settle()
    assert waiter.done()


async def test_in_a_jumping_block_a_day_of_waiting_passes_at_once() -> None:
    clock, started = JumpingClock(), time.perf_counter()
    async with clock.jumping():
        for _ in range(24):
            await clock.sleep(3600)
    assert clock.now_ms() - START_MS == 86_400_000
    assert time.perf_counter() - started < 5


async def test_time_no_longer_moves_after_the_block() -> None:
    clock = JumpingClock()
    async with clock.jumping(grace_s=0.001):
        await clock.sleep(1)
    task = asyncio.create_task(clock.sleep(1))
    await settle()
    assert not task.done()
    await clock.advance(1)
    assert task.done()


async def test_a_failing_timer_ends_the_jumping_block_with_its_error() -> None:
    clock = JumpingClock()
    clock.call_later(1, _fail)
    with pytest.raises(ArithmeticError, match="this timer fails"):
        async with clock.jumping():
            await asyncio.Event().wait()
    task = asyncio.current_task()
    assert task is not None
    assert task.cancelling() == 0, "the cancellation that ended the block has been used up"


async def test_settle_waits_for_a_chain_of_hand_overs() -> None:
    steps = [asyncio.Event() for _ in range(20)]

    async def link(index: int) -> None:
        await steps[index].wait()
        await asyncio.sleep(0)
        steps[index + 1].set()

    tasks = [asyncio.create_task(link(index)) for index in range(19)]
    await settle()
    steps[0].set()
    await settle()
    assert steps[-1].is_set()
    await asyncio.gather(*tasks)


async def test_settle_names_a_task_that_never_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("functory.testing.clock._MAX_ROUNDS", 50)

    async def spin() -> None:
        while True:  # noqa: ASYNC110  the very mistake
            await asyncio.sleep(0)

    spinner = asyncio.create_task(spin())
    with pytest.raises(RuntimeError, match="never waits"):
        await settle()
    spinner.cancel()
