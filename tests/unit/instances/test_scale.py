"""How many instances a function gets: the policy, as a table of situations."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from functory.instances.scale import Demand, starts_wanted


def demand(**changes: float) -> Demand:
    plain: dict[str, float] = {
        "waiting": 1,
        "oldest_wait_ms": 0.0,
        "alive": 0,
        "starting": 0,
        "concurrency": 1,
        "mean_run_ms": -1.0,
        "start_ms": 8.0,
        "room": 100,
    }
    return Demand(**{**plain, **changes})  # type: ignore[arg-type]


def test_nobody_waits_nothing_starts() -> None:
    assert starts_wanted(demand(waiting=0)) == 0


def test_the_first_callers_get_an_instance_each() -> None:
    assert starts_wanted(demand(waiting=5)) == 5


def test_those_already_being_started_count() -> None:
    assert starts_wanted(demand(waiting=5, starting=3)) == 2


def test_instances_that_take_several_are_counted_by_their_slots() -> None:
    assert starts_wanted(demand(waiting=33, concurrency=16)) == 3


def test_a_quick_function_makes_its_callers_wait_for_a_free_instance() -> None:
    assert starts_wanted(demand(waiting=31, alive=1, mean_run_ms=0.05)) == 0


def test_a_slow_function_gets_more_instances_although_one_lives() -> None:
    assert starts_wanted(demand(waiting=4, alive=1, mean_run_ms=200.0)) == 4


def test_who_has_waited_long_proves_the_estimate_wrong() -> None:
    assert starts_wanted(demand(waiting=2, alive=1, mean_run_ms=0.05, oldest_wait_ms=20.0)) == 2


def test_the_limits_hold() -> None:
    assert starts_wanted(demand(waiting=50, room=3)) == 3
    assert starts_wanted(demand(waiting=50, room=0)) == 0


@given(
    st.integers(0, 1000),
    st.integers(0, 50),
    st.integers(0, 50),
    st.integers(1, 200),
    st.integers(-5, 300),
    st.floats(0, 1e5),
    st.floats(-1, 1e4),
)
def test_never_more_than_needed_or_allowed(
    waiting: int, alive: int, starting: int, concurrency: int, room: int, oldest: float, mean: float
) -> None:
    wanted = starts_wanted(
        demand(
            waiting=waiting,
            alive=alive,
            starting=starting,
            concurrency=concurrency,
            room=room,
            oldest_wait_ms=oldest,
            mean_run_ms=mean,
        )
    )
    assert 0 <= wanted <= max(0, room)
    assert wanted + starting <= max(starting, -(-waiting // concurrency))
