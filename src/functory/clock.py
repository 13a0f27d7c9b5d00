"""Time is a collaborator: it is passed in, so that tests and simulations can move it.

Wall time (`now_ms`) is for people and records, monotonic time for durations and deadlines.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


class Timer(Protocol):
    """A call that is still to come."""

    def cancel(self) -> None:
        """It shall not come; harmless afterwards."""


class Clock(Protocol):
    """Now, and later. All methods may be called at any time; `call_later` and `sleep` on the loop's thread."""

    def now_ms(self) -> int:
        """Wall clock, milliseconds since 1970."""

    def now_s(self) -> float:
        """Wall clock, seconds since 1970."""

    def monotonic_ns(self) -> int:
        """Nanoseconds since some start; never steps back."""

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` after `delay_s` seconds."""

    async def sleep(self, delay_s: float) -> None:
        """Return after `delay_s` seconds."""


class SystemClock:
    """The machine's clocks."""

    # Bound as they are: a Python frame in between would cost more than the call.
    now_s = staticmethod(time.time)
    monotonic_ns = staticmethod(time.monotonic_ns)

    @staticmethod
    def now_ms() -> int:
        return time.time_ns() // 1_000_000

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        return asyncio.get_running_loop().call_later(delay_s, callback)

    async def sleep(self, delay_s: float) -> None:
        await asyncio.sleep(delay_s)
