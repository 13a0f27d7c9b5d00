"""How many instances stand ready for nobody: the policy, as a table of situations."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from functory.instances import park
from functory.instances.park import Interest, wanted


def interest(**changes: object) -> Interest:
    plain: dict[str, object] = {
        "base": 1,
        "since_call_ns": 0,
        "waited": 0,
        "since_wait_ns": park.BURST_NS,
        "expected": False,
        "provisioned": False,
        "failed": False,
        "room": 100,
        "room_max": 100,
    }
    return Interest(**{**plain, **changes})  # type: ignore[arg-type]


def test_a_function_in_use_has_one_ready() -> None:
    assert wanted(interest()) == 1


def test_nobody_called_nothing_is_parked() -> None:
    assert wanted(interest(since_call_ns=-1)) == 0


def test_interest_fades() -> None:
    assert wanted(interest(since_call_ns=park.INTEREST_NS - 1)) == 1
    assert wanted(interest(since_call_ns=park.INTEREST_NS)) == 0


def test_a_recent_burst_is_prepared_for_up_to_a_bound() -> None:
    assert wanted(interest(waited=5, since_wait_ns=0)) == 5
    assert wanted(interest(waited=500, since_wait_ns=0)) == park.MOST
    assert wanted(interest(waited=5)) == 1


def test_a_nearly_full_node_parks_nothing() -> None:
    assert wanted(interest(room=20)) == 0


def test_what_fails_to_start_is_not_started_for_nobody() -> None:
    assert wanted(interest(failed=True)) == 0


def test_who_keeps_a_minimum_needs_no_parked_ones() -> None:
    assert wanted(interest(provisioned=True)) == 0


def test_the_operator_can_forbid_it() -> None:
    assert wanted(interest(base=0, waited=5, since_wait_ns=0)) == 0


@given(st.integers(0, 8), st.integers(-1, 10**12), st.integers(0, 10**4), st.integers(0, 10**12))
def test_it_is_never_negative_nor_above_the_bounds(base: int, call_ns: int, waited: int, wait_ns: int) -> None:
    assert 0 <= wanted(interest(base=base, since_call_ns=call_ns, waited=waited, since_wait_ns=wait_ns)) <= 8
