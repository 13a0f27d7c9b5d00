"""The instances that stand ready by their owner's wish, among all of a pool: which those are, and for how long.

The owner pays for them from their first readiness to their end, called or not; the others cost nothing while nobody
calls. So it matters which is which: the oldest that live are the kept ones, as many as are wanted; they stay so while
the number stands, are called before the others, and are the last that go.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

import msgspec

from functory.model.instance import InstanceState
from functory.model.usage import Mode

_ALIVE = (InstanceState.PARKED, InstanceState.IDLE, InstanceState.BUSY, InstanceState.STANDBY, InstanceState.PAGED_OUT)


class Keep(msgspec.Struct, frozen=True):
    """What is wanted of one function version."""

    minimum: int = 0
    """So many instances stand ready, called or not."""
    most: int | None = None
    """No more than so many are made; None = as many as are called for."""
    always: bool = False
    """Their processors are the owner's all the time, not only while they run something."""

    def plus(self, other: Keep) -> Keep:
        """Both: qualifiers that mean the same version add up."""
        minimum = self.minimum + other.minimum
        bounded = self.most is not None or other.most is not None
        return Keep(minimum, minimum if bounded else None, self.always or other.always)


NOTHING = Keep()


class Kept(Protocol):
    """An instance, as far as it matters here."""

    mode: Mode
    busy: int

    @property
    def state(self) -> InstanceState: ...


def is_ready(instance: Kept) -> bool:
    """Whether it can run something."""
    return instance.state in _ALIVE


def mark(instances: Iterable[Kept], keep: Keep, *, ending: bool = False) -> int:
    """Says of each which mode it is in; how many are kept. `instances`: the oldest first.

    `ending`: all of them go, none is chosen any more; those that were kept are, until they are gone.
    """
    if ending:
        return sum(instance.mode is not Mode.ON_DEMAND for instance in instances)
    mode = Mode.ALWAYS if keep.always else Mode.PROVISIONED
    kept = 0
    for instance in instances:
        chosen = kept < keep.minimum and is_ready(instance)
        instance.mode = mode if chosen else Mode.ON_DEMAND
        kept += chosen
    return kept


def place(free: Sequence[Kept]) -> int:
    """Where among the free ones (taken from the end) one that is made on demand goes: below all that are kept."""
    position = len(free)
    while position and free[position - 1].mode is not Mode.ON_DEMAND:
        position -= 1
    return position


class Meter:
    """How long instances were kept, added up: the one thing that is billed without a call."""

    def __init__(self) -> None:
        self.kept = 0
        self.always = False
        self._since_ns = 0
        self._total_ns = 0

    def note(self, now_ns: int, kept: int, *, always: bool) -> None:
        """So many are kept from now on."""
        self._total_ns += self.kept * (now_ns - self._since_ns)
        self._since_ns, self.kept, self.always = now_ns, kept, always

    def take_ms(self, now_ns: int) -> int:
        """Instance milliseconds since this was asked last; what is less than one is left for the next time."""
        self.note(now_ns, self.kept, always=self.always)
        whole, self._total_ns = divmod(self._total_ns, 1_000_000)
        return whole
