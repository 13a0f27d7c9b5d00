"""POLICY: whose instance goes when the node is full and somebody waits for one. Pure: facts in, an order out.

What an instance is worth is the time it will save: its start, times how likely the next call comes soon, per byte it
holds (greedy-dual-size-frequency, with idle time in the place of an inflating clock). So:

* What runs something, or belongs to a kept minimum, is never taken.
* What was made ahead of need goes first: nobody has asked for it, and it can be made again.
* Then the least worth: quick to start, seldom called, long idle, large.

A function that is called every second keeps its instance over one that was called once an hour ago, unless its start is
so much cheaper that all callers together lose less.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

_SMALLEST_IDLE_S = 0.001
_SMALLEST_BYTES = 1 << 20


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """An instance that nobody uses at this moment."""

    instance_id: str
    parked: bool
    idle_s: float
    age_s: float
    """How long it has lived."""
    served: int
    start_ms: float
    """What a start of its function has cost lately."""
    memory_bytes: int


def worth(candidate: Candidate) -> float:
    """Milliseconds that keeping it is expected to save, per second and megabyte."""
    rate = candidate.served / max(candidate.age_s, _SMALLEST_IDLE_S)
    size_mb = max(candidate.memory_bytes, _SMALLEST_BYTES) / (1 << 20)
    return candidate.start_ms * rate / (1 + candidate.idle_s) / size_mb


def choose(candidates: Iterable[Candidate], count: int) -> list[str]:
    """Who goes, at most `count`, the least worth first."""
    order = sorted(candidates, key=lambda one: (not one.parked, worth(one), one.instance_id))
    return [one.instance_id for one in order[: max(0, count)]]
