"""What was spent: the statement, by function and line."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from functory.control import call as calls
from functory.control.call import Call
from functory.control.parts import ControlParts
from functory.model import errors, ids
from functory.model.account import Scope
from functory.model.spending import HOUR_MS, Spent, hour_of

PATH = "/functory/v1/cost"
MAX_LIMIT = 1000
DEFAULT_MS = 30 * 24 * HOUR_MS
_LATEST_MS = 1 << 52


class Query(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which hours, whose."""

    function: str = ""
    from_ms: int | None = None
    until_ms: int | None = None
    after: str = ""
    limit: int = 100


def routes(parts: ControlParts) -> list[Route]:
    """The route of this room."""

    async def cost(call: Call) -> Response:
        query = calls.typed_query(call.query, Query, strict=True)
        for name in (query.function, query.after):
            if name:
                ids.check_function_name(name)
        if not 1 <= query.limit <= MAX_LIMIT:
            raise errors.InvalidArgument(f"limit {query.limit} is not valid: 1 to {MAX_LIMIT}")
        from_ms, until_ms = _hours(query, parts.clock.now_ms())
        rows = await parts.store.spending.sums(
            call.account_id,
            from_ms=from_ms,
            until_ms=until_ms,
            function=query.function,
            after=query.after,
            limit=query.limit,
        )
        names = dict.fromkeys(row.function_name for row in rows)
        return calls.answer(
            {
                "fromMs": from_ms,
                "untilMs": until_ms,
                "lines": [_line(row) for row in rows],
                "costNanoUsd": _sum(rows),
                "nextAfter": list(names)[-1] if len(names) == query.limit else "",
            }
        )

    return [calls.route("GET", PATH, Scope.READ, cost, query=Query)]


def _hours(query: Query, now_ms: int) -> tuple[int, int]:
    """Whole hours: from the begin of the one that holds `fromMs` to the end of the one before `untilMs`."""
    until_ms = now_ms if query.until_ms is None else query.until_ms
    from_ms = until_ms - DEFAULT_MS if query.from_ms is None else query.from_ms
    for name, at_ms in (("fromMs", from_ms), ("untilMs", until_ms)):
        if not -_LATEST_MS <= at_ms <= _LATEST_MS:
            raise errors.InvalidArgument(f"{name} {at_ms} is not a time in milliseconds since 1970")
    if from_ms >= until_ms:
        raise errors.InvalidArgument(f"untilMs {until_ms} is not after fromMs {from_ms}")
    return hour_of(from_ms), hour_of(until_ms + HOUR_MS - 1)


def _sum(rows: Iterable[Spent]) -> int:
    return sum(row.cost_nano_usd for row in rows)


def _line(row: Spent) -> dict[str, Any]:
    return {
        "functionName": row.function_name,
        "line": row.line.value,
        "calls": row.calls,
        "failed": row.failed,
        "billedMs": row.billed_ms,
        "cpuMs": row.cpu_us // 1000,
        "instanceMs": row.instance_ms,
        "costNanoUsd": row.cost_nano_usd,
    }
