"""What counts as a difference, and what of it is told."""

from __future__ import annotations

from typing import Any

import pytest

from functory.sdk import differ


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (None, "", True),
        (None, {"a": {"b": []}}, True),
        ({"a": 1}, {"a": 1, "b": None, "c": ""}, True),
        ({"a": 1}, {"a": 2}, False),
        ([{"a": 1}], [{"a": 1, "b": []}], True),
        ([1, 2], [2, 1], False),
        ([1], [1, 2], False),
        (0, None, False),
        (False, None, False),
        (1, True, False),
        (1, 1.0, True),
        ("x", ["x"], False),
    ],
)
def test_what_says_nothing_is_no_difference(one: object, other: object, same: bool) -> None:
    assert differ.same(one, other) is same
    assert differ.same(other, one) is same


def test_only_fields_that_shall_be_otherwise_differ() -> None:
    found = differ.between({"a": 1, "b": 2, "z": 9}, {"a": 1, "b": 3, "c": 4})
    assert [str(one) for one in found] == ["b: 2 → 3", "c: 4"]
    assert differ.between(None, {"a": ""}) == ()


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("memorySize", 512, "512"),
        ("description", "x" * 100, "x" * 59 + "…"),
        ("environmentVariables", {"KEY": "hidden", "A": "hidden"}, "A, KEY"),
        ("certConfig", {"privateKey": "hidden"}, "…"),
        ("authConfig", {"authInfo": "hidden"}, "…"),
        ("juiceFsConfig", {"mountPoints": [{"token": "hidden"}]}, '{"mountPoints":[{"token":"…"}]}'),
        ("customContainerConfig", {"registryConfig": {"authConfig": {"password": "hidden"}}},
         '{"registryConfig":{"authConfig":"…"}}'),
        ("layers", [], ""),
    ],
)  # fmt: skip
def test_secrets_are_not_told(field: str, value: Any, told: str) -> None:
    assert differ.shown(field, value) == told


def test_shells_of_deploy_tools_are_known() -> None:
    assert differ.is_shell({"userId": 0, "mountPoints": [], "logBeginRule": "None", "on": False})
    assert not differ.is_shell({"userId": 1})
