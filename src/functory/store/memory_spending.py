"""Usage added up, and what tracking policies wanted last, in memory."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from msgspec import structs

from functory.model.spending import Spent
from functory.store import rules, spending


class MemorySpending:
    """`store.base.Spending`."""

    def __init__(self, check: Callable[[], None], has: Callable[[str, str], bool]) -> None:
        """`check` raises when the store is closed; `has`: whether there is such a function."""
        self._check = check
        self._has = has
        self._rows: list[Spent] = []
        self._tracked: dict[tuple[str, str, str, str], dict[str, int]] = {}

    async def add(self, rows: Sequence[Spent]) -> None:
        """Adds to what is there."""
        self._check()
        self.take(rows)

    def take(self, rows: Sequence[Spent]) -> None:
        """The same, for those who have checked."""
        self._rows = spending.merged([*self._rows, *rows])

    async def sums(
        self, account_id: str, *, from_ms: int, until_ms: int, function: str = "", after: str = "", limit: int = 100
    ) -> Sequence[Spent]:
        """The lines of at most `limit` functions."""
        spending.check(account_id, function, limit)
        self._check()
        found = spending.merged(
            structs.replace(row, hour_ms=0)
            for row in self._rows
            if row.account_id == account_id
            and from_ms <= row.hour_ms < until_ms
            and row.function_name > after
            and function in ("", row.function_name)
        )
        return spending.whole_functions(sorted(found, key=lambda row: (row.function_name, row.line.value)), limit)

    async def drop_before(self, at_ms: int) -> None:
        """Drops hours that began before a moment."""
        self._check()
        self._rows = [row for row in self._rows if row.hour_ms >= at_ms]

    async def put_tracked(
        self, account_id: str, function: str, kind: str, qualifier: str, numbers: Mapping[str, int]
    ) -> None:
        """Keeps what policies want now."""
        rules.check_text("accountId", account_id)
        self._check()
        if self._has(account_id, function):
            self._tracked.setdefault((account_id, function, kind, qualifier), {}).update(numbers)

    async def tracked(self) -> Mapping[tuple[str, str, str, str], Mapping[str, int]]:
        """What all policies wanted last."""
        self._check()
        return {key: dict(numbers) for key, numbers in self._tracked.items()}

    def function_gone(self, account_id: str, name: str) -> None:
        """What its policies wanted goes with it; what it has spent stays."""
        self._tracked = {key: numbers for key, numbers in self._tracked.items() if key[:2] != (account_id, name)}
