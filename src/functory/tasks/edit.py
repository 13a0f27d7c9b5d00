"""What is changed of a payload when it is sent again: pure.

A single one is usually replaced. Many at once seldom want the same payload, but often the same correction: a **merge**
changes some members of each JSON object and leaves the others, by the rules of RFC 7396 (null removes a member).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any

import msgspec

from functory.model import errors
from functory.model.task import MAX_TASK_ID

MAX_DEPTH = 64
_SUCCESSOR = re.compile(r"(?P<first>.*)-again(?:-(?P<number>[1-9][0-9]{0,8}))?", re.DOTALL)
_ID_START = re.compile(r"[A-Za-z_]")


class Edit(msgspec.Struct, frozen=True, kw_only=True):
    """At most one of the two; neither = as it was."""

    payload: bytes | None = None
    """Instead of what there was."""
    merge: Mapping[str, Any] | None = None
    """Into the JSON object that there was."""

    def __post_init__(self) -> None:
        if self.payload is not None and self.merge is not None:
            raise errors.InvalidArgument("payload and merge cannot be given together: one replaces all")

    @property
    def changes(self) -> bool:
        """Whether anything is changed."""
        return self.payload is not None or self.merge is not None

    def apply(self, old: bytes) -> bytes:
        """The new payload; `InvalidArgument` if there is nothing to merge into."""
        if self.payload is not None:
            return self.payload
        if self.merge is None:
            return old
        try:
            found = msgspec.json.decode(old)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            found = None
        if not isinstance(found, dict):
            raise errors.InvalidArgument("its payload is not a JSON object: there is nothing to merge into")
        return msgspec.json.encode(_merged(found, self.merge, MAX_DEPTH))


NO_EDIT = Edit()


def successor(key: str) -> str:
    """The one key under which the end of `key` is run or sent again: `x-again`, `x-again-2`, …

    It follows from the key alone, so whoever repeats a call that got no answer starts nothing twice.
    """
    found = _SUCCESSOR.fullmatch(key)
    first, number = (found["first"], int(found["number"] or 1) + 1) if found else (key, 1)
    suffix = "-again" if number == 1 else f"-again-{number}"
    if not _ID_START.match(first):
        first = f"_{first}"
    if len(first) + len(suffix) > MAX_TASK_ID:
        first = f"{first[:80]}-{hashlib.sha256(first.encode()).hexdigest()[:16]}"
    return first + suffix


def _merged(old: object, patch: object, depth: int) -> object:
    if not isinstance(patch, Mapping):
        return patch
    if not depth:
        raise errors.InvalidArgument(f"merge is nested deeper than {MAX_DEPTH} levels")
    merged = dict(old) if isinstance(old, dict) else {}
    for name, value in patch.items():
        if value is None:
            merged.pop(name, None)
        else:
            merged[name] = _merged(merged.get(name), value, depth - 1)
    return merged
