"""How much memory instances may hold together: the policy."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from functory.instances import budget
from functory.instances.budget import Memory, room, too_many

MB = 1 << 20


def memory(held_mb: int, instances: int = 10, budget_mb: int = 100) -> Memory:
    return Memory(budget_bytes=budget_mb * MB, held_bytes=held_mb * MB, instances=instances)


def test_a_new_one_is_taken_to_hold_as_much_as_the_others() -> None:
    assert room(memory(50, 10), 100) == 10
    assert room(memory(50, 50), 100) == 25, "and never less than a small one does"


def test_the_limit_of_instances_stands_beside_it() -> None:
    assert room(memory(50), 3) == 3
    assert room(memory(50), -2) == 0


def test_what_is_full_has_no_room_and_says_how_many_must_go() -> None:
    assert room(memory(100), 100) == 0
    assert too_many(memory(100)) == 0
    assert too_many(memory(125, 10)) == 2


def test_it_is_short_before_it_is_full() -> None:
    assert not memory(89).short
    assert memory(90).short


def test_without_a_bound_nothing_is_short() -> None:
    unbounded = memory(10**6, budget_mb=0)
    assert (room(unbounded, 7), too_many(unbounded), unbounded.short) == (7, 0, False)


def test_a_machine_keeps_a_share_for_itself() -> None:
    assert budget.share_of(1000) == 700
    assert budget.share_of(0) == 0


@given(st.integers(1, 10**4), st.integers(0, 10**4), st.integers(0, 500))
def test_who_has_gone_was_enough_and_who_comes_fits_in(budget_mb: int, held_mb: int, instances: int) -> None:
    now = memory(held_mb, instances, budget_mb)
    each = budget.expected_bytes(now)
    assert now.held_bytes + room(now, 10**6) * each <= max(now.budget_bytes, now.held_bytes)
    assert now.held_bytes - too_many(now) * each <= now.budget_bytes
