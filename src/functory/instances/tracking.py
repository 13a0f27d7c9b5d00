"""POLICY: how many instances a tracking policy keeps ready. Pure: what was used goes in, a number comes out.

A policy names a metric, a target for it, two bounds and a window of time. Every metric is turned into the same thing
first: how many instances' worth was in use, on the mean of a while (requests at once over what one instance may run,
processors over its `cpu`, memory over its `memorySize`). So many instances are needed as bring the metric to its
target: `use / target`, rounded up. Then, as the official service has it:

* More are wanted at once when the last minute asks for them: whoever waits for an instance waits now.
* Fewer are wanted slowly: what the busiest minute of the last quarter of an hour needed is kept, and of what is beyond
  it at most half goes in a minute, at least one. A load that comes in waves does not start each wave cold.
* The bounds hold always; outside its window a policy wants nothing.
* Of several policies, and of those and the scheduled actions, the largest number counts.

What ran on instances made on demand counts as use, so that a burst on two instances is seen as what it is, not as two.
"""

from __future__ import annotations

import math
from enum import StrEnum
from typing import Any
from zoneinfo import ZoneInfo

import msgspec

from functory.instances import minimum

EVERY_S = 10.0
"""How often the use is looked at."""
RECENT_NS = 60_000_000_000
CALM_NS = 900_000_000_000
SHRINK_NS = 60_000_000_000
SHRINK_SHARE = 0.5


class Metric(StrEnum):
    """What is kept near a target."""

    CONCURRENCY = "ProvisionedConcurrencyUtilization"
    CPU = "CPUUtilization"
    MEMORY = "MemoryUtilization"


class Policy(msgspec.Struct, frozen=True):
    """A tracking policy, read."""

    name: str
    metric: Metric
    target: float
    """Above 0, at most 1."""
    low: int
    high: int
    from_ms: int
    until_ms: int

    def active(self, now_ms: int) -> bool:
        """Whether its window is open."""
        return self.from_ms <= now_ms < self.until_ms

    def next(self, now_ms: int) -> int | None:
        """When its window next opens or closes."""
        return min((at for at in (self.from_ms, self.until_ms) if now_ms < at < minimum.FOR_EVER_MS), default=None)


class Total(msgspec.Struct, frozen=True):
    """What a function's instances have used up to a moment."""

    at_ns: int
    """On the monotonic clock."""
    busy_ns: int
    """Time of requests on an instance, added up."""
    cpu_ns: int
    """Processor time of those that live, added up."""
    memory_bytes: int
    """What they hold at this moment."""


class Size(msgspec.Struct, frozen=True):
    """What one instance offers."""

    concurrency: int
    cpu: float
    memory_mb: int


class Use(msgspec.Struct, frozen=True):
    """How many instances' worth was in use, on the mean of a while, by metric."""

    at_ns: int
    concurrency: float
    cpu: float
    memory: float

    def of(self, metric: Metric) -> float:
        """By one metric."""
        by = {Metric.CONCURRENCY: self.concurrency, Metric.CPU: self.cpu, Metric.MEMORY: self.memory}
        return by[metric]


def between(before: Total, after: Total, size: Size) -> Use:
    """The mean use from one moment to a later one. A total that fell, as instances ended, counts as none."""
    passed_ns = max(1, after.at_ns - before.at_ns)
    return Use(
        at_ns=after.at_ns,
        concurrency=max(0, after.busy_ns - before.busy_ns) / passed_ns / size.concurrency,
        cpu=max(0, after.cpu_ns - before.cpu_ns) / passed_ns / size.cpu,
        memory=after.memory_bytes / (size.memory_mb << 20),
    )


def needed(use: float, target: float) -> int:
    """How many instances bring the metric to its target."""
    return math.ceil(round(use / target, 6))


def wanted(policy: Policy, current: int, recent: Use, calm: float) -> int:
    """How many to keep now, of `current`. `calm`: the largest use of the last while, what going down is judged by.

    Growing is this function's; how often it may shrink is the caller's to see to (`following.Follower`).
    """
    now = needed(recent.of(policy.metric), policy.target)
    if now < current:
        beyond = current - max(now, needed(calm, policy.target))
        now = current - max(1, int(beyond * SHRINK_SHARE)) if beyond > 0 else current
    return max(policy.low, min(now, policy.high))


def read(policy: dict[str, Any]) -> Policy:
    """A policy of its official fields, in the words of either API."""
    zone = ZoneInfo(policy.get("timeZone") or "UTC")
    start, end = policy.get("startTime"), policy.get("endTime")
    return Policy(
        name=policy.get("name", ""),
        metric=Metric(policy["metricType"]),
        target=policy["metricTarget"],
        low=policy.get("minCapacity", policy.get("minInstances", 0)),
        high=policy["maxCapacity"] if "maxCapacity" in policy else policy["maxInstances"],
        from_ms=minimum.moment_ms(start, zone) if start else 0,
        until_ms=minimum.moment_ms(end, zone) if end else minimum.FOR_EVER_MS,
    )
