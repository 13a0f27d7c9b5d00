"""Who gets a template, and whose goes: the policy, as a table of situations."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functory.instances import snapshot
from functory.instances.snapshot import Standing, Wish, to_drop, wanted

MB = 1 << 20


def wish(**changes: object) -> Wish:
    plain: dict[str, object] = {
        "mode": "auto",
        "copies": True,
        "load_us": snapshot.SURE_US,
        "load_before_us": -1,
        "refused": "",
        "failures": 0,
        "since_failure_s": 0.0,
        "memory_free": 0.5,
    }
    return Wish(**{**plain, **changes})  # type: ignore[arg-type]


def standing(name: str = "c-1", **changes: object) -> Standing:
    plain: dict[str, object] = {
        "id": name,
        "age_s": 100.0,
        "idle_s": 1.0,
        "forks": 10,
        "load_us": 1_000_000,
        "bytes": 100 * MB,
        "children": 0,
        "burns": 0,
    }
    return Standing(**{**plain, **changes})  # type: ignore[arg-type]


def drop(*those: Standing, bytes_max: int = 1024 * MB, memory_free: float = 0.5) -> dict[str, str]:
    return to_drop(those, bytes_max=bytes_max, memory_free=memory_free)


def test_what_is_slow_to_load_gets_one_and_what_is_quick_does_not() -> None:
    assert wanted(wish())
    assert not wanted(wish(load_us=snapshot.WORTH_US - 1, load_before_us=snapshot.WORTH_US - 1))


def test_one_start_that_was_somewhat_slow_is_no_proof_but_two_are() -> None:
    assert not wanted(wish(load_us=snapshot.WORTH_US))
    assert not wanted(wish(load_us=snapshot.WORTH_US, load_before_us=100))
    assert wanted(wish(load_us=snapshot.WORTH_US, load_before_us=snapshot.WORTH_US))


def test_the_function_has_the_first_word_and_what_cannot_be_copied_the_last() -> None:
    assert not wanted(wish(mode="off"))
    assert wanted(wish(mode="on", load_us=1))
    assert not wanted(wish(mode="on", copies=False))
    assert not wanted(wish(mode="on", refused="a socket is open"))


def test_none_is_made_while_memory_is_short() -> None:
    assert not wanted(wish(memory_free=snapshot.SHORT_OF_MEMORY / 2))


@given(st.integers(1, 60))
def test_after_failures_it_is_tried_less_and_less_often_but_always_again(failures: int) -> None:
    wait_s = snapshot.retry_s(failures)
    assert snapshot.FIRST_RETRY_S <= wait_s <= snapshot.LAST_RETRY_S
    assert wait_s <= snapshot.retry_s(failures + 1)
    assert not wanted(wish(failures=failures, since_failure_s=wait_s * 0.99))
    assert wanted(wish(failures=failures, since_failure_s=wait_s))


def test_one_in_use_stays() -> None:
    assert drop(standing()) == {}


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"idle_s": snapshot.IDLE_S}, "hours"),
        ({"age_s": snapshot.AGE_S}, "a day old"),
        ({"burns": snapshot.BURNS_MAX}, "processor time"),
    ],
)
def test_one_that_is_unused_old_or_busy_for_nobody_goes(changes: dict[str, Any], word: str) -> None:
    assert word in drop(standing(**changes))["c-1"]


def test_copies_that_run_keep_their_template_unless_it_burns() -> None:
    assert drop(standing(children=1, idle_s=snapshot.IDLE_S, age_s=snapshot.AGE_S)) == {}
    assert drop(standing(children=1), bytes_max=1, memory_free=0.0) == {}
    assert drop(standing(children=1, burns=snapshot.BURNS_MAX))


def test_over_the_bound_the_least_worth_go_until_the_rest_fits() -> None:
    those = [
        standing("busy", forks=1000),
        standing("quick to load", load_us=30_000),
        standing("idle", idle_s=3000.0),
        standing("large", bytes=600 * MB),
    ]
    assert drop(*those, bytes_max=900 * MB) == {}
    gone = drop(*those, bytes_max=700 * MB)
    assert "busy" not in gone
    left = [one for one in those if one.id not in gone]
    assert sum(one.bytes for one in left) <= 700 * MB
    assert max(snapshot.worth(one) for one in those if one.id in gone) <= min(map(snapshot.worth, left))


def test_all_that_nothing_depends_on_go_when_the_machine_is_short_of_memory() -> None:
    gone = drop(standing("a"), standing("b", children=2), memory_free=snapshot.SHORT_OF_MEMORY / 2)
    assert set(gone) == {"a"}
