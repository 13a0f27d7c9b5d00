"""Who is next: a pure plan of how many rows each group may be given.

POLICY: deficit round robin. Groups with a line take turns; each turn gives a group up to `QUANTUM x weight` rows, less
where its limits leave less room. So a group with a hundred thousand rows gets the same turns as one with a single row,
and a free place never stays empty while anybody has a line.

Three bounds per group, all of them on what it holds at once: its concurrency limit; its **window**, which halves when
the platform says "throttled" and grows back by one for each full window of successes (so that a queue does not hammer
what is full already); and its rate, a token bucket of one second. A group may not take the last eighth of all places
unless it has none: a newcomer always finds room.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from functory.queue.base import Group, Want

QUANTUM = 16
RESERVED_PART = 8
MIN_WINDOW = 1.0


class Limits(NamedTuple):
    """What a group may hold."""

    concurrency: int = 100
    account_concurrency: int = 300
    rate_per_s: float = 0
    """Leases per second; 0 = no limit."""
    weight: int = 1


class Line:
    """One group: what it holds and may take."""

    __slots__ = (
        "asked", "deficit", "group", "joins", "limits", "paused_ns", "running", "tokens", "tokens_ns", "waiting",
        "window",
    )  # fmt: skip

    def __init__(self, group: Group, limits: Limits, now_ns: int) -> None:
        self.group = group
        self.limits = limits
        self.running = 0
        self.waiting = False
        """Whether it is believed to have rows in line."""
        self.joins = 0
        """How often rows came into line."""
        self.asked = 0
        """`joins` when it was planned last."""
        self.window = float(limits.concurrency)
        self.deficit = 0
        self.paused_ns = 0
        """Nothing before this moment of the monotonic clock."""
        self.tokens = max(1.0, limits.rate_per_s)
        self.tokens_ns = now_ns

    def room(self, now_ns: int) -> int:
        """How many rows its own bounds allow now."""
        if now_ns < self.paused_ns:
            return 0
        room = min(self.limits.concurrency, int(self.window)) - self.running
        if self.limits.rate_per_s > 0:
            room = min(room, int(self._refill(now_ns)))
        return max(0, room)

    def take(self, count: int) -> None:
        """It was given so many."""
        self.running += count
        if self.limits.rate_per_s > 0:
            self.tokens -= count

    def give_back(self, count: int) -> None:
        """It was given fewer than it took."""
        self.running -= count
        if self.limits.rate_per_s > 0:
            self.tokens += count

    def next_ns(self, now_ns: int) -> int:
        """When it may have room again by time alone; 0 = time does not help."""
        if now_ns < self.paused_ns:
            return self.paused_ns
        if self.limits.rate_per_s > 0 and self._refill(now_ns) < 1 and self.running < self.limits.concurrency:
            return now_ns + int((1 - self.tokens) / self.limits.rate_per_s * 1e9) + 1
        return 0

    def succeeded(self) -> None:
        """One of its rows ran: the window grows back."""
        if self.window < self.limits.concurrency:
            self.window = min(self.limits.concurrency, self.window + 1 / max(1.0, self.window))

    def throttled(self, until_ns: int) -> None:
        """The platform is full: half as much, and nothing until then."""
        self.window = max(MIN_WINDOW, min(self.window, self.running + 1) / 2)
        self.paused_ns = max(self.paused_ns, until_ns)

    @property
    def forgettable(self) -> bool:
        """It has no memory of refusals, nor of a rate."""
        return self.window >= self.limits.concurrency and not self.paused_ns and not self.limits.rate_per_s

    def _refill(self, now_ns: int) -> float:
        rate = self.limits.rate_per_s
        self.tokens = min(max(1.0, rate), self.tokens + (now_ns - self.tokens_ns) * rate / 1e9)
        self.tokens_ns = now_ns
        return self.tokens


class Fair:
    """All lines of a lane, and whose turn it is."""

    def __init__(self, limits_of: Callable[[Group], Limits], capacity: int) -> None:
        self._limits_of = limits_of
        self._capacity = capacity
        self._lines: dict[Group, Line] = {}
        self._turns: dict[Group, Line] = {}  # in order of turns
        self._accounts: dict[str, int] = {}

    def line(self, group: Group, now_ns: int) -> Line:
        """The group's line, with its limits as they are now."""
        limits = self._limits_of(group)
        line = self._lines.get(group)
        if line is None:
            line = self._lines[group] = Line(group, limits, now_ns)
        elif line.limits is not limits and line.limits != limits:
            full = line.window >= line.limits.concurrency
            line.limits = limits
            line.window = float(limits.concurrency) if full else min(line.window, float(limits.concurrency))
        return line

    def joined(self, group: Group, now_ns: int) -> None:
        """It has rows in line."""
        line = self.line(group, now_ns)
        line.waiting = True
        line.joins += 1
        self._turns.setdefault(group, line)

    def left(self, group: Group) -> None:
        """Its line was empty when it was asked for. News that came since then is newer than that."""
        line = self._turns.get(group)
        if line is not None and line.joins == line.asked:
            del self._turns[group]
            line.waiting = False
            line.deficit = 0

    @property
    def has_turns(self) -> bool:
        """Whether anybody has rows in line."""
        return bool(self._turns)

    def plan(self, free: int, now_ns: int) -> list[Want]:
        """What to ask for, at most `free` rows in all. What is planned counts as taken."""
        wants: dict[Group, int] = {}
        idle = 0
        while free > 0 and self._turns and idle < len(self._turns):
            group = next(iter(self._turns))
            line = self._turns[group] = self._turns.pop(group)  # to the end of the turns
            count = self._share(line, free, now_ns)
            if count <= 0:
                idle += 1
                continue
            idle = 0
            line.asked = line.joins
            free -= count
            self._take(line, count)
            wants[group] = wants.get(group, 0) + count
        return [self._want(self._lines[group], count) for group, count in wants.items()]

    def reserve(self, group: Group, free: int, now_ns: int) -> bool:
        """Whether a new row may run at once, without having been in line; if so it counts as taken."""
        line = self.line(group, now_ns)
        if line.waiting or free <= 0 or self._bound(line, free, now_ns) < 1:
            return False
        self._take(line, 1)
        return True

    def untake(self, group: Group, count: int = 1) -> None:
        """So many of a plan or reservation did not come about."""
        if count:
            self._lines[group].give_back(count)
            self._accounts[group.account_id] -= count

    def ended(self, group: Group) -> None:
        """One of its rows is no longer held."""
        line = self._lines[group]
        line.running -= 1
        self._accounts[group.account_id] -= 1
        if not line.running and not line.waiting and line.forgettable:
            del self._lines[group]

    def next_ns(self, now_ns: int) -> int:
        """When time alone may let some line go on; 0 = none."""
        return min(filter(None, (line.next_ns(now_ns) for line in self._turns.values())), default=0)

    def _share(self, line: Line, free: int, now_ns: int) -> int:
        line.deficit = min(line.deficit + QUANTUM * line.limits.weight, 2 * QUANTUM * line.limits.weight)
        count = min(line.deficit, self._bound(line, free, now_ns))
        line.deficit -= max(0, count)
        return count

    def _bound(self, line: Line, free: int, now_ns: int) -> int:
        if line.running:
            free -= self._capacity // RESERVED_PART
        account = line.limits.account_concurrency - self._accounts.get(line.group.account_id, 0)
        return min(line.room(now_ns), free, account)

    def _take(self, line: Line, count: int) -> None:
        line.take(count)
        account = line.group.account_id
        self._accounts[account] = self._accounts.get(account, 0) + count

    def _want(self, line: Line, count: int) -> Want:
        return Want(line.group, count, line.limits.concurrency, line.limits.account_concurrency)
