"""Edits of payloads, and the keys under which ends are run again."""

from __future__ import annotations

import json
from typing import Any

import pytest

from functory.model import errors
from functory.tasks.edit import NO_EDIT, Edit, successor


@pytest.mark.parametrize(
    ("old", "patch", "new"),
    [
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [1]}, {"a": {"b": {"c": None}}}, {"a": {"b": {}}}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
    ],
)
def test_a_merge_goes_by_rfc_7396(old: Any, patch: Any, new: Any) -> None:
    assert json.loads(Edit(merge=patch).apply(json.dumps(old).encode())) == new


@pytest.mark.parametrize("old", [b"", b"text", b"[1]", b"1", b"\xff", b"null"])
def test_what_is_no_json_object_cannot_be_merged_into(old: bytes) -> None:
    with pytest.raises(errors.InvalidArgument, match="not a JSON object"):
        Edit(merge={"a": 1}).apply(old)
    assert Edit(payload=b"new").apply(old) == b"new"
    assert NO_EDIT.apply(old) == old


def test_one_cannot_replace_and_merge_at_once_nor_nest_without_end() -> None:
    with pytest.raises(errors.InvalidArgument, match="together"):
        Edit(payload=b"", merge={})
    deep: dict[str, Any] = {}
    for _ in range(100):
        deep = {"a": deep}
    with pytest.raises(errors.InvalidArgument, match="nested"):
        Edit(merge=deep).apply(b"{}")


@pytest.mark.parametrize(
    ("key", "next_"),
    [("x", "x-again"), ("x-again", "x-again-2"), ("x-again-9", "x-again-10"), ("1-65a", "_1-65a-again"),
     ("x-again-0", "x-again-0-again"), ("-again", "_-again-2")],
)  # fmt: skip
def test_the_next_key_follows_from_the_one_before(key: str, next_: str) -> None:
    assert successor(key) == next_


def test_long_keys_stay_apart_and_within_the_limit() -> None:
    long = [f"{'x' * 120}{number:08d}" for number in range(50)]
    keys = {successor(key) for key in long} | {successor(successor(key)) for key in long}
    assert len(keys) == 100
    assert max(map(len, keys)) <= 128
