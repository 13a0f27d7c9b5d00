"""What a lane's work is: the handler that a pump calls."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Protocol

from functory.queue.base import Group, Leased, Move, Row
from functory.queue.fair import Limits


class Overdue(StrEnum):
    """Why the sweep found a row."""

    TOO_OLD = "too old"  #: waited longer than it may
    LEASE_OVER = "lease over"  #: its owner did not keep the lease
    NODE_DIED = "node died"  #: its owner is an earlier start of this node


class Handler(Protocol):
    """What the work is. All methods are called on the loop's thread and return at once."""

    def limits(self, group: Group) -> Limits:
        """What a group may hold now."""

    def run(self, leased: Leased) -> None:
        """Begin; `Pump.finish` is called later, once."""

    def overdue(self, row: Row, why: Overdue) -> Move:
        """What becomes of a row that the sweep found."""

    def stop(self, leased: Leased) -> None:
        """It is to be stopped: end it soon, then `finish` with STOPPED."""

    def stopped(self, leased: Leased) -> Move:
        """The end of a row that was asked to stop, whatever its run came to."""

    def abandon(self, leased: Leased) -> None:
        """It is ours no more: whatever it still does does not count."""

    def dropped(self, refs: Sequence[str]) -> None:
        """Blobs of rows that are gone."""
