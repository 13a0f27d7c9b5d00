"""A small event loop: descriptors and timers. asyncio would cost each instance 25 ms and some megabytes."""

from __future__ import annotations

import heapq
import select
from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

IN, OUT = select.EPOLLIN, select.EPOLLOUT
GONE = select.EPOLLHUP | select.EPOLLERR | select.EPOLLRDHUP


class Timer:
    """A callback that is due at some time; `cancel` is harmless at any time."""

    __slots__ = ("call", "due", "order")

    def __init__(self, due: float, order: int, call: Callable[[], None]) -> None:
        self.due = due
        self.order = order
        self.call: Callable[[], None] | None = call

    def cancel(self) -> None:
        """It will not be called."""
        self.call = None

    def __lt__(self, other: Timer) -> bool:
        return (self.due, self.order) < (other.due, other.order)


class Loop:
    """Calls back when a descriptor is ready or a time has come."""

    def __init__(self) -> None:
        self._poll = select.epoll()
        self._handlers: dict[int, Callable[[int], None]] = {}
        self._timers: list[Timer] = []
        self._count = 0
        self._result: int | None = None

    def watch(self, fd: int, events: int, handler: Callable[[int], None]) -> None:
        """From now on: `handler(events)` whenever `fd` is ready."""
        self._poll.register(fd, events)
        self._handlers[fd] = handler

    def change(self, fd: int, events: int) -> None:
        """Other events of a watched descriptor count."""
        self._poll.modify(fd, events)

    def forget(self, fd: int) -> None:
        """Before a watched descriptor is closed."""
        del self._handlers[fd]
        self._poll.unregister(fd)

    def later(self, seconds: float, call: Callable[[], None]) -> Timer:
        """Once, after this time."""
        self._count += 1
        timer = Timer(monotonic() + seconds, self._count, call)
        heapq.heappush(self._timers, timer)
        return timer

    def stop(self, result: int) -> None:
        """`run` returns `result` after this turn."""
        self._result = result

    def run(self) -> int:
        """Until somebody stops it."""
        handlers = self._handlers
        while self._result is None:
            for fd, events in self._poll.poll(self._wait_s()):
                handler = handlers.get(fd)
                if handler is not None:  # an earlier one of this turn may have closed it
                    handler(events)
            if self._timers:
                self._run_due()
        return self._result

    def _wait_s(self) -> float:
        while self._timers and self._timers[0].call is None:
            heapq.heappop(self._timers)
        if not self._timers:
            return -1
        return max(0.0, self._timers[0].due - monotonic())

    def _run_due(self) -> None:
        now = monotonic()
        while self._timers and self._timers[0].due <= now:
            call = heapq.heappop(self._timers).call
            if call is not None:
                call()
