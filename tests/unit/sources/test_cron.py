"""When timers are due, on ordinary days and on the days that clocks are changed."""

from __future__ import annotations

from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functory.model import errors
from functory.sources import cron


def ms(text: str, zone: str = "UTC", *, fold: int = 0) -> int:
    """A moment in milliseconds since 1970."""
    return round(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone), fold=fold).timestamp() * 1000)


def utc(at_ms: int | None) -> str:
    assert at_ms is not None
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S")


def fires(expression: str, start_ms: int, count: int) -> list[str]:
    """The next due times, in UTC."""
    schedule, found, at_ms = cron.parse(expression, start_ms), [], start_ms
    for _ in range(count):
        due = schedule.after(at_ms)
        assert due is not None
        found.append(utc(due))
        at_ms = due
    return found


def test_six_fields_count_seconds_in_utc() -> None:
    assert fires("15,45 30 4 * * *", ms("2026-03-01T00:00"), 3) == [
        "2026-03-01 04:30:15",
        "2026-03-01 04:30:45",
        "2026-03-02 04:30:15",
    ]
    assert fires("*/20 * * * * *", ms("2026-03-01T00:00:20"), 3) == [
        "2026-03-01 00:00:40",
        "2026-03-01 00:01:00",
        "2026-03-01 00:01:20",
    ]


def test_a_zone_moves_the_fields() -> None:
    assert fires("CRON_TZ=Asia/Shanghai 0 0 4 1 * *", ms("2026-01-15T00:00"), 2) == [
        "2026-01-31 20:00:00",
        "2026-02-28 20:00:00",
    ]


def test_every_counts_from_the_moment_the_timer_was_set() -> None:
    start = ms("2026-01-01T00:00:07")
    assert fires("@every 5m", start, 2) == ["2026-01-01 00:05:07", "2026-01-01 00:10:07"]
    assert utc(cron.parse("@every 1h30m", start).after(ms("2026-01-01T12:00"))) == "2026-01-01 12:00:07"


@pytest.mark.parametrize(
    ("zone", "day", "skipped_end"),
    [("Europe/Berlin", "2026-03-29", "2026-03-29 01:00:00"), ("America/New_York", "2026-03-08", "2026-03-08 07:00:00")],
)
def test_a_time_that_spring_skips_is_due_once_when_the_skipped_hour_ends(zone: str, day: str, skipped_end: str) -> None:
    found = fires(f"CRON_TZ={zone} 0 30 2 * * *", ms(f"{day}T00:00", zone), 2)
    assert found[0] == skipped_end
    assert found[1][:10] > day


@pytest.mark.parametrize(
    ("zone", "day", "time", "first"),
    [
        ("Europe/Berlin", "2026-10-25", "30 2", "2026-10-25 00:30:00"),
        ("America/New_York", "2026-11-01", "30 1", "2026-11-01 05:30:00"),
    ],
)
def test_a_time_that_comes_twice_in_autumn_is_due_once(zone: str, day: str, time: str, first: str) -> None:
    expression = f"CRON_TZ={zone} 0 {time} * * *"
    found = fires(expression, ms(f"{day}T00:00", zone), 2)
    assert found[0] == first
    assert found[1][:10] > day
    between = ms(f"{day}T{time.split()[1].zfill(2)}:10", zone, fold=1)  # in the second pass of the hour
    assert fires(expression, between, 1) == [found[1]]


def test_an_hourly_timer_is_hourly_on_the_day_of_change() -> None:
    found = fires("CRON_TZ=Europe/Berlin 0 0 * * * *", ms("2026-10-24T23:30"), 4)
    assert found == [f"2026-10-25 0{hour}:00:00" for hour in range(4)]


def test_seconds_of_a_skipped_minute_are_all_due() -> None:
    found = fires("CRON_TZ=Europe/Berlin 0,30 30 2 * * *", ms("2026-03-29T00:00"), 2)
    assert found == ["2026-03-29 01:00:00", "2026-03-29 01:00:30"]


def test_the_leap_day_comes_every_four_years() -> None:
    assert fires("0 0 12 29 2 *", ms("2026-01-01T00:00"), 2) == ["2028-02-29 12:00:00", "2032-02-29 12:00:00"]


def test_question_marks_names_and_steps_are_understood() -> None:
    assert fires("0 0 9 ? * MON-FRI", ms("2026-01-02T10:00"), 2) == ["2026-01-05 09:00:00", "2026-01-06 09:00:00"]
    assert fires("0 */15 * * JAN ?", ms("2026-01-31T23:40"), 2) == ["2026-01-31 23:45:00", "2027-01-01 00:00:00"]


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "* * * * *",
        "61 * * * * *",
        "0 0 0 31 2 *",
        "0 0 25 * * *",
        "@every",
        "@every 0s",
        "@every 5",
        "@every 9000h",
        "@daily",
        "CRON_TZ=Nowhere/City 0 0 0 * * *",
        "CRON_TZ=../../etc/passwd 0 0 0 * * *",
        "L * * * * *",
        "0 " * 200,
        "0 0 0 * * FOO",
        "-1 0 0 * * *",
    ],
)
def test_what_cannot_be_due_is_refused(bad: str) -> None:
    with pytest.raises(errors.InvalidArgument, match="cronExpression"):
        cron.parse(bad, ms("2026-01-01T00:00"))


FIELD = st.sampled_from(["*", "0", "7", "*/13", "1,30"])


@settings(max_examples=60, deadline=None)
@given(
    FIELD,
    FIELD,
    st.sampled_from(["*", "2", "1-3"]),
    st.sampled_from(["UTC", "Europe/Berlin", "America/New_York"]),
    st.integers(0, 400 * 86400),
)
def test_due_times_only_grow_and_the_last_one_is_found_without_walking(
    second: str, minute: str, hour: str, zone: str, offset_s: int
) -> None:
    start = ms("2026-01-01T00:00") + offset_s * 1000
    schedule = cron.parse(f"CRON_TZ={zone} {second} {minute} {hour} * * *", start)
    found = [start]
    for _ in range(5):
        due = schedule.after(found[-1])
        assert due is not None
        assert due > found[-1]
        found.append(due)
    assert cron.last_due(schedule, start, found[5]) == found[5]
    assert cron.last_due(schedule, start, found[5] - 1) == found[4]
    assert cron.last_due(schedule, start, found[1] - 1) is None
