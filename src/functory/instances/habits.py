"""What is remembered of functions beyond their instances: when they were called, and when they will be again.

Bounded: of more functions than `MOST`, those looked at longest ago are forgotten.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterator

from functory.instances import prestart
from functory.model.function import Function

MOST = 10_000


class Rhythm:
    """When one function was called, and will be."""

    __slots__ = ("called_ns", "expected", "habit")

    def __init__(self) -> None:
        self.called_ns = -1
        """When a call was last noticed; a sweep notices within a second. -1 = never."""
        self.habit = prestart.Habit()
        self.expected: prestart.Window | None = None
        """When the next call is, after this one."""

    def called(self, now_ns: int, kept_s: float) -> None:
        """There is, or was since the last look, a call. `kept_s`: how long an idle instance is kept anyway."""
        if self.called_ns >= 0 and now_ns - self.called_ns >= prestart.FIRST_S * 1e9:
            self.habit.note((now_ns - self.called_ns) / 1e9)
            self.expected = prestart.window(self.habit, kept_s)
        self.called_ns = now_ns

    def due(self, now_ns: int) -> bool:
        """Whether one instance should stand ready for the next call."""
        return prestart.is_due(self.expected, (now_ns - self.called_ns) / 1e9)


class Seen(Rhythm):
    """The rhythm of one function revision."""

    __slots__ = ("function",)

    def __init__(self, function: Function) -> None:
        super().__init__()
        self.function = function


class Habits:
    """All functions of the node that were called lately."""

    def __init__(self) -> None:
        self._seen: OrderedDict[str, Seen] = OrderedDict()

    def of(self, function: Function) -> Seen:
        """What is known of it; its own from now on."""
        seen = self._seen.get(function.pool_id)
        if seen is None or seen.function.function_id != function.function_id:
            seen = self._seen[function.pool_id] = Seen(function)
            if len(self._seen) > MOST:
                self._seen.popitem(last=False)
        seen.function = function
        self._seen.move_to_end(function.pool_id)
        return seen

    def forget(self, function: Function) -> None:
        """It is deleted, or has other code."""
        self._seen.pop(function.pool_id, None)

    def due(self, now_ns: int) -> Iterator[Function]:
        """Those that should have an instance ready now."""
        for seen in list(self._seen.values()):
            if seen.expected is not None and seen.due(now_ns):
                yield seen.function
