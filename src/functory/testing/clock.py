"""Time that moves only when told: a day of waiting takes as long as the work in it.

    clock = JumpingClock()
    task = asyncio.create_task(part_that_sleeps(clock))
    await clock.advance(60)         # every timer of the next minute has run, in order, each at its own time

    async with clock.jumping():     # or: whenever all tasks wait, time jumps to the next timer
        await part_that_sleeps(clock)

The clock knows only of the loop: a thread or another process that still works does not hold it. Where a test has such
work, it waits for it before it moves the clock, or gives `jumping` a grace.
"""

from __future__ import annotations

import asyncio
import heapq
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

START_MS = 1_767_225_600_000
"""The first moment of 2026, UTC: where a jumping clock starts unless told otherwise."""
_QUIET_ROUNDS = 3
_BLIND_ROUNDS = 50
_MAX_ROUNDS = 100_000


class JumpingTimer:
    """A call that is still to come."""

    __slots__ = ("callback", "due_ns", "order")

    def __init__(self, due_ns: int, order: int, callback: Callable[[], None]) -> None:
        self.due_ns = due_ns
        self.order = order
        self.callback: Callable[[], None] | None = callback

    def __lt__(self, other: JumpingTimer) -> bool:
        return (self.due_ns, self.order) < (other.due_ns, other.order)

    def cancel(self) -> None:
        """It shall not come; harmless afterwards."""
        self.callback = None


class JumpingClock:
    """A `functory.clock.Clock` for tests and simulations."""

    def __init__(self, *, start_ms: int = START_MS) -> None:
        self._wall_ns = start_ms * 1_000_000
        self._elapsed_ns = 0
        self._timers: list[JumpingTimer] = []
        self._order = 0
        self._armed: set[asyncio.Event] = set()

    def now_ms(self) -> int:
        """Wall clock, milliseconds since 1970."""
        return (self._wall_ns + self._elapsed_ns) // 1_000_000

    def now_s(self) -> float:
        """Wall clock, seconds since 1970."""
        return (self._wall_ns + self._elapsed_ns) / 1e9

    def monotonic_ns(self) -> int:
        """Nanoseconds since an hour before the clock was made, so that 0 can stand for "never"."""
        return 3_600_000_000_000 + self._elapsed_ns

    def call_later(self, delay_s: float, callback: Callable[[], None]) -> JumpingTimer:
        """Call `callback` when the clock has moved `delay_s` seconds on."""
        self._order += 1
        timer = JumpingTimer(self._elapsed_ns + max(0, round(delay_s * 1e9)), self._order, callback)
        heapq.heappush(self._timers, timer)
        for event in self._armed:
            event.set()
        return timer

    async def sleep(self, delay_s: float) -> None:
        """Return when the clock has moved `delay_s` seconds on; for 0, after the others had their turn."""
        if delay_s <= 0:
            await asyncio.sleep(0)
            return
        done = asyncio.Event()
        timer = self.call_later(delay_s, done.set)
        try:
            await done.wait()
        finally:
            timer.cancel()

    @property
    def waiting(self) -> int:
        """How many timers are still to come."""
        return sum(timer.callback is not None for timer in self._timers)

    @property
    def next_s(self) -> float | None:
        """Seconds until the next timer; None if there is none."""
        while self._timers and self._timers[0].callback is None:
            heapq.heappop(self._timers)
        return (self._timers[0].due_ns - self._elapsed_ns) / 1e9 if self._timers else None

    def step_wall(self, seconds: float) -> None:
        """Set the wall clock on or back, as an administrator or NTP does; monotonic time does not notice."""
        self._wall_ns += round(seconds * 1e9)

    def jump(self, seconds: float) -> None:
        """Move on and run the due timers in order. Tasks do not run: for code without a loop."""
        target_ns = self._target(seconds)
        while self._run_next(target_ns):
            pass
        self._elapsed_ns = target_ns

    async def advance(self, seconds: float) -> None:
        """Move on, running each due timer at its time and letting tasks settle after it.

        Timers that are set on the way and fall into these seconds run too. What a callback raises comes out here.
        """
        target_ns = self._target(seconds)
        await settle()
        while self._run_next(target_ns):
            await settle()
        self._elapsed_ns = target_ns
        await settle()

    async def wait_armed(self, count: int = 1) -> None:
        """Return when at least `count` timers are waiting: the code under test has got as far as its sleep."""
        event = asyncio.Event()
        self._armed.add(event)
        try:
            while self.waiting < count:
                event.clear()
                await event.wait()
        finally:
            self._armed.discard(event)

    @asynccontextmanager
    async def jumping(self, *, grace_s: float = 0) -> AsyncIterator[None]:
        """Within the block, time jumps to the next timer whenever all tasks wait.

        `grace_s`: real seconds that threads and processes get before each jump.
        """
        user = asyncio.current_task()
        jumper = asyncio.create_task(self._jump_on(grace_s), name="jumping clock")
        # A timer's callback that fails must end the block, or the block would wait for time that no longer moves.
        jumper.add_done_callback(lambda ended: user.cancel() if user and not ended.cancelled() else None)
        try:
            yield
        except asyncio.CancelledError:
            if user and jumper.done() and not jumper.cancelled():
                user.uncancel()
                jumper.result()
            raise
        finally:
            jumper.cancel()
            await asyncio.wait([jumper])

    async def _jump_on(self, grace_s: float) -> None:
        while True:
            await self.wait_armed()
            if grace_s:
                await asyncio.sleep(grace_s)
            await settle()
            if (delay_s := self.next_s) is not None:
                self.jump(delay_s)

    def _target(self, seconds: float) -> int:
        if seconds < 0:
            raise ValueError(f"a clock cannot move {seconds} seconds: time does not run backwards")
        return self._elapsed_ns + round(seconds * 1e9)

    def _run_next(self, target_ns: int) -> bool:
        """Run the next timer if it is due by `target_ns`."""
        while self._timers and self._timers[0].due_ns <= target_ns:
            timer = heapq.heappop(self._timers)
            if (callback := timer.callback) is not None:
                self._elapsed_ns = max(self._elapsed_ns, timer.due_ns)
                timer.callback = None
                callback()
                return True
        return False


async def settle() -> None:
    """Return when every other task of this loop waits for time, I/O or a thread.

    asyncio has no word for that: its own loop shows its queue of ready calls, and other loops get rounds enough for
    any chain of hand-overs that tests have.
    """
    ready = getattr(asyncio.get_running_loop(), "_ready", None)
    if ready is None:
        for _ in range(_BLIND_ROUNDS):
            await asyncio.sleep(0)
        return
    quiet = 0
    for _ in range(_MAX_ROUNDS):
        # Each round also polls the descriptors once, so what arrived meanwhile becomes ready here.
        await asyncio.sleep(0)
        quiet = 0 if ready else quiet + 1
        if quiet == _QUIET_ROUNDS:
            return
    raise RuntimeError(f"some task never waits: after {_MAX_ROUNDS} rounds of the loop there is still one ready")
