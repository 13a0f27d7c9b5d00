"""Usage added up: what records come to, and how rows are summed and paged. Pure functions.

Adding up is done where records are stored, in the same transaction: what is in the sums is exactly what is in the
records, whatever fails in between. Sums are kept longer than records, and reading a month is reading some rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from functory.model.record import Record
from functory.model.spending import Line, Spent, hour_of
from functory.model.usage import Mode
from functory.store import rules

LINES = len(Line)


class Key(NamedTuple):
    """What rows are added up by."""

    account_id: str
    function_name: str
    hour_ms: int
    line: Line


def of_records(records: Sequence[Record]) -> list[Spent]:
    """What a batch of records comes to."""
    sums: dict[tuple[str, str, int, Mode], list[int]] = {}
    for record in records:
        of = (record.account_id, record.function_name, hour_of(record.started_at_ms), record.mode)
        found = sums.get(of)
        if found is None:
            found = sums[of] = [0, 0, 0, 0, 0]
        found[0] += 1
        found[1] += record.status in rules.FAILED
        found[2] += record.billed_ms
        found[3] += record.cpu_us
        found[4] += record.cost_nano_usd
    return merged(
        Spent(
            account_id=account_id,
            function_name=name,
            hour_ms=hour_ms,
            line=Line.ON_DEMAND if mode is Mode.ON_DEMAND else Line.PROVISIONED,
            calls=calls,
            failed=failed,
            billed_ms=billed_ms,
            cpu_us=cpu_us,
            cost_nano_usd=cost,
        )
        for (account_id, name, hour_ms, mode), (calls, failed, billed_ms, cpu_us, cost) in sums.items()
    )


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
