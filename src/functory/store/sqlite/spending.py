"""Usage added up, and what tracking policies wanted last, in SQLite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import apsw

from functory.model.spending import Line, Spent
from functory.store import queries, rules, spending
from functory.store.sqlite.readers import Readers
from functory.store.sqlite.writer import Writer

SQL = queries.load("spending")


class SqliteSpending:
    """`store.base.Spending`."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def add(self, rows: Sequence[Spent]) -> None:
        """Adds to what is there, all or nothing."""
        await self._writer.submit(lambda connection: add(connection, rows))

    async def sums(
        self, account_id: str, *, from_ms: int, until_ms: int, function: str = "", after: str = "", limit: int = 100
    ) -> Sequence[Spent]:
        """The lines of at most `limit` functions."""
        spending.check(account_id, function, limit)
        values: dict[str, str | int] = {
            "account_id": account_id,
            "from_ms": from_ms,
            "until_ms": until_ms,
            "function": function,
            "after": after,
            "rows": limit * spending.LINES,
        }

        def read(connection: apsw.Connection) -> list[Spent]:
            return [
                Spent(
                    account_id=account_id,
                    function_name=name,
                    line=Line(line),
                    calls=calls,
                    failed=failed,
                    billed_ms=billed_ms,
                    cpu_us=cpu_us,
                    instance_ms=instance_ms,
                    cost_nano_usd=cost,
                )
                for name, line, calls, failed, billed_ms, cpu_us, instance_ms, cost in connection.execute(
                    SQL["sums"], values
                )
            ]

        return spending.whole_functions(await self._readers.run(read), limit)

    async def drop_before(self, at_ms: int) -> None:
        """Drops hours that began before a moment."""
        await self._writer.submit(lambda connection: _drop(connection, at_ms))

    async def put_tracked(
        self, account_id: str, function: str, kind: str, qualifier: str, numbers: Mapping[str, int]
    ) -> None:
        """Keeps what policies want now."""
        rules.check_text("accountId", account_id)
        of = {"account_id": account_id, "name": function, "kind": kind, "qualifier": qualifier}
        rows = [{**of, "policy": policy, "number": number} for policy, number in numbers.items()]

        def put(connection: apsw.Connection) -> None:
            connection.executemany(SQL["put_tracked"], rows)

        await self._writer.submit(put)

    async def tracked(self) -> Mapping[tuple[str, str, str, str], Mapping[str, int]]:
        """What all policies wanted last."""

        def read(connection: apsw.Connection) -> dict[tuple[str, str, str, str], dict[str, int]]:
            found: dict[tuple[str, str, str, str], dict[str, int]] = {}
            for account_id, name, kind, qualifier, policy, number in connection.execute(SQL["all_tracked"]):
                found.setdefault((account_id, name, kind, qualifier), {})[policy] = number
            return found

        return await self._readers.run(read)


def add(connection: apsw.Connection, rows: Sequence[Spent]) -> None:
    """Adds to the rows, in the transaction that runs."""
    connection.executemany(
        SQL["add"],
        [
            (
                row.account_id,
                row.function_name,
                row.hour_ms,
                row.line.value,
                row.calls,
                row.failed,
                row.billed_ms,
                row.cpu_us,
                row.instance_ms,
                row.cost_nano_usd,
            )
            for row in rows
        ],
    )


def _drop(connection: apsw.Connection, at_ms: int) -> None:
    connection.execute(SQL["drop"], {"before_ms": at_ms})
