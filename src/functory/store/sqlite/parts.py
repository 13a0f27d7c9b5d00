"""Rows of functions and accounts in SQLite: `store.parts.Rows` and `Runs`."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import apsw

from functory.store import parts, queries
from functory.store.sealing import Sealing
from functory.store.sqlite.readers import Readers
from functory.store.sqlite.writer import Writer

T = TypeVar("T")

_SQL = queries.load("parts")
_OF_FUNCTIONS = {name: sql.replace("{table}", "function_parts") for name, sql in _SQL.items()}
_OF_ACCOUNTS = {name: sql.replace("{table}", "account_parts") for name, sql in _SQL.items()}


class SqliteRows:
    """The tables inside one transaction of a connection."""

    def __init__(self, connection: apsw.Connection, sealing: Sealing) -> None:
        self._connection = connection
        self._sealing = sealing

    def function(self, account_id: str, name: str) -> bytes | None:
        body = self._one(_SQL["function"], (account_id, name))
        return None if body is None else self._sealing.open(body)

    def next_version(self, account_id: str, name: str) -> int:
        number: int = self._connection.execute(_SQL["next_version"], (account_id, name)).get
        return number

    def get(self, kind: str, account_id: str, function: str, key: str) -> bytes | None:
        body = self._one(_sql(kind, "get"), (kind, account_id, function, key))
        return None if body is None else self._opened(kind, body)

    def put(self, kind: str, account_id: str, function: str, key: str, body: bytes) -> None:
        if kind == parts.VERSION:
            body = self._sealing.seal_version(body)
        self._connection.execute(_sql(kind, "put"), (kind, account_id, function, key, body.decode()))

    def delete(self, kind: str, account_id: str, function: str, key: str) -> None:
        self._connection.execute(_sql(kind, "delete"), (kind, account_id, function, key))

    def page(
        self, kind: str, account_id: str, function: str, after: tuple[str, str], limit: int, *, backwards: bool = False
    ) -> Iterable[bytes]:
        query = "page" if not function else "page_of_backwards" if backwards else "page_of"
        values: dict[str, str | int] = {"kind": kind, "account_id": account_id, "limit": limit}
        values.update(after_name=after[0], after_key=after[1])
        if function:
            values["name"] = function
        return [self._opened(kind, body.encode()) for (body,) in self._connection.execute(_sql(kind, query), values)]

    def count(self, kind: str, account_id: str, function: str) -> int:
        number: int = self._connection.execute(_sql(kind, "count"), (kind, account_id, function)).get
        return number

    def every(self, kind: str) -> Iterable[bytes]:
        return [self._opened(kind, body.encode()) for (body,) in self._connection.execute(_sql(kind, "every"), (kind,))]

    def seal_old(self) -> None:
        """Seals what versions hold that an earlier Functory stored in the clear."""
        for account_id, name, key, body in self._connection.execute(_SQL["versions_in_clear"]).fetchall():
            self.put(parts.VERSION, str(account_id), str(name), str(key), str(body).encode())

    def _opened(self, kind: str, body: bytes) -> bytes:
        return self._sealing.open_version(body) if kind == parts.VERSION else body

    def _one(self, sql: str, values: tuple[str, ...]) -> bytes | None:
        row = self._connection.execute(sql, values).fetchone()
        return None if row is None else str(row[0]).encode()


class SqliteRuns:
    """Changes on the writer's thread, looks on a reader's."""

    def __init__(self, writer: Writer, readers: Readers, sealing: Sealing) -> None:
        self._writer = writer
        self._readers = readers
        self._sealing = sealing

    async def change(self, work: Callable[[parts.Rows], T]) -> T:
        return await self._writer.submit(lambda connection: work(SqliteRows(connection, self._sealing)))

    async def look(self, work: Callable[[parts.Rows], T]) -> T:
        return await self._readers.run(lambda connection: work(SqliteRows(connection, self._sealing)))


def _sql(kind: str, query: str) -> str:
    return (_OF_ACCOUNTS if kind in parts.FREE else _OF_FUNCTIONS)[query]
