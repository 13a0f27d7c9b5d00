"""When a timer is due: `cronExpression` as the official API writes it. Pure: a time goes in, the next one comes out.

    0 30 4 * * MON-FRI                  second, minute, hour, day of month, month, day of week; in UTC
    CRON_TZ=Asia/Shanghai 0 0 4 1 * *   the same in another zone
    @every 5m                           every five minutes from the moment the timer was set

cronsim walks the minutes by Debian cron's rules, which settle what a wall clock leaves open when it is changed: a time
that comes twice in autumn is due once, the first time; one that spring skips is due when the skipped hour ends. Rules
with a `*` in minute or hour go by real time instead: hourly is hourly on both days. cronsim has a field of seconds
too, but applies none of this then, so seconds are added here.
"""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Protocol
from zoneinfo import ZoneInfo

import cronsim

from functory.model import errors

MAX_EXPRESSION = 256
_MINUTE_MS = 60_000
_EVERY = re.compile(r"@every (?:(\d{1,5})h)?(?:(\d{1,6})m)?(?:(\d{1,7})s)?")
_ZONE = re.compile(r"(?:CRON_)?TZ=([A-Za-z0-9_+/-]{1,64})\s+(.*)", re.S)
_GAP = timedelta(hours=3)
"""Longer than any clock change of today's zones: from so long before is searched where minutes may have been moved."""
_LOOK_BACK_MS = (2_000, 60_000, 600_000, 3_600_000, 86_400_000)


class Schedule(Protocol):
    """When a timer is due."""

    def after(self, at_ms: int) -> int | None:
        """The first due time later than `at_ms` (both in ms since 1970); None if there is none in 50 years."""


class Every:
    """A fixed distance, counted from `start_ms`: a restart does not move it."""

    def __init__(self, period_ms: int, start_ms: int) -> None:
        self._period_ms = period_ms
        self._start_ms = start_ms

    def after(self, at_ms: int) -> int | None:
        """The next multiple."""
        passed = max(0, (at_ms - self._start_ms) // self._period_ms)
        return self._start_ms + (passed + 1) * self._period_ms


class Cron:
    """Six fields in a zone."""

    def __init__(self, seconds: tuple[int, ...], fields: str, zone: tzinfo) -> None:
        self._seconds = seconds
        self._fields = fields
        self._zone = zone

    def after(self, at_ms: int) -> int | None:
        """The next second that fits."""
        minute_ms = at_ms // _MINUTE_MS * _MINUTE_MS
        start = datetime.fromtimestamp(minute_ms / 1000, self._zone) - timedelta(seconds=1)
        minutes = cronsim.CronSim(self._fields, start)
        if minutes.fixup_tz is not None:
            minutes = cronsim.CronSim(self._fields, start - _GAP)
        for minute in minutes:
            begin_ms = round(minute.timestamp()) * 1000
            for second in self._seconds:
                if begin_ms + second * 1000 > at_ms:
                    return begin_ms + second * 1000
        return None


def parse(expression: str, start_ms: int) -> Schedule:
    """The schedule of an expression; `start_ms`: when the timer was set. `InvalidArgument` says what is wrong."""
    text = expression.strip()
    if not 0 < len(text) <= MAX_EXPRESSION:
        raise errors.InvalidArgument(f"cronExpression must have 1 to {MAX_EXPRESSION} characters")
    if text.startswith("@"):
        return Every(_period_ms(text), start_ms)
    zone: tzinfo = UTC
    zoned = _ZONE.fullmatch(text)
    if zoned is not None:
        zone, text = _zone(zoned[1]), zoned[2].strip()
    schedule = _cron(text, zone)
    if schedule.after(start_ms) is None:
        raise errors.InvalidArgument(f"cronExpression {expression!r} is never due")
    return schedule


def last_due(schedule: Schedule, after_ms: int, until_ms: int) -> int | None:
    """The latest due time later than `after_ms` and not later than `until_ms`, if there is one.

    Looked for in windows that grow backwards, so that a timer of every second costs no more than one of every day.
    """
    for window_ms in (*_LOOK_BACK_MS, until_ms - after_ms):
        found = None
        due = schedule.after(max(after_ms, until_ms - window_ms))
        while due is not None and due <= until_ms:
            found = due
            due = schedule.after(due)
        if found is not None or until_ms - window_ms <= after_ms:
            return found
    return None


def _period_ms(text: str) -> int:
    found = _EVERY.fullmatch(" ".join(text.split()))
    hours, minutes, seconds = (int(part or 0) for part in (found.groups() if found else ("", "", "")))
    period_s = hours * 3600 + minutes * 60 + seconds
    if not 1 <= period_s <= 366 * 86400:
        raise errors.InvalidArgument(
            f"cronExpression {text!r} is not valid: @every and a duration of 1s to 8784h, such as @every 5m"
        )
    return period_s * 1000


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):
        raise errors.InvalidArgument(f"cronExpression names a time zone that is not known: {name!r}") from None


def _cron(text: str, zone: tzinfo) -> Cron:
    fields = text.split()
    if len(fields) != 6:
        raise errors.InvalidArgument(
            f"cronExpression {text!r} has {len(fields)} fields; 6 are needed: second, minute, hour, day of month, "
            "month, day of week"
        )
    # Some writers of cron say `?` where a day is left open.
    fields[3], fields[5] = fields[3].replace("?", "*"), fields[5].replace("?", "*")
    try:
        # The field of seconds has the rules of the field of minutes: cronsim reads it whole.
        seconds = cronsim.CronSim(" ".join(fields), datetime(2026, 1, 1, tzinfo=UTC)).seconds
        cronsim.CronSim(" ".join(fields[1:]), datetime(2026, 1, 1, tzinfo=UTC))
    except (cronsim.CronSimError, ValueError, AssertionError) as wrong:
        raise errors.InvalidArgument(f"cronExpression {text!r} is not valid: {wrong}") from None
    return Cron(tuple(sorted(seconds)), " ".join(fields[1:]), zone)
