"""POLICY: how many instances of a function stand ready that nobody has called yet. Pure: facts in, a number out.

A parked instance turns a start (milliseconds, or seconds where the initializer is heavy) into a warm call, and costs
memory, about 2 MB where the code is small, and no processor time. So:

* Nothing is parked before the first call: most functions that are deployed are not called.
* Whoever was called lately is likely to be called again, and by two at once: one is kept for him.
* Callers who had to wait for a start say how many come at once: as many are kept, up to a bound, while that is recent.
* The interest fades: after some time without a call what is parked goes, before what is idle does. An idle instance has
  its caches warm; a parked one can be made again by anyone who has time.
* Who is called as by a clock is expected: one is ready when his time comes.
* Parked instances never take the room of others: with the node nearly full, nothing is parked.
* Who keeps a minimum of instances has decided himself how many stand ready.
* A function whose starts fail is not started for nobody.
"""

from __future__ import annotations

import msgspec

INTEREST_NS = 60_000_000_000
"""How long after its last call a function is likely to be called again."""
BURST_NS = 30_000_000_000
"""How long a burst is remembered."""
DELAY_S = 0.01
"""How long after an answer the place of a parked instance is filled again."""
MOST = 8
"""However large the burst was."""
RESERVE = 0.2
"""The share of the node's instances that parked ones never take."""


class Interest(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of one function, at one moment."""

    base: int
    """How many the operator wants parked for a function in use; 0 = none, ever."""
    since_call_ns: int
    """Time since the last call; negative if there was none."""
    waited: int
    """Callers of the last burst who had to wait for a start at the same time."""
    since_wait_ns: int
    expected: bool
    """Its habit says that the next call comes about now (`prestart.py`)."""
    provisioned: bool
    """It has a minimum of its own."""
    failed: bool
    """Its last start failed."""
    room: int
    """How many more instances the node may make."""
    room_max: int
    """How many it may have in all."""


def wanted(interest: Interest) -> int:
    """How many to have parked now."""
    quiet = interest.since_call_ns < 0 or interest.since_call_ns >= INTEREST_NS
    if (
        interest.base == 0
        or (quiet and not interest.expected)
        or interest.provisioned
        or interest.failed
        or interest.room <= interest.room_max * RESERVE
    ):
        return 0
    if interest.since_wait_ns < BURST_NS:
        return max(interest.base, min(interest.waited, MOST))
    return interest.base
