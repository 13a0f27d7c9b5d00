"""What a setting may be: its unit, its limits, and how a written value is read."""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path

import msgspec

KB, MB, GB = 1 << 10, 1 << 20, 1 << 30


class Unit(StrEnum):
    """What a setting counts in, as the table shows it."""

    TEXT = "text"
    PATH = "path"
    CHOICE = "choice"
    COUNT = "count"
    NUMBER = "number"
    BYTES = "bytes"  #: an integer, or with a suffix: 512KB, 32MB, 1GB (powers of 1024)
    SECONDS = "s"  #: a number, or with a suffix: 500ms, 75s, 5m, 1h, 1d
    MILLISECONDS = "ms"  #: the same, but a bare number counts milliseconds


_SUFFIXES: dict[Unit, dict[str, float]] = {
    Unit.BYTES: {"": 1, "b": 1, "kb": KB, "kib": KB, "mb": MB, "mib": MB, "gb": GB, "gib": GB},
    Unit.SECONDS: {"": 1, "ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400},
    Unit.MILLISECONDS: {"": 1, "ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000},
}
_SIZES = ((GB, "GB"), (MB, "MB"), (KB, "KB"))
_KINDS = {
    Unit.TEXT: "text",
    Unit.PATH: "a path",
    Unit.COUNT: "a whole number",
    Unit.NUMBER: "a number",
    Unit.BYTES: "a size like 32MB",
    Unit.SECONDS: "a duration like 75s or 5m",
    Unit.MILLISECONDS: "a duration like 100ms or 2s",
}
_AMOUNT = re.compile(r"([0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)\s*([A-Za-z]*)")


def show(unit: Unit, value: float) -> str:
    """The number with its unit, as it could be written in a setting."""
    if unit is Unit.BYTES:
        size, suffix = next((pair for pair in _SIZES if value >= pair[0] and value % pair[0] == 0), (1, "B"))
        return f"{value / size:.15g}{suffix}"
    if unit in (Unit.SECONDS, Unit.MILLISECONDS):
        return f"{value:.15g}{unit}"
    return f"{value:.15g}" if value >= 0.001 or value == 0 else f"{value:.6f}"


class Rule(msgspec.Struct, frozen=True):
    """What a setting means and what it may be."""

    unit: Unit
    help: str
    low: float = 0
    high: float = 0
    choices: tuple[str, ...] = ()
    pattern: str = ""
    """A regular expression that the whole text must match."""
    words: str = ""
    """What the pattern says, in words."""
    check: Callable[[str], object] | None = None
    """Raises ValueError for a text that has the right form and is no value all the same."""

    def describe(self) -> str:
        """The rule in words."""
        if self.choices:
            return "one of " + ", ".join(self.choices)
        kind = _KINDS[self.unit]
        if self.unit in (Unit.TEXT, Unit.PATH):
            return self.words or kind
        return f"{kind}, {show(self.unit, self.low)} to {show(self.unit, self.high)}"

    def parse(self, raw: object) -> str | int | float | Path:
        """The value that `raw` stands for; ValueError if the rule forbids it."""
        if self.unit in (Unit.TEXT, Unit.CHOICE, Unit.PATH):
            return self._parse_text(raw)
        amount = self._parse_amount(raw)
        if not self.low <= amount <= self.high:
            raise ValueError
        if self.unit in (Unit.SECONDS, Unit.NUMBER):
            return amount
        if amount != int(amount):
            raise ValueError
        return int(amount)

    def _parse_text(self, raw: object) -> str | Path:
        if self.unit is Unit.PATH and isinstance(raw, Path):
            return raw
        allowed = isinstance(raw, str) and "\0" not in raw and re.fullmatch(self.pattern or r"(?s:.)*", raw)
        if not isinstance(raw, str) or not allowed or (self.choices and raw not in self.choices):
            raise ValueError
        if self.check is not None:
            self.check(raw)
        if self.unit is Unit.PATH:
            if not raw:
                raise ValueError
            return Path(raw)
        return raw

    def _parse_amount(self, raw: object) -> float:
        if isinstance(raw, bool) or not isinstance(raw, int | float | str):
            raise ValueError
        if not isinstance(raw, str):
            return raw
        found = _AMOUNT.fullmatch(raw.strip())
        suffixes = _SUFFIXES.get(self.unit, {"": 1})
        if found is None or found[2].lower() not in suffixes:
            raise ValueError
        return float(found[1]) * suffixes[found[2].lower()]


def text(help: str, pattern: str = "", words: str = "") -> Rule:
    return Rule(Unit.TEXT, help, pattern=pattern, words=words)


def entries(help: str, check: Callable[[str], object], words: str) -> Rule:
    return Rule(Unit.TEXT, help, check=check, words=words)


def program(help: str) -> Rule:
    return Rule(Unit.TEXT, help, words="a path")


def choice(help: str, *choices: str) -> Rule:
    return Rule(Unit.CHOICE, help, choices=choices)


def count(low: int, high: int, help: str) -> Rule:
    return Rule(Unit.COUNT, help, low, high)


def size(low: int, high: int, help: str) -> Rule:
    return Rule(Unit.BYTES, help, low, high)


def duration(low: float, high: float, help: str) -> Rule:
    return Rule(Unit.SECONDS, help, low, high)


def price(help: str) -> Rule:
    return Rule(Unit.NUMBER, help, 0, 1_000_000)
