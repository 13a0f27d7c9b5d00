"""Ids and names: their shape and their order."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functory.model import errors, ids


@pytest.mark.parametrize("name", ["a", "_", "echo", "Echo-2_b", "x" * 64])
def test_a_valid_function_name_is_answered_as_it_is(name: str) -> None:
    assert ids.check_function_name(name) == name


@pytest.mark.parametrize("name", ["", "1a", "-a", "a b", "a/b", "é", "a\n", "x" * 65, None, 7, "a" * 10_000])
def test_another_function_name_is_refused_and_shown_shortened(name: object) -> None:
    with pytest.raises(errors.InvalidArgument, match=r"functionName .* is not valid: 1-64 letters") as caught:
        ids.check_function_name(name)
    assert len(str(caught.value)) < 250


def test_an_arn_carries_the_qualifier_only_if_there_is_one() -> None:
    assert ids.function_arn("eu", "1", "f") == "acs:fc:eu:1:functions/f"
    assert ids.function_arn("eu", "1", "f", "LATEST") == "acs:fc:eu:1:functions/f/LATEST"


def test_request_ids_have_the_official_shape_and_differ() -> None:
    make = ids.request_id_maker(0x157F3F32, lambda: 0x65A77FBB + 0.9)
    assert make() == "1-65a77fbb-157f3f32-000000000001"
    made = [make() for _ in range(1000)]
    assert len(set(made)) == 1000
    assert all(ids.REQUEST_ID.fullmatch(request_id) for request_id in made)


@given(st.integers(0, 1 << 70), st.lists(st.integers(0, (1 << 32) - 1), min_size=2, max_size=20))
def test_request_ids_of_one_node_order_by_time_then_by_count(seed: int, seconds: list[int]) -> None:
    moments = iter(sorted(seconds))
    make = ids.request_id_maker(seed, lambda: next(moments))
    made = [make() for _ in seconds]
    orders = [ids.request_order(request_id) for request_id in made]
    assert orders == sorted(set(orders))
    assert made == sorted(made)
    assert [ids.request_time_s(request_id) for request_id in made] == sorted(seconds)
    assert max(orders) < 1 << 63


def test_the_first_request_of_a_second_comes_after_any_of_the_second_before() -> None:
    last_of_the_second_before = "1-65a77fba-157f3f32-00007fffffff"
    assert ids.request_order("1-65a77fbb-00000000-000000000000") == ids.request_order(last_of_the_second_before) + 1


@pytest.mark.parametrize(
    "text", ["", "1-65a77fbb", "2-65a77fbb-157f3f32-e1ee24b17e49", "1-65A77FBB-157f3f32-e1ee24b17e49"]
)
def test_text_of_another_shape_has_no_order(text: str) -> None:
    with pytest.raises(ValueError, match="is not a request id"):
        ids.request_order(text)
