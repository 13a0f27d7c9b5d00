"""Named timers: at most one each, all ended together."""

from __future__ import annotations

from collections.abc import Callable

from functory.clock import Clock, Timer


class Timers:
    """The newest timer of a name counts."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._timers: dict[str, Timer] = {}
        self._ended = False

    def at(self, name: str, delay_s: float, callback: Callable[[], None]) -> None:
        """Call `callback` after `delay_s` seconds, instead of what was set under this name before."""
        timer = self._timers.get(name)
        if timer is not None:
            timer.cancel()
        if not self._ended:
            self._timers[name] = self._clock.call_later(delay_s, callback)

    def every(self, name: str, period_s: float, callback: Callable[[], None]) -> None:
        """Call `callback` every `period_s` seconds."""

        def tick() -> None:
            self.at(name, period_s, tick)
            callback()

        self.at(name, period_s, tick)

    def end(self) -> None:
        """None of them comes any more."""
        self._ended = True
        for timer in self._timers.values():
            timer.cancel()
