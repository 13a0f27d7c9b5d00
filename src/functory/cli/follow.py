"""Looking at what is still growing: new items of a list that is read newest first."""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from typing import TypeVar

EVERY_S = 0.5
REMEMBERED = 20_000
PAGES_MAX = 20
T = TypeVar("T")


def follow(
    page: Callable[[str], Sequence[T]],
    key: Callable[[T], Hashable],
    place: Callable[[T], str],
    *,
    pause: Callable[[float], None] = time.sleep,
) -> Iterator[T]:
    """What there is, then what comes, oldest first, for ever.

    `page(before)` answers the newest items before a place ("" = the newest of all), newest first. Records appear when
    a call ends but are ordered by its start, so a mark "seen up to here" would lose the slow ones: what was seen is
    remembered instead.
    """
    seen: dict[Hashable, None] = {}
    first = True
    while True:
        fresh: list[T] = []
        before = ""
        for _ in range(1 if first else PAGES_MAX):
            items = page(before)
            new = [item for item in items if key(item) not in seen]
            fresh += new
            if not items or len(new) < len(items):
                break
            before = place(items[-1])
        seen.update((key(item), None) for item in reversed(fresh))
        while len(seen) > REMEMBERED:
            del seen[next(iter(seen))]
        yield from reversed(fresh)
        first = False
        pause(EVERY_S)
