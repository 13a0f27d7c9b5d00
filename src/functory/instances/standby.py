"""POLICY: what becomes of an instance that nobody calls: frozen, paged out, gone. Pure: facts in, the next state out.

    idle ──a second──→ standby ──ten seconds──→ paged out ──minutes──→ gone

Each step down costs the next caller more and the machine less, so each waits until a call has become less likely:

* A frozen instance takes no processor time, whatever its threads do, and answers a tenth of a millisecond later. It is
  frozen after a grace time, not after each answer: whoever calls again within a second pays nothing at all, and code
  that still writes its last log line gets to the end of it. Official instances stand still between requests too.
* Paged out, a Python instance holds 0.1 MB and answers about a millisecond later. That takes swap, and milliseconds of
  processor time to get there, so it comes after ten seconds; or at once, where memory is short.
* At the end of its time it goes, as the official service does it: memory that nobody asks for is memory for others. The
  dearer its start, the longer it is kept: what starts in milliseconds is not missed, what takes a second is. On loads
  as clouds have them that takes three quarters of the memory of ten minutes for all, and callers wait less. A function
  that names its own time gets just that.
* Those of a kept minimum stand as long as it is kept. They are frozen as others are, unless their owner pays for
  processors all the time (`alwaysAllocateCPU`).
"""

from __future__ import annotations

import msgspec

from functory.model.instance import InstanceState

DEAR_MS = 100.0
"""A start that takes longer than this prolongs the time that an idle instance is kept, in proportion."""
MOST_TIMES = 5.0
"""Up to so many times."""


class Ladder(msgspec.Struct, frozen=True, kw_only=True):
    """How long without a call leads to which step, in nanoseconds."""

    freeze_ns: int
    page_out_ns: int
    gone_ns: int
    exact: bool = False
    """The function has named `gone_ns` itself: dear starts do not prolong it."""


class Resting(msgspec.Struct, frozen=True, kw_only=True):
    """An instance that runs nothing, at one moment."""

    state: InstanceState
    idle_ns: int
    """Since its last call, or its start."""
    start_ms: float
    """What a start of its function takes."""
    kept: bool
    """It belongs to a minimum that is kept."""
    awake: bool
    """Its owner wants it to run between calls."""
    swap: bool
    """There is somewhere to page it out to."""
    short: bool
    """The node's memory is nearly used up."""


def kept_ns(ladder: Ladder, start_ms: float) -> int:
    """How long an idle instance is kept whose start takes so long."""
    times = 1.0 if ladder.exact else min(MOST_TIMES, max(1.0, start_ms / DEAR_MS))
    return int(ladder.gone_ns * times)


def next_state(resting: Resting, ladder: Ladder) -> InstanceState | None:
    """Where it goes now; None = it stays as it is."""
    state, idle_ns = resting.state, resting.idle_ns
    if idle_ns >= kept_ns(ladder, resting.start_ms) and not resting.kept:
        return InstanceState.STOPPING
    if state is InstanceState.IDLE and idle_ns >= ladder.freeze_ns and not resting.awake:
        return InstanceState.STANDBY
    if state is InstanceState.STANDBY:
        if resting.awake:
            return InstanceState.IDLE
        if resting.swap and (resting.short or idle_ns >= ladder.page_out_ns):
            return InstanceState.PAGED_OUT
    return None
