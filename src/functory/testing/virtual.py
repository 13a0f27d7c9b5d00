"""A loop whose time is virtual: nothing waits, and a seed decides everything. For simulations.

    with VirtualLoop() as loop:
        loop.run_until_complete(world())      # hours pass in milliseconds

asyncio's own loop with a selector that never waits but moves the time on. What would wait for ever is a `Deadlock`.
"""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable
from types import TracebackType

from functory.clock import Timer
from functory.testing.clock import START_MS


class Deadlock(AssertionError):
    """Everybody waits for somebody, and no timer is set."""


class _Selector(selectors.SelectSelector):
    """Knows no readiness but that of time."""

    def __init__(self, advance: Callable[[float], None]) -> None:
        super().__init__()
        self._advance = advance

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Deadlock("nothing is scheduled any more, and the simulation is not over")
        if timeout > 0:
            self._advance(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Starts at second 0. Real descriptors and threads are never noticed: there must be none."""

    def __init__(self) -> None:
        self._virtual_s = 0.0
        super().__init__(_Selector(self._advance))

    def time(self) -> float:
        return self._virtual_s

    def _advance(self, seconds: float) -> None:
        self._virtual_s += seconds

    def __enter__(self) -> VirtualLoop:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        for task in asyncio.all_tasks(self):
            task.cancel()
        # What was cancelled ends in its own time; a simulation that failed may leave it in any state.
        self.run_until_complete(asyncio.sleep(0))
        self.close()


class VirtualTimer:
    """A call that is still to come. `functory.clock.Timer`."""

    __slots__ = ("_callback", "_clock", "handle")

    handle: asyncio.TimerHandle

    def __init__(self, clock: VirtualClock, callback: Callable[[], None]) -> None:
        self._clock = clock
        self._callback: Callable[[], None] | None = callback

    def cancel(self) -> None:
        """It shall not come, not even if it is due and only held."""
        self._callback = None
        self.handle.cancel()

    def ring(self) -> None:
        """It is due."""
        if self._callback is not None and not self._clock.keeps(self):
            self._callback()


class VirtualClock:
    """A `functory.clock.Clock` on a virtual loop. Two of them may disagree about the wall time."""

    def __init__(self, loop: VirtualLoop) -> None:
        self._loop = loop
        self._offset_ms = START_MS
        self._dead = False
        self._held: list[VirtualTimer] | None = None

    def now_ms(self) -> int:
        """Wall clock, milliseconds since 1970."""
        return self._offset_ms + round(self._loop.time() * 1000)

    def now_s(self) -> float:
        """Wall clock, seconds since 1970."""
        return self.now_ms() / 1000

    def monotonic_ns(self) -> int:
        """Nanoseconds since an hour before the loop began."""
        return 3_600_000_000_000 + round(self._loop.time() * 1e9)

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> Timer:
        """Call `callback` then, unless this clock's owner is dead by then."""
        timer = VirtualTimer(self, callback)
        timer.handle = self._loop.call_later(delay_s, timer.ring)
        return timer

    async def sleep(self, delay_s: float) -> None:
        """Return then."""
        await asyncio.sleep(delay_s)

    def step_wall(self, seconds: float) -> None:
        """Set the wall clock on or back."""
        self._offset_ms += round(seconds * 1000)

    def kill(self) -> None:
        """Its owner is dead: no timer of it comes any more."""
        self._dead = True

    def hold(self) -> None:
        """Its owner stands still, as a stopped process does: what is due waits."""
        self._held = []

    def let_go(self) -> list[Callable[[], None]]:
        """Its owner goes on: what has come due meanwhile, in order, to be called now."""
        held, self._held = self._held or [], None
        return [timer.ring for timer in held]

    def keeps(self, timer: VirtualTimer) -> bool:
        """Whether a timer that is due must wait, or need not ring any more."""
        if self._held is not None:
            self._held.append(timer)
            return True
        return self._dead
