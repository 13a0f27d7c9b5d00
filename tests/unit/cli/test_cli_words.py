"""Amounts as people read them."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from functory.cli import words


@pytest.mark.parametrize(
    ("us", "shown"),
    [
        (0, "0 µs"), (412, "412 µs"), (1880, "1.88 ms"), (14_200, "14.2 ms"), (142_000, "142 ms"),
        (3_200_000, "3.20 s"), (125_000_000, "2 min 5 s"), (7_500_000_000, "2 h 5 min"), (400_000_000_000, "4 days"),
    ],
)  # fmt: skip
def test_a_duration_has_three_digits_and_a_unit(us: float, shown: str) -> None:
    assert words.duration(us) == shown


@pytest.mark.parametrize(
    ("nano_usd", "shown"),
    [(0, "0.0 µ¢"), (153, "15.3 µ¢"), (123_456, "12,346 µ¢"), (15_200_000, "1.52 ¢"), (22_030_000_000, "$22.03")],
)
def test_a_cost_is_in_millionths_of_a_cent_until_it_is_more(nano_usd: int, shown: str) -> None:
    assert words.cost(nano_usd) == shown


@pytest.mark.parametrize(
    ("count", "shown"), [(312, "312 B"), (2150, "2.1 KB"), (14_680_064, "14.0 MB"), (3 << 30, "3.0 GB")]
)
def test_a_size_is_in_powers_of_1024(count: int, shown: str) -> None:
    assert words.size(count) == shown


def test_milliseconds_in_a_table_have_no_unit_and_nothing_is_a_dot() -> None:
    assert [words.ms(us) for us in (0, 40, 1900, 35_120, 142_000)] == ["·", "0.04", "1.9", "35.1", "142"]


def test_how_long_ago_is_told_roughly() -> None:
    now = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
    assert words.ago("2026-11-23T11:59:30Z", now) == "30 s ago"
    assert words.ago("2026-11-23T11:57:00Z", now) == "3 min ago"
    assert words.ago("2026-11-20T11:57:00Z", now) == "3 days ago"
    assert words.ago("soon", now) == "soon"


def test_one_thing_is_not_many() -> None:
    assert (words.count(1, "file"), words.count(3, "file"), words.count(2, "copy", "copies")) == (
        "1 file", "3 files", "2 copies",
    )  # fmt: skip
