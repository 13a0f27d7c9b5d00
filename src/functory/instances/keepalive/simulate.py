"""Runs a trace through a rule: events in order of time, no clock but theirs.

    call ──an idle instance of its function──→ warm: used, then idle again
      └──none──→ cold: its start is waited for, room is made if the memory is full

Each idle instance has a time at which it goes; a use in between makes that void. An instance runs one call at a time.
"""

from __future__ import annotations

import heapq
import itertools
from bisect import bisect_right
from collections import defaultdict

import msgspec

from functory.instances.keepalive.rules import Idle, Rule
from functory.instances.keepalive.trace import Call

_FREE, _GONE, _READY, _CALL = range(4)
"""What happens at the same moment happens in this order: whoever becomes free may take the call of that moment."""


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """What a rule led to."""

    rule: str
    calls: int
    cold_starts: int
    memory_gb_s: float
    """Memory held, over time: running and idle."""
    wasted_gb_s: float
    """Of that, idle."""
    p50_added_ms: float
    p99_added_ms: float
    mean_added_ms: float
    peak_mb: float


def run(calls: list[Call], rule: Rule, memory_mb: float = 0) -> Result:
    """`memory_mb`: what all instances may hold; 0 = not bounded."""
    return _Run(calls, rule, memory_mb).result()


class _Run:
    def __init__(self, calls: list[Call], rule: Rule, memory_mb: float) -> None:
        self._calls = calls
        self._rule = rule
        self._bound_mb = memory_mb
        self._order = itertools.count()
        self._numbers = itertools.count()
        self._events: list[tuple[float, int, int, object]] = []
        self._idle: dict[str, list[Idle]] = defaultdict(list)
        self._calls_at: dict[str, list[float]] = defaultdict(list)
        self._last: dict[str, Call] = {}
        self._held_mb = 0.0
        self._peak_mb = 0.0
        self._used_mb_s = 0.0
        self._wasted_mb_s = 0.0
        self._added_ms: list[float] = []
        for call in calls:
            self._calls_at[call.function].append(call.at_s)
            self._push(call.at_s, _CALL, call)

    def result(self) -> Result:
        handlers = {_FREE: self._freed, _GONE: self._gone, _READY: self._ready, _CALL: self._called}
        end_s = self._calls[-1].at_s
        while self._events:
            at_s, kind, _, what = heapq.heappop(self._events)
            if at_s > end_s and kind != _FREE:
                continue  # the trace is over: nobody knows what would have come
            handlers[kind](at_s, what)  # type: ignore[operator]
        for idle in itertools.chain.from_iterable(self._idle.values()):
            self._wasted_mb_s += max(0.0, end_s - idle.since_s) * idle.memory_mb
        added = sorted(self._added_ms)
        return Result(
            rule=self._rule.name,
            calls=len(added),
            cold_starts=sum(one > 0 for one in added),
            memory_gb_s=(self._used_mb_s + self._wasted_mb_s) / 1024,
            wasted_gb_s=self._wasted_mb_s / 1024,
            p50_added_ms=added[len(added) // 2],
            p99_added_ms=added[min(len(added) - 1, int(len(added) * 0.99))],
            mean_added_ms=sum(added) / len(added),
            peak_mb=self._peak_mb,
        )

    def _push(self, at_s: float, kind: int, what: object) -> None:
        heapq.heappush(self._events, (at_s, kind, next(self._order), what))

    def _called(self, at_s: float, call: Call) -> None:
        self._rule.called(call.function, at_s)
        self._last[call.function] = call
        free = self._idle[call.function]
        if free:
            instance = free.pop()
            self._wasted_mb_s += (at_s - instance.since_s) * instance.memory_mb
            added_ms = 0.0
        else:
            instance = self._make(call, at_s)
            added_ms = call.cold_ms
        self._added_ms.append(added_ms)
        instance.served += 1
        instance.parked = False
        busy_s = added_ms / 1000 + call.duration_s
        self._used_mb_s += busy_s * instance.memory_mb
        self._push(at_s + busy_s, _FREE, instance)
        expected = self._rule.ready(call.function)
        if expected is not None:
            self._push(at_s + expected[0], _READY, call)

    def _make(self, call: Call, at_s: float) -> Idle:
        self._make_room(call.memory_mb, at_s)
        self._held_mb += call.memory_mb
        self._peak_mb = max(self._peak_mb, self._held_mb)
        number = next(self._numbers)
        return Idle(call.function, number, at_s, at_s, call.memory_mb, call.cold_ms, served=0)

    def _make_room(self, memory_mb: float, at_s: float) -> None:
        over_mb = self._held_mb + memory_mb - self._bound_mb if self._bound_mb else 0.0
        if over_mb <= 0:
            return
        for function in self._idle:
            self._look_ahead(function, at_s)
        for victim in self._rule.victims(list(itertools.chain.from_iterable(self._idle.values())), at_s):
            if over_mb <= 0:
                return
            over_mb -= victim.memory_mb
            self._drop(victim, at_s)

    def _drop(self, idle: Idle, at_s: float) -> None:
        self._idle[idle.function].remove(idle)
        self._wasted_mb_s += (at_s - idle.since_s) * idle.memory_mb
        self._held_mb -= idle.memory_mb

    def _freed(self, at_s: float, instance: Idle) -> None:
        instance.since_s = at_s
        self._idle[instance.function].append(instance)
        self._keep(instance, at_s)

    def _keep(self, instance: Idle, at_s: float) -> None:
        self._look_ahead(instance.function, at_s)
        kept_s = self._rule.kept_s(instance)
        if kept_s != float("inf"):
            # A moment later than a call at that very time, which may still have it.
            self._push(at_s + kept_s + 1e-6, _GONE, (instance, instance.since_s))

    def _look_ahead(self, function: str, at_s: float) -> None:
        """When each of its idle ones is used next: the one that became free last takes the next call."""
        times = self._calls_at[function]
        following = bisect_right(times, at_s)
        for place, idle in enumerate(reversed(self._idle[function]), following):
            idle.next_s = times[place] if place < len(times) else float("inf")

    def _gone(self, at_s: float, what: tuple[Idle, float]) -> None:
        instance, since_s = what
        if instance.since_s == since_s and instance in self._idle[instance.function]:
            self._drop(instance, at_s)

    def _ready(self, at_s: float, call: Call) -> None:
        """Only if it was the last call, nobody is there, and there is room without taking it from others."""
        if self._last[call.function] is not call or self._idle[call.function]:
            return
        if self._bound_mb and self._held_mb + call.memory_mb > self._bound_mb:
            return
        instance = self._make(call, at_s)
        instance.parked = True
        self._idle[call.function].append(instance)
        self._keep(instance, at_s)
