"""POLICY: when a function that nobody calls is made ready again. Pure: what was seen goes in, times come out.

Many functions are called as by a clock: each ten minutes, each hour, when an office opens. Keeping an instance for them
between two calls costs memory for nothing; letting it go costs every caller a start. So the idle times of each function
are counted in a histogram, and what it says is used where it says something:

* Predictive: enough idle times were seen, and the middle nine tenths of them lie within a window that is short against
  their length. Then the instance goes as it would anyway, and one is made ready shortly before the window opens; it is
  kept until the window closes. What that costs is bounded: one instance, for the window's length, which is at most the
  time that idle instances are kept, or a quarter of the time that was saved before.
* Not predictive (few calls, or at any time): nothing is made ahead, idle instances are kept for the fixed time.

Bins grow by a tenth each, from seconds to days, so that a window is as exact as its distance asks for: a minute of ten
minutes, an hour of a working day. Old counts are halved from time to time: habits change.
"""

from __future__ import annotations

import math

import msgspec

FIRST_S = 10.0
"""Idle times below this are not counted: an instance is there anyway."""
GROWTH = 1.1
BINS = 120
"""The last one begins after ten days."""
ENOUGH = 4
"""Idle times that make a habit."""
HALVE_AT = 64
MIDDLE = 0.9
"""The share of idle times that the window holds."""


class Habit(msgspec.Struct, kw_only=True):
    """The idle times of one function, counted."""

    counts: list[int] = msgspec.field(default_factory=lambda: [0] * BINS)
    total: int = 0

    def note(self, idle_s: float) -> None:
        """A call came after this time without any."""
        if idle_s < FIRST_S:
            return
        self.counts[min(BINS - 1, int(math.log(idle_s / FIRST_S, GROWTH)))] += 1
        self.total += 1
        if self.total >= HALVE_AT:
            self.counts = [count // 2 for count in self.counts]
            self.total = sum(self.counts)


class Window(msgspec.Struct, frozen=True):
    """When the next call is expected, in seconds after the last one."""

    opens_s: float
    closes_s: float


def edge_s(number: int) -> float:
    """Where a bin begins."""
    return FIRST_S * GROWTH**number


def window(habit: Habit, kept_s: float) -> Window | None:
    """When to have an instance ready; None if nothing can be told, or one is kept that long (`kept_s`) anyway."""
    if habit.total < ENOUGH:
        return None
    outside = (1 - MIDDLE) / 2 * habit.total
    first, last = _where(habit.counts, outside), _where(habit.counts, habit.total - outside)
    found = Window(edge_s(first), edge_s(last + 1))
    if found.opens_s <= kept_s or found.closes_s - found.opens_s > max(kept_s, found.opens_s / 4):
        return None
    return found


def is_due(expected: Window | None, idle_s: float) -> bool:
    """Whether one instance should stand ready now."""
    return expected is not None and expected.opens_s <= idle_s < expected.closes_s


def _where(counts: list[int], rank: float) -> int:
    """The bin that holds the value of this rank."""
    seen = 0
    for number, count in enumerate(counts):
        seen += count
        if count and seen >= max(rank, 1):
            return number
    return BINS - 1
