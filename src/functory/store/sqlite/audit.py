"""Audit events in SQLite."""

from __future__ import annotations

from collections.abc import Sequence

import apsw

from functory.model.audit import AuditEvent
from functory.store import audit, parts, queries, rules
from functory.store.sqlite.readers import Readers
from functory.store.sqlite.writer import Writer

SQL = queries.load("audit")
TRIM_EVERY = 500
"""Looking for what is too much costs a walk over the index: once in so many events."""


class SqliteAudit:
    """`store.base.Audit`."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers
        self._since_trim = TRIM_EVERY

    async def append(self, events: Sequence[AuditEvent]) -> None:
        """Adds a batch; what is too much goes."""
        rows = [(event.account_id, int(event.changes), parts.encode(event).decode()) for event in events]
        self._since_trim += len(rows)
        trim = self._since_trim >= TRIM_EVERY
        if trim:
            self._since_trim = 0

        def add(connection: apsw.Connection) -> None:
            connection.executemany(SQL["add"], rows)
            if trim:
                for changes, keep in ((0, audit.KEEP_LOOKS), (1, audit.KEEP_CHANGES)):
                    connection.execute(SQL["trim"], {"changes": changes, "keep": keep})

        await self._writer.submit(add)

    async def list(
        self, account_id: str, *, before: int = 0, changes_only: bool = False, limit: int = 100
    ) -> Sequence[tuple[int, AuditEvent]]:
        """Newest first."""
        rules.check_text("accountId", account_id)
        rules.check_limit(limit)
        values: dict[str, str | int] = {
            "account_id": account_id,
            "before": before or rules.END,
            "changes_only": int(changes_only),
            "limit": limit,
        }

        def read(connection: apsw.Connection) -> list[tuple[int, AuditEvent]]:
            return [(row, audit.read(body.encode())) for row, body in connection.execute(SQL["list"], values)]

        return await self._readers.run(read)
