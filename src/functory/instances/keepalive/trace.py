"""Traces: the calls of many functions, read from CSV.

    function,timestamp,duration,memory[,cold ms]

One call a line, in any order: the function's name, seconds since any moment, milliseconds that the call takes,
megabytes that an instance holds, milliseconds that its start takes. A first line of these names is allowed.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable

import msgspec

from functory.model import errors

COLUMNS = ("function", "timestamp", "duration", "memory", "cold ms")
NAMES_MAX = 256
CALLS_MAX = 5_000_000
DEFAULT_COLD_MS = 8.0
_LIMITS = {"timestamp": 1e11, "duration": 86_400_000.0, "memory": 1e6, "cold ms": 3_600_000.0}


class Call(msgspec.Struct, frozen=True, gc=False):
    """One call of the trace."""

    function: str
    at_s: float
    duration_s: float
    memory_mb: float
    cold_ms: float


def read(lines: Iterable[str]) -> list[Call]:
    """The calls in order of time; `InvalidArgument` names the line that is wrong, and how."""
    calls: list[Call] = []
    for number, row in enumerate(csv.reader(lines, skipinitialspace=True), 1):
        if not row or not "".join(row).strip() or (number == 1 and row[0].strip().lower() == COLUMNS[0]):
            continue
        if len(calls) >= CALLS_MAX:
            raise errors.InvalidArgument(f"line {number}: more than {CALLS_MAX} calls")
        calls.append(_call(number, [field.strip() for field in row]))
    if not calls:
        raise errors.InvalidArgument("the trace has no calls: one line each of " + ",".join(COLUMNS[:4]) + "[,cold ms]")
    return sorted(calls, key=lambda call: call.at_s)


def _call(line: int, row: list[str]) -> Call:
    if not 4 <= len(row) <= len(COLUMNS):
        raise errors.InvalidArgument(
            f"line {line}: {len(row)} fields instead of 4 or 5 ({','.join(COLUMNS[:4])}[,{COLUMNS[4]}])"
        )
    if not row[0] or len(row[0]) > NAMES_MAX:
        raise errors.InvalidArgument(f"line {line}: the name has {len(row[0])} letters, not 1 to {NAMES_MAX}")
    numbers = [_number(line, name, text) for name, text in zip(COLUMNS[1:], row[1:], strict=False)]
    at_s, duration_ms, memory_mb, *cold = numbers
    return Call(row[0], at_s, duration_ms / 1000, memory_mb, cold[0] if cold else DEFAULT_COLD_MS)


def _number(line: int, name: str, text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        raise errors.InvalidArgument(f"line {line}: {name} {text[:40]!r} is not a number") from None
    if not math.isfinite(found) or not 0 <= found <= _LIMITS[name]:
        raise errors.InvalidArgument(f"line {line}: {name} {text[:40]} is not between 0 and {_LIMITS[name]:g}")
    return found
