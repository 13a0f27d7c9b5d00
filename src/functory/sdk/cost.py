"""What was spent."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from functory.sdk import answers
from functory.sdk.requests import PREFIX
from functory.sdk.transport import Transport


class CostLine(answers.Answer, frozen=True, kw_only=True):
    """What one function has cost on one line of the statement."""

    function_name: str
    line: str
    """`onDemand`, `provisioned` (calls on instances that are kept ready) or `standing` (their time)."""
    calls: int = 0
    failed: int = 0
    billed_ms: int = 0
    cpu_ms: int = 0
    instance_ms: int = 0
    """Of `standing`: milliseconds times instances."""
    cost_nano_usd: int = 0


class CostPage(answers.Answer, frozen=True, kw_only=True):
    """The lines of some functions."""

    from_ms: int
    until_ms: int
    lines: list[CostLine] = msgspec.field(default_factory=list)
    cost_nano_usd: int = 0
    """Of these lines."""
    next_after: str = ""


class Cost:
    """`client.cost`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def page(
        self,
        *,
        function: str = "",
        from_ms: int | None = None,
        until_ms: int | None = None,
        after: str = "",
        limit: int = 100,
    ) -> CostPage:
        """The lines of at most `limit` (1-1000) functions with a name after `after`; by default of the last 30 days."""
        query = {
            "function": function or None,
            "fromMs": from_ms,
            "untilMs": until_ms,
            "after": after or None,
            "limit": limit,
        }
        return self._transport.json(CostPage, "GetCost", "GET", f"{PREFIX}/cost", query=query)

    def lines(
        self, *, function: str = "", from_ms: int | None = None, until_ms: int | None = None, page_size: int = 100
    ) -> Iterator[CostLine]:
        """All lines, in order of function, fetched page by page."""
        after = ""
        while True:
            page = self.page(function=function, from_ms=from_ms, until_ms=until_ms, after=after, limit=page_size)
            yield from page.lines
            after = page.next_after
            if not after:
                return
