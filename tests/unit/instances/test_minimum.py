"""How many instances a provision configuration keeps at a moment."""

from __future__ import annotations

from typing import Any

import pytest

from functory.instances import minimum
from functory.model.limits import ProvisionConfig


def ms(text: str) -> int:
    return minimum.moment_ms(text)


def config(*actions: dict[str, Any], put: str = "2026-11-20T12:00:00") -> ProvisionConfig:
    named = [{"name": f"a{n}", **action} for n, action in enumerate(actions)]
    return ProvisionConfig(
        account_id="1",
        function_name="f",
        target=2,
        official={"scheduledActions": named},
        modified_at_ms=ms(put),
    )


DAY = config(
    {"scheduleExpression": "cron(0 0 8 * * *)", "target": 10},
    {"scheduleExpression": "cron(0 0 20 * * *)", "target": 1},
)


@pytest.mark.parametrize(
    ("now", "number", "then"),
    [
        ("2026-11-20T12:00:00", 2, "2026-11-20T20:00:00"),
        ("2026-11-20T20:00:00", 1, "2026-11-21T08:00:00"),
        ("2026-11-21T07:59:59.999", 1, "2026-11-21T08:00:00"),
        ("2026-11-21T08:00:00", 10, "2026-11-21T20:00:00"),
        ("2026-12-24T19:00:00", 10, "2026-12-24T20:00:00"),
    ],
)
def test_the_action_due_last_decides_and_the_target_until_one_was(now: str, number: int, then: str) -> None:
    assert minimum.at(DAY, ms(now)) == (number, ms(then))


def test_an_action_counts_in_its_window_only() -> None:
    window = {"startTime": "2026-11-22T00:00:00", "endTime": "2026-11-24T00:00:00"}
    planned = config({"scheduleExpression": "cron(0 0 8 * * *)", "target": 10, **window})
    assert minimum.at(planned, ms("2026-11-21T09:00:00")) == (2, ms("2026-11-22T08:00:00"))
    assert minimum.at(planned, ms("2026-11-22T09:00:00"))[0] == 10
    assert minimum.at(planned, ms("2026-11-23T09:00:00")) == (10, ms("2026-11-24T00:00:00"))
    assert minimum.at(planned, ms("2026-11-24T00:00:00"))[0] == 2


def test_one_moment_is_one_moment() -> None:
    planned = config({"scheduleExpression": "at(2026-11-23T08:30:00Z)", "target": 100})
    assert minimum.at(planned, ms("2026-11-23T08:29:59")) == (2, ms("2026-11-23T08:30:00"))
    assert minimum.at(planned, ms("2026-11-23T08:30:00")) == (100, None)


def test_what_was_due_before_the_configuration_was_put_does_not_count() -> None:
    planned = config({"scheduleExpression": "at(2026-11-20T08:00:00)", "target": 100})
    assert minimum.at(planned, ms("2026-11-20T13:00:00")) == (2, None)


def test_times_are_meant_in_the_actions_zone() -> None:
    planned = config({"scheduleExpression": "cron(0 0 8 * * *)", "target": 10, "timeZone": "Asia/Shanghai"})
    assert minimum.at(planned, ms("2026-11-20T23:59:59"))[0] == 2
    assert minimum.at(planned, ms("2026-11-21T00:00:00"))[0] == 10


@pytest.mark.parametrize(
    ("expression", "before", "due", "following"),
    [
        # In spring 02:30 does not come: the action is due when the skipped hour ends, at 03:00 summer time.
        ("cron(0 30 2 * * *)", "2026-03-28T12:00:00", "2026-03-29T01:00:00", "2026-03-30T00:30:00"),
        # In autumn 02:30 comes twice: it is due the first time, in summer time, and not again.
        ("cron(0 30 2 * * *)", "2026-10-24T12:00:00", "2026-10-25T00:30:00", "2026-10-26T01:30:00"),
        ("cron(0 0 8 * * *)", "2026-03-28T12:00:00", "2026-03-29T06:00:00", "2026-03-30T06:00:00"),
        ("cron(0 0 8 * * *)", "2026-10-24T12:00:00", "2026-10-25T07:00:00", "2026-10-26T07:00:00"),
    ],
)
def test_schedules_are_exact_over_both_changes_of_the_clock(
    expression: str, before: str, due: str, following: str
) -> None:
    planned = config({"scheduleExpression": expression, "target": 10, "timeZone": "Europe/Berlin"}, put=before)
    assert minimum.at(planned, ms(before)) == (2, ms(due))
    assert minimum.at(planned, ms(due) - 1)[0] == 2
    assert minimum.at(planned, ms(due)) == (10, ms(following))


def test_an_action_of_every_month_still_stands_weeks_later() -> None:
    planned = config({"scheduleExpression": "cron(0 0 0 1 * *)", "target": 10})
    assert minimum.at(planned, ms("2026-12-31T23:00:00"))[0] == 10


def test_without_actions_nothing_changes_by_itself() -> None:
    assert minimum.at(config(), ms("2026-11-21T00:00:00")) == (2, None)
