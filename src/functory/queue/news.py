"""What a queue tells those who wait for it: per lane, groups that got rows into line, and the next sweep."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from functory.queue.base import Group, Ready

NEVER = (1 << 63) - 1


class _LaneNews:
    __slots__ = ("changed", "groups", "told", "wake_ms")

    def __init__(self) -> None:
        self.groups: set[Group] = set()
        self.wake_ms = NEVER
        self.told = NEVER
        self.changed = asyncio.Event()


class News:
    """Gathered until somebody asks. One waiter per lane."""

    def __init__(self) -> None:
        self._lanes: dict[int, _LaneNews] = {}

    def ready(self, groups: Iterable[Group]) -> None:
        """These groups got rows into line."""
        for group in groups:
            news = self._lane(group.lane)
            news.groups.add(group)
            news.changed.set()

    def wake(self, lane: int, at_ms: int) -> None:
        """A row of this lane has to be looked at then."""
        news = self._lane(lane)
        if at_ms < news.wake_ms:
            news.wake_ms = at_ms
            news.changed.set()

    def looked(self, lane: int, next_ms: int) -> None:
        """A sweep found that this is the next time."""
        news = self._lane(lane)
        news.wake_ms = next_ms
        news.changed.set()

    async def wait(self, lane: int) -> Ready:
        """Returns once there is news."""
        news = self._lane(lane)
        await news.changed.wait()
        news.changed.clear()
        groups, news.groups = news.groups, set()
        return Ready(frozenset(groups), news.wake_ms)

    def _lane(self, lane: int) -> _LaneNews:
        news = self._lanes.get(lane)
        if news is None:
            news = self._lanes[lane] = _LaneNews()
        return news
