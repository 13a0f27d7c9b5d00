"""The rules that are compared: ours, and three yardsticks.

Ours is the node's own policy, file by file: `standby.py` says how long one is kept, `prestart.py` whom to expect,
`evict.py` who goes when memory is full. Nothing of it is written a second time here.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from functory.instances import evict, prestart, standby
from functory.instances.habits import Rhythm

FIXED_S = 600.0
"""Ten minutes: what large clouds are known to keep an idle instance."""


class Idle(msgspec.Struct, gc=False):
    """An instance that runs nothing, in the simulation."""

    function: str
    number: int
    since_s: float
    made_s: float
    memory_mb: float
    cold_ms: float
    served: int
    parked: bool = False
    next_s: float = 0.0
    """When it would be used next; only an oracle may look."""


class Rule(Protocol):
    """When idle instances go, who goes for others, and when one is made ahead."""

    name: str

    def called(self, function: str, at_s: float) -> None:
        """A call of the function came."""

    def kept_s(self, idle: Idle) -> float:
        """How long to keep it from now on."""

    def ready(self, function: str) -> tuple[float, float] | None:
        """From when to when, in seconds after its last call, to have one made ready; None = not."""

    def victims(self, idles: list[Idle], at_s: float) -> list[Idle]:
        """In which order idle instances go when memory is full."""


class Fixed:
    """Each idle instance is kept ten minutes."""

    name = "fixed 10 minutes"

    def called(self, function: str, at_s: float) -> None:
        """Calls change nothing."""

    def kept_s(self, idle: Idle) -> float:
        """Ten minutes."""
        return FIXED_S

    def ready(self, function: str) -> tuple[float, float] | None:
        """Never."""
        return None

    def victims(self, idles: list[Idle], at_s: float) -> list[Idle]:
        """The longest idle first."""
        return sorted(idles, key=lambda one: one.since_s)


class LeastRecentlyUsed(Fixed):
    """Kept until the memory is needed; then the longest idle goes."""

    name = "LRU"

    def kept_s(self, idle: Idle) -> float:
        """As long as there is room."""
        return float("inf")


class Optimum(Fixed):
    """Knows the future: an instance goes at once if no call is left for it, else it is kept while there is room.

    When memory is full, the one whose next call is farthest off goes (Belady's rule, the best for equal sizes). Bounded
    as LRU is, it shows how many starts nobody could avoid with that memory; it does not spare memory that it may have.
    """

    name = "offline optimum"

    def kept_s(self, idle: Idle) -> float:
        """For ever, or not at all."""
        return float("inf") if idle.next_s != float("inf") else 0.0

    def victims(self, idles: list[Idle], at_s: float) -> list[Idle]:
        """The farthest next call first."""
        return sorted(idles, key=lambda one: -one.next_s)


class Ours:
    """The node's policy."""

    name = "functory"

    def __init__(self, idle_s: float) -> None:
        self._idle_s = idle_s
        self._ladder = standby.Ladder(freeze_ns=10**9, page_out_ns=10**10, gone_ns=int(idle_s * 1e9))
        self._seen: dict[str, Rhythm] = {}

    def called(self, function: str, at_s: float) -> None:
        """Its habit is learnt."""
        seen = self._seen.get(function)
        if seen is None:
            seen = self._seen[function] = Rhythm()
        seen.called(int(at_s * 1e9), self._idle_s)

    def kept_s(self, idle: Idle) -> float:
        """As `standby.kept_ns` says; what was made ahead, until its window closes."""
        if idle.parked:
            expected = self.ready(idle.function)
            return max(0.0, expected[1] - expected[0]) if expected else 0.0
        return standby.kept_ns(self._ladder, idle.cold_ms) / 1e9

    def ready(self, function: str) -> tuple[float, float] | None:
        """As `prestart.window` says."""
        expected: prestart.Window | None = self._seen[function].expected if function in self._seen else None
        return (expected.opens_s, expected.closes_s) if expected else None

    def victims(self, idles: list[Idle], at_s: float) -> list[Idle]:
        """As `evict.choose` says."""
        by_id = {str(one.number): one for one in idles}
        candidates = [
            evict.Candidate(
                instance_id=str(one.number),
                parked=one.parked,
                idle_s=at_s - one.since_s,
                age_s=at_s - one.made_s,
                served=one.served,
                start_ms=one.cold_ms,
                memory_bytes=int(one.memory_mb * (1 << 20)),
            )
            for one in idles
        ]
        return [by_id[name] for name in evict.choose(candidates, len(candidates))]
