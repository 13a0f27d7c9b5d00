"""What becomes of an instance that nobody calls: the policy, as a table of situations."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functory.instances.standby import Ladder, Resting, kept_ns, next_state
from functory.model.instance import MOVES, InstanceState

IDLE, STANDBY, PAGED_OUT = InstanceState.IDLE, InstanceState.STANDBY, InstanceState.PAGED_OUT
STOPPING = InstanceState.STOPPING
LADDER = Ladder(freeze_ns=1, page_out_ns=10, gone_ns=180)


def resting(state: InstanceState, idle_ns: int, **changes: Any) -> Resting:
    plain: dict[str, Any] = {"start_ms": 8.0, "kept": False, "awake": False, "swap": True, "short": False}
    return Resting(state=state, idle_ns=idle_ns, **{**plain, **changes})


@pytest.mark.parametrize(
    ("state", "idle_ns", "expected"),
    [
        (IDLE, 0, None),
        (IDLE, 1, STANDBY),
        (IDLE, 10, STANDBY),  # a step at a time
        (STANDBY, 9, None),
        (STANDBY, 10, PAGED_OUT),
        (PAGED_OUT, 179, None),
        (PAGED_OUT, 180, STOPPING),
        (IDLE, 180, STOPPING),
        (InstanceState.PARKED, 20, None),
    ],
)
def test_each_step_comes_after_its_time(state: InstanceState, idle_ns: int, expected: InstanceState | None) -> None:
    assert next_state(resting(state, idle_ns), LADDER) is expected


def test_a_dear_start_is_kept_longer_up_to_a_bound_unless_the_function_says_how_long() -> None:
    assert next_state(resting(IDLE, 180, start_ms=100.0), LADDER) is STOPPING
    assert next_state(resting(PAGED_OUT, 359, start_ms=200.0), LADDER) is None
    assert next_state(resting(PAGED_OUT, 360, start_ms=200.0), LADDER) is STOPPING
    assert kept_ns(LADDER, 60_000.0) == 5 * 180
    assert kept_ns(Ladder(freeze_ns=1, page_out_ns=10, gone_ns=180, exact=True), 60_000.0) == 180


def test_without_swap_it_stays_frozen() -> None:
    assert next_state(resting(STANDBY, 100, swap=False), LADDER) is None


def test_where_memory_is_short_it_is_paged_out_at_once() -> None:
    assert next_state(resting(STANDBY, 2, short=True), LADDER) is PAGED_OUT
    assert next_state(resting(STANDBY, 2, short=True, swap=False), LADDER) is None


def test_those_of_a_minimum_are_frozen_but_never_go() -> None:
    assert next_state(resting(IDLE, 10**6, kept=True), LADDER) is STANDBY
    assert next_state(resting(PAGED_OUT, 10**6, kept=True), LADDER) is None


def test_whose_owner_pays_for_processors_is_never_frozen_and_thawed_if_it_was() -> None:
    assert next_state(resting(IDLE, 100, awake=True), LADDER) is None
    assert next_state(resting(STANDBY, 100, awake=True), LADDER) is IDLE


@given(
    st.sampled_from([IDLE, STANDBY, PAGED_OUT, InstanceState.PARKED]),
    st.integers(0, 400),
    *[st.booleans()] * 4,
)
def test_every_step_is_a_move_of_the_table(
    state: InstanceState, idle_ns: int, kept: bool, awake: bool, swap: bool, short: bool
) -> None:
    found = next_state(resting(state, idle_ns, kept=kept, awake=awake, swap=swap, short=short), LADDER)
    assert found is None or found in MOVES[state]
