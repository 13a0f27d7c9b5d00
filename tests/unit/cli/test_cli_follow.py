"""Following a list that is read newest first and grows in between."""

from __future__ import annotations

from collections.abc import Callable
from itertools import islice

from functory.cli import follow

PAGE = 3


class Growing:
    """A list of texts whose newest `PAGE` are read; at each pause the next batch appears."""

    def __init__(self, items: list[str], *batches: list[str]) -> None:
        self.items = sorted(items)
        self.batches = list(batches)

    def page(self, before: str) -> list[str]:
        return [item for item in reversed(self.items) if not before or item < before][:PAGE]

    def pause(self, seconds: float) -> None:
        assert seconds == follow.EVERY_S
        self.items = sorted(self.items + self.batches.pop(0))


def followed(growing: Growing, count: int, page: Callable[[str], list[str]] | None = None) -> list[str]:
    found = follow.follow(page or growing.page, str, str, pause=growing.pause)
    return list(islice(found, count))


def test_it_begins_with_the_newest_page_and_goes_on_oldest_first() -> None:
    assert followed(Growing(["a", "b", "c", "d"], ["e", "f"], [], ["g"]), 6) == ["b", "c", "d", "e", "f", "g"]


def test_what_appears_late_among_older_ones_is_not_lost() -> None:
    assert followed(Growing(["a", "d"], ["c"], ["e"]), 4) == ["a", "d", "c", "e"]


def test_more_than_a_page_at_once_is_fetched_page_by_page() -> None:
    assert followed(Growing(["a"], list("bcdefghi")), 9) == list("abcdefghi")


def test_nothing_is_shown_twice() -> None:
    growing = Growing(["a", "b"], [], [], ["c"])
    assert followed(growing, 3) == ["a", "b", "c"]
