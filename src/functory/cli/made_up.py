"""Loads that are made up, for `functory simulate` without a trace."""

from __future__ import annotations

import math
import random
from collections.abc import Iterable

import msgspec

from functory.instances.keepalive.trace import Call


def load(functions: int, hours: float, source: random.Random) -> list[Call]:
    """A load as public traces of large clouds describe it, made up from `source`.

    A few functions get most calls and most are called a few times a day; a third run by timers, with a little jitter,
    the rest at any time, some of them in bursts. Durations and memory are log-normal: half below a second, most below
    200 MB.
    """
    calls: list[Call] = []
    for number in range(functions):
        mean_gap_s = min(6 * 3600.0, max(0.5, source.lognormvariate(math.log(900), 2.2)))
        kind = source.random()
        shape = _Shape(
            name=f"f-{number}",
            gap_s=_timer_gap(source, mean_gap_s) if kind < 0.33 else mean_gap_s,
            by_timer=kind < 0.33,
            in_bursts=kind > 0.85,
            duration_s=min(60.0, source.lognormvariate(math.log(0.3), 1.5)),
            memory_mb=min(1500.0, max(2.0, source.lognormvariate(math.log(40), 1.0))),
            cold_ms=source.choice((5.0, 8.0, 10.0, 40.0, 300.0, 900.0)),
        )
        calls += _calls_of(shape, hours * 3600, source)
    return sorted(calls, key=lambda call: call.at_s)


class _Shape(msgspec.Struct, frozen=True, kw_only=True):
    name: str
    gap_s: float
    by_timer: bool
    in_bursts: bool
    duration_s: float
    memory_mb: float
    cold_ms: float


def _timer_gap(source: random.Random, near_s: float) -> float:
    gaps = (60.0, 300.0, 600.0, 900.0, 1800.0, 3600.0)
    return min(gaps, key=lambda gap: abs(math.log(gap / near_s)) + source.random())


def _calls_of(shape: _Shape, until_s: float, source: random.Random) -> Iterable[Call]:
    at_s = source.random() * shape.gap_s
    while at_s < until_s:
        for offset in range(source.randint(2, 6) if shape.in_bursts else 1):
            duration_s = shape.duration_s * source.lognormvariate(0, 0.3)
            yield Call(shape.name, at_s + offset * 0.05, duration_s, shape.memory_mb, shape.cold_ms)
        if shape.by_timer:
            at_s += shape.gap_s * (1 + 0.01 * source.uniform(-1, 1))
        else:
            at_s += source.expovariate(1 / shape.gap_s)
