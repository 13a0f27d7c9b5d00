"""Usage added up: what records come to, and how rows are summed and paged. Pure functions.

Adding up is done where records are stored, in the same transaction: what is in the sums is exactly what is in the
records, whatever fails in between. Sums are kept longer than records, and reading a month is reading some rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from functory.model.invocation import Status
from functory.model.record import Record
from functory.model.spending import HOUR_MS, Line, Spent, hour_of
from functory.model.usage import Mode
from functory.store import rules

LINES = len(Line)


class Key(NamedTuple):
    """What rows are added up by."""

    account_id: str
    function_name: str
    hour_ms: int
    line: Line


class _Sum:
    """What some records come to. `fits`: whether one more belongs to it, without making a key of it."""

    __slots__ = ("account_id", "billed_ms", "calls", "cost", "cpu_us", "failed", "function_name", "hour_ms", "mode")

    def __init__(self, record: Record) -> None:
        self.account_id = record.account_id
        self.function_name = record.function_name
        self.hour_ms = hour_of(record.started_at_ms)
        self.mode = record.mode
        self.calls = self.failed = self.billed_ms = self.cpu_us = self.cost = 0

    def fits(self, record: Record) -> bool:
        return (
            record.function_name == self.function_name
            and record.mode is self.mode
            and 0 <= record.started_at_ms - self.hour_ms < HOUR_MS
            and record.account_id == self.account_id
        )

    def row(self) -> Spent:
        return Spent(
            account_id=self.account_id,
            function_name=self.function_name,
            hour_ms=self.hour_ms,
            line=Line.ON_DEMAND if self.mode is Mode.ON_DEMAND else Line.PROVISIONED,
            calls=self.calls,
            failed=self.failed,
            billed_ms=self.billed_ms,
            cpu_us=self.cpu_us,
            cost_nano_usd=self.cost,
        )


def of_records(records: Sequence[Record]) -> list[Spent]:
    """What a batch of records comes to. Most records fit to the one before: this is paid for by every call."""
    sums: dict[tuple[str, str, int, int], _Sum] = {}
    current: _Sum | None = None
    for record in records:
        if current is None or not current.fits(record):
            key = (record.account_id, record.function_name, hour_of(record.started_at_ms), record.mode.value)
            current = sums.setdefault(key, _Sum(record))
        current.calls += 1
        current.billed_ms += record.billed_ms
        current.cpu_us += record.cpu_us
        current.cost += record.cost_nano_usd
        if record.status is not Status.OK and record.status in rules.FAILED:
            current.failed += 1
    return merged(one.row() for one in sums.values())


def merged(rows: Iterable[Spent]) -> list[Spent]:
    """One row for each key."""
    found: dict[Key, Spent] = {}
    for row in rows:
        key = Key(row.account_id, row.function_name, row.hour_ms, row.line)
        found[key] = _plus(found[key], row) if key in found else row
    return list(found.values())


def _plus(one: Spent, other: Spent) -> Spent:
    return Spent(
        account_id=one.account_id,
        function_name=one.function_name,
        hour_ms=one.hour_ms,
        line=one.line,
        calls=one.calls + other.calls,
        failed=one.failed + other.failed,
        billed_ms=one.billed_ms + other.billed_ms,
        cpu_us=one.cpu_us + other.cpu_us,
        instance_ms=one.instance_ms + other.instance_ms,
        cost_nano_usd=one.cost_nano_usd + other.cost_nano_usd,
    )


def whole_functions(rows: Sequence[Spent], limit: int) -> list[Spent]:
    """The rows of the first `limit` functions; `rows` is in order of function, and holds those whole."""
    names = list(dict.fromkeys(row.function_name for row in rows))[:limit]
    kept = set(names)
    return [row for row in rows if row.function_name in kept]


def check(account_id: str, function: str, limit: int) -> None:
    """`InvalidArgument` for what no statement can be asked of."""
    rules.check_text("accountId", account_id)
    rules.check_limit(limit)
    if function:
        rules.known_name(function)
