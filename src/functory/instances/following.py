"""Tracking policies over time: what was used lately, what they want. No clock of its own: it is told when it is."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping

from functory.instances import tracking
from functory.instances.tracking import CALM_NS, RECENT_NS, SHRINK_NS, Policy, Size, Total, Use
from functory.model.limits import Standing


class Follower:
    """One policy over time: what was used, what it wants."""

    def __init__(self, policy: Policy, number: int = 0) -> None:
        """`number`: what it wanted last, if that is known."""
        self.policy = policy
        self.number = max(policy.low, min(number, policy.high))
        self._uses: deque[Use] = deque()
        """Use of the minute before each look, of the last quarter of an hour."""
        self._shrunk_ns: int | None = None

    def look(self, now_ms: int, recent: Use) -> int:
        """How many it wants now; 0 outside its window."""
        if not self.policy.active(now_ms):
            self.number = 0
            return 0
        if self._shrunk_ns is None:
            self._shrunk_ns = recent.at_ns
        self._uses.append(recent)
        while self._uses[0].at_ns <= recent.at_ns - CALM_NS:
            self._uses.popleft()
        calm = max(use.of(self.policy.metric) for use in self._uses)
        number = tracking.wanted(self.policy, self.number, recent, calm)
        if number < self.number:
            if recent.at_ns - self._shrunk_ns < SHRINK_NS:
                return self.number
            self._shrunk_ns = recent.at_ns
        self.number = number
        return number


class Following:
    """The policies of one configuration."""

    def __init__(self, config: Standing, known: Mapping[str, int]) -> None:
        """`known`: what the policies wanted before a restart, by name."""
        self.config = config
        self.followers = [Follower(policy, known.get(policy.name, 0)) for policy in map(tracking.read, config.policies)]

    def number(self, now_ms: int) -> int:
        """What the policies want together: the largest counts."""
        active = (one.number for one in self.followers if one.policy.active(now_ms))
        return max((max(one, 0) for one in active), default=0)

    def look(self, now_ms: int, uses: Iterable[Use]) -> bool:
        """Takes in the use of the last minute, of each version the qualifier means; whether anything is wanted else."""
        found = list(uses)
        if not found:
            return False
        use = Use(
            at_ns=found[0].at_ns,
            concurrency=sum(one.concurrency for one in found),
            cpu=sum(one.cpu for one in found),
            memory=sum(one.memory for one in found),
        )
        before = self.numbers
        for follower in self.followers:
            follower.look(now_ms, use)
        return self.numbers != before

    @property
    def numbers(self) -> dict[str, int]:
        """What each policy wants, by name."""
        return {one.policy.name: one.number for one in self.followers}

    def next(self, now_ms: int) -> int | None:
        """When a window next opens or closes."""
        return min((at for one in self.followers if (at := one.policy.next(now_ms)) is not None), default=None)


class Window:
    """The totals of the last minute of one function version."""

    def __init__(self) -> None:
        self._totals: deque[Total] = deque()

    def add(self, total: Total, size: Size) -> Use:
        """One look more; the mean use over those that are a minute old at most."""
        totals = self._totals
        totals.append(total)
        while len(totals) > 2 and totals[1].at_ns <= total.at_ns - RECENT_NS:
            totals.popleft()
        return tracking.between(totals[0], total, size)
