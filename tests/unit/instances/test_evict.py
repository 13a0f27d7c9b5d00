"""Whose instance goes when the node is full: the policy, as a table of situations."""

from __future__ import annotations

from functory.instances.evict import Candidate, choose


def candidate(name: str, **changes: object) -> Candidate:
    plain: dict[str, object] = {
        "instance_id": name,
        "parked": False,
        "idle_s": 10.0,
        "age_s": 100.0,
        "served": 10,
        "start_ms": 5.0,
        "memory_bytes": 2 << 20,
    }
    return Candidate(**{**plain, **changes})  # type: ignore[arg-type]


def test_what_nobody_asked_for_goes_first() -> None:
    assert choose([candidate("a", served=0, idle_s=1e6), candidate("b", parked=True, start_ms=9000.0)], 1) == ["b"]


def test_the_longest_idle_goes_before_the_others() -> None:
    found = choose([candidate("a", idle_s=1.0), candidate("b", idle_s=60.0), candidate("c", idle_s=9.0)], 2)
    assert found == ["b", "c"]


def test_a_dear_start_protects() -> None:
    assert choose([candidate("a", start_ms=2000.0, idle_s=60.0), candidate("b", start_ms=5.0, idle_s=10.0)], 1) == ["b"]


def test_often_called_is_kept_over_seldom_called() -> None:
    assert choose([candidate("a", served=1000), candidate("b", served=1)], 1) == ["b"]


def test_of_two_alike_the_larger_goes() -> None:
    assert choose([candidate("a"), candidate("b", memory_bytes=200 << 20)], 1) == ["b"]


def test_never_more_than_asked_and_nobody_if_nobody_is_there() -> None:
    assert choose([candidate("a"), candidate("b")], 0) == []
    assert choose([], 5) == []
