"""The rules that all stores share."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functory.model import errors, ids
from functory.store import rules

REQUEST_IDS = st.builds(
    lambda second, node, number: f"1-{second:08x}-{node:08x}-{number:012x}",
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**48 - 1),
)


@given(st.lists(REQUEST_IDS, max_size=20))
def test_many_orders_at_once_are_those_of_the_single_ids(request_ids: list[str]) -> None:
    assert rules.orders(request_ids) == [ids.request_order(each) for each in request_ids]


@given(st.lists(st.one_of(REQUEST_IDS, st.text(max_size=40), st.from_regex(ids.REQUEST_ID)), max_size=4))
def test_many_orders_are_refused_exactly_where_a_single_one_is(request_ids: list[str]) -> None:
    if all(ids.REQUEST_ID.fullmatch(each) for each in request_ids):
        rules.orders(request_ids)
    else:
        with pytest.raises(errors.InvalidArgument):
            rules.orders(request_ids)


@given(REQUEST_IDS, st.integers(0, 31), st.sampled_from("0f-gA \nà٣"))
def test_one_wrong_character_is_found(request_id: str, at: int, wrong: str) -> None:
    changed = request_id[:at] + wrong + request_id[at + 1 :]
    if not ids.REQUEST_ID.fullmatch(changed):
        with pytest.raises(errors.InvalidArgument):
            rules.orders([request_id, changed, request_id])


@given(REQUEST_IDS)
def test_a_minute_holds_its_requests_and_a_day_its_minutes(request_id: str) -> None:
    order = ids.request_order(request_id)
    end = rules.minute_end(order)
    assert order <= end <= rules.END
    assert end // rules.PLACES_PER_MINUTE == order // rules.PLACES_PER_MINUTE
    assert rules.day_of(order) == rules.day_of(end)


@pytest.mark.parametrize("day", ["", "2026", "20260230", "2026-1-1", "２０２６０１０１", "20260101\n", "00000101"])
def test_what_is_no_day_is_refused(day: str) -> None:
    with pytest.raises(errors.InvalidArgument):
        rules.check_day(day)


def test_a_day_is_answered() -> None:
    assert rules.check_day("20240229") == "20240229"
