"""What was spent."""

from __future__ import annotations

from collections.abc import Iterator

from functory.sdk import answers
from functory.sdk.requests import PREFIX
from functory.sdk.transport import Transport


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
    ) -> answers.CostPage:
        """The lines of at most `limit` (1-1000) functions with a name after `after`; by default of the last 30 days."""
        query = {
            "function": function or None,
            "fromMs": from_ms,
            "untilMs": until_ms,
            "after": after or None,
            "limit": limit,
        }
        return self._transport.json(answers.CostPage, "GetCost", "GET", f"{PREFIX}/cost", query=query)

    def lines(
        self, *, function: str = "", from_ms: int | None = None, until_ms: int | None = None, page_size: int = 100
    ) -> Iterator[answers.CostLine]:
        """All lines, in order of function, fetched page by page."""
        after = ""
        while True:
            page = self.page(function=function, from_ms=from_ms, until_ms=until_ms, after=after, limit=page_size)
            yield from page.lines
            after = page.next_after
            if not after:
                return
