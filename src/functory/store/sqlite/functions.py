"""Functions in SQLite: the key in columns, the rest as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import apsw

from functory.model import errors
from functory.model.function import Function
from functory.store import bodies, queries, rules
from functory.store.sealing import Sealing
from functory.store.sqlite.readers import Readers
from functory.store.sqlite.writer import Writer

SQL = queries.load("functions")


class SqliteFunctions:
    """`store.base.Functions`."""

    def __init__(self, writer: Writer, readers: Readers, sealing: Sealing) -> None:
        self._writer = writer
        self._readers = readers
        self._sealing = sealing

    def seal_old(self, connection: apsw.Connection) -> None:
        """Seals what an earlier Functory stored in the clear."""
        for account_id, name, body in connection.execute(SQL["in_clear"]).fetchall():
            sealed = self._sealing.seal(str(body).encode()).decode()
            connection.execute(SQL["reseal"], {"account_id": account_id, "name": name, "body": sealed})

    async def create(self, function: Function) -> None:
        """Adds it; `FunctionAlreadyExists`."""
        row = self._row(function)

        def insert(connection: apsw.Connection) -> None:
            connection.execute(SQL["insert"], row)
            if not connection.changes():
                raise errors.FunctionAlreadyExists(function.name)

        await self._writer.submit(insert)

    async def replace(self, function: Function) -> None:
        """Writes it over the revision before; `FunctionNotFound`, `ConcurrentUpdate`."""
        row = self._row(function)

        def update(connection: apsw.Connection) -> None:
            connection.execute(SQL["replace"], row)
            if connection.changes():
                return
            if connection.execute(SQL["get"], row).fetchone() is None:
                raise errors.FunctionNotFound(function.name)
            raise errors.ConcurrentUpdate(f"function '{function.name}' was changed by somebody else meanwhile")

        await self._writer.submit(update)

    async def delete(self, account_id: str, name: str, *, epoch: int = 0) -> Function:
        """Removes it and answers what it was; `FunctionNotFound`, `ConcurrentUpdate` if not at `epoch` (0 = any)."""
        key = _key(account_id, name)

        def delete(connection: apsw.Connection) -> Function:
            rules.check_epoch(self._one(connection, "get", key).epoch, epoch, f"function '{name}'")
            return self._one(connection, "delete", key)

        return await self._writer.submit(delete)

    async def get(self, account_id: str, name: str) -> Function:
        """The current revision; `FunctionNotFound`."""
        key = _key(account_id, name)
        return await self._readers.run(lambda connection: self._one(connection, "get", key))

    async def list(self, account_id: str, *, prefix: str = "", after: str = "", limit: int = 100) -> Sequence[Function]:
        """A page in order of name."""
        rules.check_page(account_id, after, limit)
        values: dict[str, str | int] = {"account_id": account_id, "prefix": prefix, "after": after, "limit": limit}
        if not rules.can_start_a_name(prefix):
            values.update(prefix="", limit=0)  # no name can match; still asks, as a stopped store must refuse
        return await self._readers.run(lambda connection: self._many(connection, "list", values))

    async def all(self) -> Sequence[Function]:
        """All functions of all accounts."""
        return await self._readers.run(lambda connection: self._many(connection, "all", {}))

    def _row(self, function: Function) -> dict[str, str | int]:
        rules.check_function(function)
        return {
            "account_id": function.account_id,
            "name": function.name,
            "function_id": function.function_id,
            "epoch": function.epoch,
            "body": self._sealing.seal(bodies.of_function(function)).decode(),
        }

    def _one(self, connection: apsw.Connection, query: str, key: dict[str, str]) -> Function:
        row = connection.execute(SQL[query], key).fetchone()
        if row is None:
            raise errors.FunctionNotFound(key["name"])
        return self._read(row[0])

    def _many(self, connection: apsw.Connection, query: str, values: Mapping[str, str | int]) -> Sequence[Function]:
        return [self._read(body) for (body,) in connection.execute(SQL[query], values)]

    def _read(self, body: str) -> Function:
        return bodies.to_function(self._sealing.open(body.encode()))


def _key(account_id: str, name: str) -> dict[str, str]:
    return {"account_id": rules.check_text("accountId", account_id), "name": rules.known_name(name)}
