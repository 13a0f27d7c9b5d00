"""POLICY: which functions get a template, and when it goes. Pure: facts in, a word and its reason out.

A template is a process that has loaded one revision and run its initializer; instances are forks of it. It turns a
start of any length into some milliseconds, and costs the memory of one instance for as long as it stands. So:

* Nothing is made on deploy: most functions that are deployed are not called. The first start shows what loading costs,
  and the template is made beside it, so nobody waits for it.
* Below 20 ms of loading there is little to win: a fork of the language's own warm process is as good. One start may
  have been slow because the machine was busy, so unless it was very slow, the second one has to agree.
* A function says by FUNCTORY_SNAPSHOT=off that it does not want to be copied, by `on` that it does at any cost.
* What cannot be copied (threads, sockets, …) is refused once per revision, with the reason. What failed for another
  reason is tried again, less and less often: it may have been the machine.
* One that was killed comes back at once, if its function was called lately; one that dies again and again, slowly.
* Hours without a start, and it goes: whoever calls then waits for one load, and has another template.
* A day is the longest: what was read while loading grows old, and its hash seed is the same in all copies.
* The node's memory is shared: templates together stay below a bound, and go when memory is short, the least worth
  first: seldom used, quick to load, large. Where copies of one still run it stays, as it would end them.
* One that uses processor time though nobody asks it for anything does something that it should not.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

WORTH_US = 20_000
"""Loading and initialising that takes longer is worth a template."""
SURE_US = 60_000
"""A single start that took longer is proof enough."""
INTEREST_S = 3600.0
"""How long after its last start a template that died is made again without being asked for."""
IDLE_S = 4 * 3600.0
AGE_S = 24 * 3600.0
FIRST_RETRY_S = 1.0
LAST_RETRY_S = 600.0
LONG_LIFE_S = 30.0
"""One that stood so long was well: the next failure counts as the first."""
SHORT_OF_MEMORY = 0.08
"""The share of the machine's memory below which what is free is too little."""
BURN_SHARE = 0.2
"""Of one processor, without a fork asked for."""
BURNS_MAX = 5
"""So many looks in a row that find it busy are too many."""


class Wish(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a function without a template, when one of its instances has started."""

    mode: str
    copies: bool
    """Its runtime can be copied."""
    load_us: int
    """What the start took to load and initialise."""
    load_before_us: int
    """The same of the start before; negative if there was none."""
    refused: str
    """Why it cannot be copied, if that is known; empty otherwise."""
    failures: int
    """How often in a row making one has failed."""
    since_failure_s: float
    memory_free: float
    """Share of the machine's memory."""


def wanted(wish: Wish) -> bool:
    """Whether to make a template now."""
    if wish.mode == "off" or not wish.copies or wish.refused or wish.memory_free < SHORT_OF_MEMORY:
        return False
    if wish.failures and wish.since_failure_s < retry_s(wish.failures):
        return False
    return wish.mode == "on" or wish.load_us >= SURE_US or min(wish.load_us, wish.load_before_us) >= WORTH_US


def retry_s(failures: int) -> float:
    """How long to wait after so many failures in a row."""
    return float(min(LAST_RETRY_S, FIRST_RETRY_S * 2.0 ** (failures - 1)))


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A template that stands, at one moment."""

    id: str
    age_s: float
    idle_s: float
    """Since the last start from it."""
    forks: int
    load_us: int
    """What each start would cost without it."""
    bytes: int
    children: int
    """Instances that run and were forked from it."""
    burns: int
    """Looks in a row that found it busy."""


def worth(one: Standing) -> float:
    """Milliseconds that keeping it is expected to save, per second and megabyte."""
    rate = (one.forks + 1) / max(one.age_s, 1.0)
    return one.load_us / 1e3 * rate / (1 + one.idle_s) / max(one.bytes / 1e6, 1.0)


def to_drop(standing: Iterable[Standing], *, bytes_max: int, memory_free: float) -> dict[str, str]:
    """Which of them go, and why."""
    drop: dict[str, str] = {}
    left: list[Standing] = []
    for one in standing:
        why = _why_drop(one)
        if why:
            drop[one.id] = why
        else:
            left.append(one)
    held = sum(one.bytes for one in left)
    spare = sorted((one for one in left if not one.children), key=lambda one: (worth(one), one.id))
    if memory_free < SHORT_OF_MEMORY:
        drop |= {one.id: "the machine's memory is short" for one in spare}
        return drop
    for one in spare:
        if held <= bytes_max:
            break
        drop[one.id] = f"templates hold more than the {bytes_max >> 20} MB they may"
        held -= one.bytes
    return drop


def _why_drop(one: Standing) -> str:
    if one.burns >= BURNS_MAX:
        return "it uses processor time though nothing is asked of it"
    if one.children:
        return ""
    if one.age_s >= AGE_S:
        return "it is a day old"
    return "nothing was started from it for hours" if one.idle_s >= IDLE_S else ""
