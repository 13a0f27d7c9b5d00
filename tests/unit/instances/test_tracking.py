"""What tracking policies want of what was used."""

from __future__ import annotations

import itertools
from typing import Any

import pytest

from functory.instances import tracking
from functory.instances.following import Follower, Following, Window
from functory.instances.tracking import Metric, Policy, Size, Total, Use
from functory.model.limits import ProvisionConfig, ScalingConfig

S = 1_000_000_000
HALF = Policy("busy", Metric.CONCURRENCY, 0.5, 1, 20, 0, 1 << 62)


def use(number: float, at_s: int = 0, **others: float) -> Use:
    return Use(**{"at_ns": at_s * S, "concurrency": number, "cpu": 0.0, "memory": 0.0} | others)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("in_use", "target", "number"),
    [(0, 0.5, 0), (0.01, 0.5, 1), (4, 0.8, 5), (4.01, 0.8, 6), (3, 0.3, 10), (0.3, 0.1, 3), (7, 1, 7)],
)
def test_as_many_are_needed_as_bring_the_metric_to_its_target(in_use: float, target: float, number: int) -> None:
    assert tracking.needed(in_use, target) == number


def test_more_are_wanted_at_once_and_never_beyond_the_bounds() -> None:
    assert tracking.wanted(HALF, 1, use(4), 4) == 8
    assert tracking.wanted(HALF, 1, use(400), 400) == 20
    assert tracking.wanted(HALF, 1, use(0), 0) == 1


def test_of_what_is_beyond_the_busiest_minute_lately_half_goes() -> None:
    assert tracking.wanted(HALF, 17, use(0), 0.5) == 9
    assert tracking.wanted(HALF, 2, use(0), 0.5) == 1
    assert tracking.wanted(HALF, 10, use(0), 5) == 10, "the busiest minute still needs them"


def test_it_grows_within_ten_seconds_and_shrinks_over_minutes() -> None:
    follower = Follower(HALF)
    assert [follower.look(0, use(number, at)) for at, number in ((0, 0), (10, 6), (20, 8))] == [1, 12, 16]
    numbers = {at: follower.look(0, use(0, at)) for at in range(30, 1200, 10)}
    assert numbers[20 + 890] == 16, "a quarter of an hour it stays"
    falls = [at for at in range(40, 1200, 10) if numbers[at] < numbers[at - 10]]
    assert [numbers[at] for at in falls] == [8, 4, 2, 1], "half of what is too much, once a minute"
    assert all(later - earlier >= 60 for earlier, later in itertools.pairwise(falls))
    assert falls[0] >= 20 + 900


def test_each_metric_is_measured_in_instances() -> None:
    before = Total(0, 0, 0, 0)
    after = Total(60 * S, 120 * S, 30 * S, 3 << 30)
    used = tracking.between(before, after, Size(concurrency=4, cpu=0.25, memory_mb=1024))
    assert (used.concurrency, used.cpu, used.memory) == (0.5, 2.0, 3.0)
    assert [used.of(metric) for metric in Metric] == [0.5, 2.0, 3.0]


def test_totals_that_fell_count_as_no_use() -> None:
    used = tracking.between(Total(0, 50, 50, 0), Total(10, 10, 10, 0), Size(1, 1, 1))
    assert (used.concurrency, used.cpu) == (0, 0)


def test_the_window_is_the_last_minute() -> None:
    window, size = Window(), Size(1, 1, 1024)
    busy_ns = 0
    for at in range(0, 130, 10):
        busy_ns += 10 * S * (at <= 60)  # one request at a time for a minute, then none
        last = window.add(Total(at * S, busy_ns, 0, 0), size)
    assert last.concurrency == 0
    assert window.add(Total(130 * S, busy_ns + 30 * S, 0, 0), size).concurrency == pytest.approx(0.5)


def official(**changes: Any) -> dict[str, Any]:
    return {
        "name": "p",
        "metricType": "CPUUtilization",
        "metricTarget": 0.5,
        "minCapacity": 2,
        "maxCapacity": 9,
        **changes,
    }


def test_both_apis_words_are_read() -> None:
    first = tracking.read(official())
    second = tracking.read(
        {"metricType": "CPUUtilization", "metricTarget": 0.5, "minInstances": 2, "maxInstances": 9, "name": "p"}
    )
    assert first == second
    assert (first.metric, first.low, first.high) == (Metric.CPU, 2, 9)


def test_a_policy_counts_in_its_window_only() -> None:
    window = {"startTime": "2026-11-22T00:00:00", "endTime": "2026-11-23T00:00:00", "timeZone": "Asia/Shanghai"}
    policy = tracking.read(official(**window))
    opens, closes = policy.from_ms, policy.until_ms
    assert closes - opens == 86_400_000
    config = ProvisionConfig(
        account_id="1", function_name="f", official={"targetTrackingPolicies": [official(**window)]}
    )
    following = Following(config, {})
    assert [following.number(at) for at in (opens - 1, opens, closes - 1, closes)] == [0, 2, 2, 0]
    assert (following.next(0), following.next(opens), following.next(closes)) == (opens, closes, None)


def test_the_policy_that_wants_most_counts_and_what_was_wanted_before_a_restart_stands() -> None:
    policies = [
        {"name": "a", "metricType": "CPUUtilization", "metricTarget": 0.5, "maxInstances": 9},
        {"name": "b", "metricType": "MemoryUtilization", "metricTarget": 0.5, "maxInstances": 9},
    ]
    config = ScalingConfig(account_id="1", function_name="f", official={"horizontalScalingPolicies": policies})
    following = Following(config, {"b": 3})
    assert following.number(0) == 3
    assert following.look(0, [use(0, cpu=1.0), use(0, cpu=1.5, memory=1.5)])
    assert following.numbers == {"a": 5, "b": 3}
    assert following.number(0) == 5
    assert not following.look(0, [])
