"""What differs between what is and what shall be. Pure.

Values that say nothing (missing, empty, and mappings of such) are the same: deploy files and the API leave out, or
spell out, what is not set, as they please.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

_SHOWN = 60
_SECRET = re.compile(
    r"password|secret|token|authinfo|authconfig$|privatekey|certificate|certconfig|envs$", re.IGNORECASE
)
"""Names of fields that hold what only its owner may know, or too much of it to read."""


class Difference(msgspec.Struct, frozen=True, kw_only=True):
    """One field that changes. None = it is not set."""

    field: str
    before: Any = None
    after: Any = None

    def __str__(self) -> str:
        before, after = shown(self.field, self.before), shown(self.field, self.after)
        return f"{self.field}: {before} → {after}" if before else f"{self.field}: {after}"


def says_nothing(value: object) -> bool:
    """None, an empty text, list or mapping, and lists and mappings of nothing else."""
    if isinstance(value, dict):
        return all(says_nothing(one) for one in value.values())
    if isinstance(value, list | tuple):
        return all(says_nothing(one) for one in value)
    return value is None or value == ""


def is_shell(value: object) -> bool:
    """Nothing but emptiness, zero, false and the word `None`, as deploy tools send what their user did not say."""
    if isinstance(value, dict):
        return all(is_shell(one) for one in value.values())
    if isinstance(value, list):
        return all(is_shell(one) for one in value)
    return value in (None, "", "None", 0, False)


def same(one: object, other: object) -> bool:
    """Whether both say the same."""
    if says_nothing(one) or says_nothing(other):
        return says_nothing(one) and says_nothing(other)
    if isinstance(one, dict) and isinstance(other, dict):
        return all(same(one.get(key), other.get(key)) for key in one.keys() | other.keys())
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(same(a, b) for a, b in zip(one, other, strict=True))
    return one == other and isinstance(one, bool) == isinstance(other, bool)


def between(before: dict[str, Any] | None, after: dict[str, Any]) -> tuple[Difference, ...]:
    """The fields of `after` that are not so in `before`."""
    there = before or {}
    return tuple(
        Difference(field=key, before=there.get(key), after=value)
        for key, value in after.items()
        if not same(there.get(key), value)
    )


def shown(field: str, value: object) -> str:
    """A value in a line; empty for nothing. Of environments only the names are told, of secrets nothing."""
    if says_nothing(value):
        return ""
    if "environment" in field.lower() and isinstance(value, dict):
        return ", ".join(sorted(value))
    told = _without_secrets(field, value)
    text = told if isinstance(told, str) else msgspec.json.encode(told).decode()
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 1]}…"


def _without_secrets(field: str, value: object) -> object:
    if _SECRET.search(field):
        return "…"
    if isinstance(value, dict):
        return {key: _without_secrets(str(key), one) for key, one in value.items()}
    return [_without_secrets("", one) for one in value] if isinstance(value, list) else value
