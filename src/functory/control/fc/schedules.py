"""Scheduled actions and scaling policies: what provision and scaling configurations share, and its rules."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import TypeVar
from zoneinfo import ZoneInfo

import msgspec

from functory.control.fc import rules, shapes
from functory.instances import tracking
from functory.model import errors
from functory.model.limits import MAX_TARGET
from functory.sources import cron

S = TypeVar("S")

MAX_ENTRIES = 100
METRICS = tuple(metric.value for metric in tracking.Metric)
GPU = ("GPUMemUtilization", "GPUUtilization")
_FIELDS = re.compile(r"[0-9A-Za-z*?/,#\- ]{1,200}")
_AT = re.compile(r"at\((.*)\)", re.DOTALL)
_CRON = re.compile(r"cron\((.*)\)", re.DOTALL)


class ScheduledAction(shapes.Shape, frozen=True, kw_only=True):
    """From a moment on, so many instances."""

    name: str
    schedule_expression: str
    """`cron(0 30 8 * * *)` (seconds first) or `at(2026-11-23T08:30:00Z)`."""
    target: int
    start_time: str | None = None
    end_time: str | None = None
    time_zone: str | None = None


class TrackingPolicy(shapes.Shape, frozen=True, kw_only=True):
    """As many instances as keep a metric near a target, between two bounds."""

    name: str
    metric_type: str
    metric_target: float
    min_capacity: int
    max_capacity: int
    start_time: str | None = None
    end_time: str | None = None
    time_zone: str | None = None


class ScalingPolicy(shapes.Shape, frozen=True, kw_only=True):
    """The same, in the words of scaling configurations."""

    name: str = ""
    metric_type: str
    metric_target: float
    min_instances: int = 0
    max_instances: int
    start_time: str | None = None
    end_time: str | None = None
    time_zone: str | None = None


def check_actions(field: str, actions: Iterable[ScheduledAction]) -> None:
    """`InvalidArgument` says which action broke which rule."""
    actions = _few(field, actions)
    names = [action.name for action in actions]
    if len(set(names)) != len(names):
        raise errors.InvalidArgument(f"{field}: a name is given twice")
    for index, action in enumerate(actions):
        of = f"{field}[{index}]"
        rules.within(f"the length of {of}.name", len(action.name), 1, 128)
        rules.within(f"{of}.target", action.target, 0, MAX_TARGET)
        _check_expression(f"{of}.scheduleExpression", action.schedule_expression)
        check_window(of, action.start_time, action.end_time, action.time_zone)


def check_policies(field: str, policies: Iterable[TrackingPolicy | ScalingPolicy]) -> None:
    """`InvalidArgument` says which policy broke which rule."""
    policies = _few(field, policies)
    names = [policy.name for policy in policies]
    if len(set(names)) != len(names):
        raise errors.InvalidArgument(f"{field}: a name is given twice, or left out twice")
    for index, policy in enumerate(policies):
        of = f"{field}[{index}]"
        rules.text(f"{of}.name", policy.name, 128)
        if policy.metric_type in GPU:
            raise errors.InvalidArgument(
                f"{of}.metricType {policy.metric_type} cannot be followed: this node has no GPU"
            )
        if policy.metric_type not in METRICS:
            raise errors.InvalidArgument(
                f"{of}.metricType {policy.metric_type[:64]!r} is not valid: one of {', '.join(METRICS)}"
            )
        if not 0 < policy.metric_target <= 1:
            raise errors.InvalidArgument(f"{of}.metricTarget {policy.metric_target} is not valid: above 0, at most 1")
        low, high = (
            (policy.min_capacity, policy.max_capacity)
            if isinstance(policy, TrackingPolicy)
            else (policy.min_instances, policy.max_instances)
        )
        rules.within(f"{of}: the lower bound", low, 0, MAX_TARGET)
        rules.within(f"{of}: the upper bound", high, low, MAX_TARGET)
        check_window(of, policy.start_time, policy.end_time, policy.time_zone)


def check_window(of: str, start: str | None, end: str | None, zone: str | None) -> None:
    """Passes for a time zone that is known, and times of which the end comes after the start."""
    if zone:
        try:
            ZoneInfo(zone)
        except (KeyError, ValueError, OSError):
            raise errors.InvalidArgument(
                f"{of}.timeZone {zone[:64]!r} is not a time zone, as Asia/Shanghai is"
            ) from None
    begins, ends = _moment(f"{of}.startTime", start), _moment(f"{of}.endTime", end)
    if begins is not None and ends is not None and begins.replace(tzinfo=None) >= ends.replace(tzinfo=None):
        raise errors.InvalidArgument(f"{of}: endTime {end} is not after startTime {start}")


def plain(values: Iterable[msgspec.Struct]) -> list[dict[str, object]]:
    """The values as they are stored and answered."""
    return [msgspec.to_builtins(value) for value in values]


def _few(field: str, values: Iterable[S]) -> list[S]:
    found = list(values)
    if len(found) > MAX_ENTRIES:
        raise errors.InvalidArgument(f"{field}: {len(found)} are given; {MAX_ENTRIES} are allowed")
    return found


def _check_expression(of: str, text: str) -> None:
    rule, at = _CRON.fullmatch(text), _AT.fullmatch(text)
    if at is not None and _moment(of, at[1]) is not None:
        return
    if rule is None:
        raise errors.InvalidArgument(
            f"{of} {text[:80]!r} is not valid: cron(seconds minutes hours day month weekday) or at(time)"
        )
    try:
        cron.parse(rule[1] if _FIELDS.fullmatch(rule[1]) else "?", 0)
    except errors.InvalidArgument as wrong:
        raise errors.InvalidArgument(f"{of} {text[:80]!r} is not valid: {wrong.message}") from None


def _moment(of: str, text: str | None) -> datetime | None:
    if not text:
        return None
    try:
        if not 16 <= len(text) <= 32:
            raise ValueError("another form")
        return datetime.fromisoformat(text)
    except ValueError:
        raise errors.InvalidArgument(f"{of} {text[:40]!r} is not a time like 2026-11-23T08:30:00Z") from None
