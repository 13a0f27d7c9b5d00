"""What comes after an attempt that did not succeed: pure policy.

| why | uses up | next attempt | ends as |
|---|---|---|---|
| the function failed | an attempt | after a random part of 1, 2, 4, … s, at most 60 s | Failed after `max_retries` |
| a limit refused it, or the platform failed | nothing | after 0.5, 1, 2, 4, … s, at most 5 h | Expired by age |
| the node died with it | a crash | at once | Failed after `MAX_CRASHES`, as the task may be the killer |
| the function or the payload is gone | | | Failed at once |

Full jitter for the function's own failures spreads those that failed together; the official, exact doubling is kept for
the platform's. A "retry after" from whoever refused is honoured where it is longer. Nothing starts once a task is too
old: the last try falls a second before that, and what cannot be tried again is Expired.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from functory.model.task import Failure, TaskState

USER_FIRST_MS = 1_000
USER_MOST_MS = 60_000
DEFER_FIRST_MS = 500
DEFER_MOST_MS = 5 * 3_600_000
MAX_CRASHES = 10
LAST_TRY_MS = 1_000
"""How long before its end of age the last try is made."""


class Facts(NamedTuple):
    """What is known of the task before this failure."""

    attempts: int
    deferrals: int
    crashes: int
    max_retries: int
    left_ms: int
    """Until it is too old."""


class Next(NamedTuple):
    """What becomes of it."""

    to: TaskState
    delay_ms: int = 0
    attempts: int = 0
    deferrals: int = 0
    crashes: int = 0
    """What to add to its counts."""


def after(failure: Failure, facts: Facts, chance: Callable[[], float], *, retry_after_ms: int = 0) -> Next:
    """What comes after a failure. `chance` answers numbers from 0 up to 1."""
    if failure is Failure.GONE:
        return Next(TaskState.FAILED, attempts=0)
    if failure is Failure.LOST:
        return _after_crash(facts)
    if failure is Failure.USER:
        if facts.attempts >= facts.max_retries:
            return Next(TaskState.FAILED, attempts=1)
        return _later(facts, max(user_delay_ms(facts.attempts, chance), retry_after_ms), Next(_RETRYING, attempts=1))
    return _later(facts, max(defer_delay_ms(facts.deferrals), retry_after_ms), Next(_RETRYING, deferrals=1))


def user_delay_ms(failed_before: int, chance: Callable[[], float]) -> int:
    """A random part of 1, 2, 4, … s, at most of 60."""
    return int(chance() * min(USER_MOST_MS, USER_FIRST_MS << min(failed_before, 30)))


def defer_delay_ms(deferred_before: int) -> int:
    """0.5, 1, 2, 4, … s, at most 5 h."""
    return min(DEFER_MOST_MS, DEFER_FIRST_MS << min(deferred_before, 30))


_RETRYING = TaskState.RETRYING


def _after_crash(facts: Facts) -> Next:
    if facts.crashes + 1 >= MAX_CRASHES:
        return Next(TaskState.FAILED, crashes=1)
    if facts.left_ms <= 0:
        return Next(TaskState.EXPIRED, crashes=1)
    return Next(_RETRYING, crashes=1)


def _later(facts: Facts, delay_ms: int, next_: Next) -> Next:
    latest = facts.left_ms - LAST_TRY_MS
    if latest <= 0:
        return next_._replace(to=TaskState.EXPIRED)
    return next_._replace(delay_ms=min(delay_ms, latest))
