"""What was spent: usage and cost added up by function, hour and line of the statement."""

from __future__ import annotations

from enum import StrEnum

import msgspec

HOUR_MS = 3_600_000


class Line(StrEnum):
    """The lines of a statement."""

    ON_DEMAND = "onDemand"  #: calls on instances that are made on demand: paid for while they run
    PROVISIONED = "provisioned"  #: calls on instances that are kept ready: what they cost beside their standing
    STANDING = "standing"  #: the time that instances are kept ready, called or not


class Spent(msgspec.Struct, frozen=True, kw_only=True):
    """One function's use of one line in one hour, or in several of them."""

    account_id: str
    function_name: str
    line: Line
    hour_ms: int = 0
    """The hour's begin, in milliseconds since 1970; 0 in sums over several."""
    calls: int = 0
    failed: int = 0
    billed_ms: int = 0
    """Of calls: each one's share of the time that its instance was busy."""
    cpu_us: int = 0
    instance_ms: int = 0
    """Of standing: milliseconds times instances."""
    cost_nano_usd: int = 0
    """By the rate card that was in force then."""


def hour_of(at_ms: int) -> int:
    """The begin of the hour of a moment."""
    return at_ms - at_ms % HOUR_MS
