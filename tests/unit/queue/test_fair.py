"""Who is next: shares, windows, rates, and the reserve for newcomers."""

from __future__ import annotations

from functory.queue.base import Group, Want
from functory.queue.fair import Fair, Limits

SECOND_NS = 1_000_000_000


def group(name: str, account: str = "1") -> Group:
    return Group(1, account, name)


def fair(capacity: int = 64, **limits: Limits) -> Fair:
    return Fair(lambda each: limits.get(each.name, Limits(concurrency=1000, account_concurrency=1000)), capacity)


def shares(wants: list[Want]) -> dict[str, int]:
    return {want.group.name: want.rows for want in wants}


def test_a_hundred_thousand_rows_get_no_more_turns_than_one() -> None:
    lines = fair(64)
    for name in ("backlog", "a", "b"):
        lines.joined(group(name), 0)
    got = shares(lines.plan(48, 0))
    assert set(got) == {"backlog", "a", "b"}
    assert max(got.values()) - min(got.values()) <= 16


def test_free_places_never_stay_empty_while_somebody_has_a_line() -> None:
    lines = fair(64)
    lines.joined(group("only"), 0)
    assert sum(want.rows for want in lines.plan(64, 0)) >= 56


def test_the_last_eighth_is_for_who_has_none() -> None:
    lines = fair(64)
    lines.joined(group("greedy"), 0)
    taken = sum(want.rows for want in lines.plan(64, 0))
    lines.joined(group("newcomer"), 0)
    assert shares(lines.plan(64 - taken, 0))["newcomer"] > 0


def test_weight_gives_a_larger_share() -> None:
    lines = fair(2000, heavy=Limits(1000, 2000, 0, 3), light=Limits(1000, 2000, 0, 1))
    for name in ("light", "heavy"):
        lines.joined(group(name), 0)
    got = shares(lines.plan(128, 0))
    assert got["heavy"] == 3 * got["light"]


def test_a_concurrency_limit_holds_until_a_row_ends() -> None:
    lines = fair(64, small=Limits(concurrency=3, account_concurrency=100))
    lines.joined(group("small"), 0)
    assert shares(lines.plan(64, 0)) == {"small": 3}
    assert lines.plan(60, 0) == []
    lines.ended(group("small"))
    assert shares(lines.plan(60, 0)) == {"small": 1}


def test_an_account_limit_holds_over_all_its_groups_and_no_others() -> None:
    limits = Limits(concurrency=100, account_concurrency=20)
    lines = fair(640, a=limits, b=limits, other=limits)
    for each in (group("a"), group("b"), group("other", "2")):
        lines.joined(each, 0)
    got = shares(lines.plan(600, 0))
    assert (got["a"] + got["b"], got["other"]) == (20, 20)


def test_a_rate_is_a_bucket_of_one_second_that_refills() -> None:
    lines = fair(64, slow=Limits(100, 100, rate_per_s=4))
    lines.joined(group("slow"), 0)
    assert shares(lines.plan(64, 0)) == {"slow": 4}
    assert lines.plan(60, 0) == []
    assert 0 < lines.next_ns(0) <= SECOND_NS // 4 + 1
    assert shares(lines.plan(60, lines.next_ns(0))) == {"slow": 1}
    assert shares(lines.plan(56, 100 * SECOND_NS)) == {"slow": 4}


def test_a_throttled_group_pauses_halves_and_grows_back() -> None:
    lines = fair(64, f=Limits(concurrency=16, account_concurrency=100))
    lines.joined(group("f"), 0)
    assert shares(lines.plan(64, 0)) == {"f": 16}
    line = lines.line(group("f"), 0)
    for _ in range(16):
        lines.ended(group("f"))
    line.throttled(SECOND_NS)
    assert lines.plan(64, 0) == []
    assert lines.next_ns(0) == SECOND_NS
    few = shares(lines.plan(64, SECOND_NS))["f"]
    assert 1 <= few < 16
    for _ in range(400):
        line.succeeded()
    assert line.room(SECOND_NS) == 16 - few


def test_what_was_planned_and_not_given_can_be_planned_again() -> None:
    lines = fair(64, f=Limits(concurrency=5, account_concurrency=5))
    lines.joined(group("f"), 0)
    assert shares(lines.plan(64, 0)) == {"f": 5}
    lines.untake(group("f"), 5)
    assert shares(lines.plan(64, 0)) == {"f": 5}


def test_a_line_that_was_found_empty_is_left_unless_newer_news_came() -> None:
    lines = fair()
    lines.joined(group("f"), 0)
    lines.plan(20, 0)
    lines.joined(group("f"), 0)
    lines.left(group("f"))
    assert lines.has_turns, "a row that came after the question was asked must not be forgotten"
    lines.plan(20, 0)
    lines.left(group("f"))
    assert not lines.has_turns


def test_a_new_row_may_run_at_once_only_where_nobody_stands_in_line() -> None:
    lines = fair(64, f=Limits(concurrency=2, account_concurrency=100))
    assert lines.reserve(group("f"), 64, 0)
    assert lines.reserve(group("f"), 63, 0)
    assert not lines.reserve(group("f"), 62, 0)
    lines.ended(group("f"))
    lines.joined(group("f"), 0)
    assert not lines.reserve(group("f"), 63, 0)
