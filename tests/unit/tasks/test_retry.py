"""The policy of what comes after a failure, to the millisecond."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from functory.model.task import Failure, TaskState
from functory.tasks import retry
from functory.tasks.retry import Facts, Next

DAY_MS = 86_400_000
RETRYING, FAILED, EXPIRED = TaskState.RETRYING, TaskState.FAILED, TaskState.EXPIRED


def facts(
    attempts: int = 0, deferrals: int = 0, crashes: int = 0, max_retries: int = 3, left_ms: int = DAY_MS
) -> Facts:
    return Facts(attempts, deferrals, crashes, max_retries, left_ms)


def always(chance: float) -> Callable[[], float]:
    return lambda: chance


@pytest.mark.parametrize(
    ("failed_before", "most_ms"),
    [(0, 1000), (1, 2000), (2, 4000), (5, 32_000), (6, 60_000), (8, 60_000), (10**6, 60_000)],
)
def test_a_failed_function_is_tried_after_a_random_part_of_a_doubling_time(failed_before: int, most_ms: int) -> None:
    assert retry.user_delay_ms(failed_before, always(0)) == 0
    assert retry.user_delay_ms(failed_before, always(0.5)) == most_ms // 2
    assert most_ms - 1000 < retry.user_delay_ms(failed_before, always(0.9999)) < most_ms


@pytest.mark.parametrize(
    ("deferred_before", "delay_ms"),
    [(0, 500), (1, 1000), (2, 2000), (3, 4000), (10, 512_000), (15, 16_384_000), (16, 18_000_000), (10**6, 18_000_000)],
)
@pytest.mark.parametrize("failure", [Failure.THROTTLED, Failure.SYSTEM])
def test_what_the_platform_refused_is_tried_after_exactly_the_official_times(
    failure: Failure, deferred_before: int, delay_ms: int
) -> None:
    next_ = retry.after(failure, facts(deferrals=deferred_before), always(0.9))
    assert next_ == Next(RETRYING, delay_ms=delay_ms, deferrals=1)


@pytest.mark.parametrize("max_retries", range(9))
def test_a_function_gets_its_retries_and_not_one_more(max_retries: int) -> None:
    ends = [
        retry.after(Failure.USER, facts(done, max_retries=max_retries), always(0)).to for done in range(max_retries + 1)
    ]
    assert ends == [RETRYING] * max_retries + [FAILED]


@pytest.mark.parametrize("failure", [Failure.THROTTLED, Failure.SYSTEM])
def test_the_platforms_failures_use_up_no_attempt_however_many(failure: Failure) -> None:
    next_ = retry.after(failure, facts(attempts=3, deferrals=500, max_retries=3), always(0))
    assert (next_.to, next_.attempts, next_.deferrals) == (RETRYING, 0, 1)


@pytest.mark.parametrize(
    ("retry_after_ms", "expected_ms"), [(0, 500), (499, 500), (30_000, 30_000), (10**9, DAY_MS - 1000)]
)
def test_a_longer_wish_to_wait_is_honoured(retry_after_ms: int, expected_ms: int) -> None:
    next_ = retry.after(Failure.THROTTLED, facts(), always(0), retry_after_ms=retry_after_ms)
    assert next_.delay_ms == expected_ms


@pytest.mark.parametrize("failure", [Failure.USER, Failure.THROTTLED, Failure.SYSTEM])
@pytest.mark.parametrize(
    ("left_ms", "expected"),
    [(1600, (RETRYING, 500)), (1300, (RETRYING, 300)), (1000, (EXPIRED, 0)), (-5, (EXPIRED, 0))],
)
def test_the_last_try_falls_a_second_before_the_end_of_age(
    failure: Failure, left_ms: int, expected: tuple[TaskState, int]
) -> None:
    next_ = retry.after(failure, facts(left_ms=left_ms), always(0.5))
    assert (next_.to, next_.delay_ms) == expected


def test_the_end_of_attempts_comes_before_the_end_of_age() -> None:
    assert retry.after(Failure.USER, facts(attempts=3, left_ms=0), always(0)).to is FAILED


def test_a_lost_worker_is_counted_apart_and_the_task_is_tried_at_once_until_it_looks_like_the_killer() -> None:
    for crashes in range(retry.MAX_CRASHES - 1):
        assert retry.after(Failure.LOST, facts(crashes=crashes, attempts=3), always(0.9)) == Next(RETRYING, crashes=1)
    assert retry.after(Failure.LOST, facts(crashes=retry.MAX_CRASHES - 1), always(0)) == Next(FAILED, crashes=1)


def test_what_is_gone_is_not_tried_again() -> None:
    assert retry.after(Failure.GONE, facts(), always(0)) == Next(FAILED)
