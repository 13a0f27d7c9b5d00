"""A wall clock that never steps back: what leases, delays and ages are counted with."""

from __future__ import annotations

import logging

from functory.clock import Clock
from functory.observe.logs import fields

log = logging.getLogger("functory.queue")

TOLERANCE_MS = 1000
"""How far the wall clock may stand apart from the elapsed time before it counts as a step."""


class Steady:
    """Wall time, carried on by elapsed time.

    POLICY: a step forward is followed: a machine that woke up, or learned the time after its start, is right. A step
    back is not: leases would seem to last an hour longer and ended rows to end before they began; time goes on from
    where it stood until the wall clock has caught up or the node starts anew.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._wall_ms = clock.now_ms()
        self._mono_ns = clock.monotonic_ns()
        self._last_ms = self._wall_ms
        self._behind = False

    def now_ms(self) -> int:
        """Milliseconds since 1970; never less than the call before."""
        carried = self._wall_ms + (self._clock.monotonic_ns() - self._mono_ns) // 1_000_000
        wall = self._clock.now_ms()
        if wall > carried + TOLERANCE_MS:
            self._wall_ms += wall - carried
            carried = wall
        elif wall < carried - TOLERANCE_MS and not self._behind:
            self._behind = True
            log.warning(
                "The machine's clock stepped back by %.1f s; work goes on by the time that had been reached",
                (carried - wall) / 1000,
                extra=fields("clock_back", by_ms=carried - wall),
            )
        self._last_ms = max(self._last_ms, carried)
        return self._last_ms
