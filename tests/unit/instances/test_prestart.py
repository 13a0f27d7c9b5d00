"""When a function is made ready for a call that is expected: the policy."""

from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from functory.instances import prestart
from functory.instances.prestart import Habit, is_due, window

KEPT_S = 180.0


def habit(*idle_s: float) -> Habit:
    found = Habit()
    for one in idle_s:
        found.note(one)
    return found


def test_who_is_called_each_hour_is_expected_about_then() -> None:
    found = window(habit(*[3600.0] * 6), KEPT_S)
    assert found is not None
    assert 0.85 * 3600 < found.opens_s <= 3600 < found.closes_s < 1.15 * 3600
    assert not is_due(found, 600)
    assert is_due(found, 3600)
    assert not is_due(found, 5000)


def test_a_few_calls_make_no_habit() -> None:
    assert window(habit(*[3600.0] * (prestart.ENOUGH - 1)), KEPT_S) is None


def test_calls_at_any_time_are_not_expected() -> None:
    source = random.Random(5)
    assert window(habit(*[source.expovariate(1 / 3600) for _ in range(60)]), KEPT_S) is None


def test_who_comes_while_an_instance_is_kept_anyway_is_not_waited_for() -> None:
    assert window(habit(*[60.0] * 30), KEPT_S) is None


def test_short_pauses_are_no_idle_times() -> None:
    assert habit(0.1, 5.0, 9.9).total == 0


def test_old_habits_are_forgotten() -> None:
    found = habit(*[3600.0] * 60, *[600.0] * 200)
    expected = window(found, KEPT_S)
    assert expected is not None
    assert expected.opens_s < 700


def test_one_odd_pause_in_many_does_not_spoil_a_habit() -> None:
    assert window(habit(*[3600.0] * 40, 90_000.0), KEPT_S) is not None


@given(st.lists(st.floats(0, 10**8), max_size=300), st.floats(1, 10**5))
def test_a_window_lies_after_what_is_kept_and_costs_a_bounded_time(idle_s: list[float], kept_s: float) -> None:
    found = window(habit(*idle_s), kept_s)
    if found is not None:
        assert kept_s < found.opens_s < found.closes_s
        assert found.closes_s - found.opens_s <= max(kept_s, found.opens_s / 4)
