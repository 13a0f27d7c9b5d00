"""The queue's time: forward with the wall clock, never back."""

from __future__ import annotations

from functory.queue.steady import Steady
from functory.testing.clock import START_MS, JumpingClock


def test_it_follows_a_clock_that_runs() -> None:
    clock = JumpingClock()
    steady = Steady(clock)
    clock.jump(1.5)
    assert steady.now_ms() == START_MS + 1500


def test_a_step_back_is_not_followed_and_time_goes_on() -> None:
    clock = JumpingClock()
    steady = Steady(clock)
    clock.jump(10)
    clock.step_wall(-3600)
    assert steady.now_ms() == START_MS + 10_000
    clock.jump(1)
    assert steady.now_ms() == START_MS + 11_000


def test_a_step_forward_is_followed() -> None:
    clock = JumpingClock()
    steady = Steady(clock)
    clock.step_wall(3600)
    assert steady.now_ms() == START_MS + 3_600_000
    clock.jump(1)
    assert steady.now_ms() == START_MS + 3_601_000


def test_small_corrections_never_make_it_step_back() -> None:
    clock = JumpingClock()
    steady = Steady(clock)
    seen = []
    for step in (0.4, -0.7, 0.2, -0.3, 0.9, -0.9):
        clock.step_wall(step)
        clock.jump(0.05)
        seen.append(steady.now_ms())
    assert seen == sorted(seen)
