"""Triggers in SQLite. They go with their function: the table refers to it."""

from __future__ import annotations

from collections.abc import Sequence

import apsw

from functory.model import errors
from functory.model.trigger import PER_FUNCTION, Trigger, TriggerKind
from functory.store import bindings, queries, rules
from functory.store.sqlite.readers import Readers
from functory.store.sqlite.writer import Writer

SQL = queries.load("triggers")


class SqliteTriggers:
    """`store.base.Triggers`."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def create(self, trigger: Trigger) -> None:
        """Adds it; `FunctionNotFound`, `TriggerAlreadyExists`, `LimitExceeded`."""
        row = _row(trigger)

        def insert(connection: apsw.Connection) -> None:
            if connection.execute(SQL["function_id"], row).fetchone() is None:
                raise errors.FunctionNotFound(trigger.function_name)
            if connection.execute(SQL["get"], row).fetchone() is not None:
                raise bindings.trigger_taken(trigger)
            _check_counts(connection, trigger, row, full_at=PER_FUNCTION)
            connection.execute(SQL["insert"], row)

        await self._writer.submit(insert)

    async def replace(self, trigger: Trigger) -> None:
        """Writes it over the revision before; `TriggerNotFound`, `ConcurrentUpdate`, `TriggerAlreadyExists`."""
        row = _row(trigger)

        def update(connection: apsw.Connection) -> None:
            _check_counts(connection, trigger, row, full_at=PER_FUNCTION + 1)
            connection.execute(SQL["replace"], row)
            if connection.changes():
                return
            if connection.execute(SQL["get"], row).fetchone() is None:
                raise bindings.trigger_missing(trigger.name)
            raise errors.ConcurrentUpdate(f"trigger '{trigger.name}' was changed by somebody else meanwhile")

        await self._writer.submit(update)

    async def delete(self, account_id: str, function_name: str, name: str, *, epoch: int = 0) -> Trigger:
        """Removes it and answers what it was; `TriggerNotFound`, `ConcurrentUpdate` if not at `epoch` (0 = any)."""
        key = _key(account_id, function_name, name)

        def delete(connection: apsw.Connection) -> Trigger:
            rules.check_epoch(_one(connection, "get", key).epoch, epoch, f"trigger '{name}'")
            return _one(connection, "delete", key)

        return await self._writer.submit(delete)

    async def get(self, account_id: str, function_name: str, name: str) -> Trigger:
        """The current revision; `TriggerNotFound`."""
        key = _key(account_id, function_name, name)
        return await self._readers.run(lambda connection: _one(connection, "get", key))

    async def list(
        self, account_id: str, function_name: str, *, prefix: str = "", after: str = "", limit: int = 100
    ) -> Sequence[Trigger]:
        """A page in order of name."""
        rules.check_page(account_id, after, limit)
        key = {"account_id": account_id, "function_name": function_name}
        values = {**key, "prefix": prefix, "after": after, "limit": limit}

        def read(connection: apsw.Connection) -> list[Trigger]:
            return [bindings.to_trigger(body) for (body,) in connection.execute(SQL["list"], values)]

        return await self._readers.run(read) if prefix.isascii() else []

    async def all(self) -> Sequence[tuple[Trigger, int]]:
        """All triggers of all accounts, each with the last due time that was fired."""

        def read(connection: apsw.Connection) -> list[tuple[Trigger, int]]:
            return [(bindings.to_trigger(body), fired_ms) for body, fired_ms in connection.execute(SQL["all"])]

        return await self._readers.run(read)

    async def claim(self, trigger: Trigger, due_ms: int) -> bool:
        """Whether this due time is the caller's to fire."""
        values = {"trigger_id": trigger.trigger_id, "epoch": trigger.epoch, "due_ms": due_ms}

        def claim(connection: apsw.Connection) -> bool:
            connection.execute(SQL["claim"], values)
            return connection.changes() == 1

        return await self._writer.submit(claim)


def _check_counts(connection: apsw.Connection, trigger: Trigger, row: dict[str, str | int], *, full_at: int) -> None:
    total, same = connection.execute(SQL["count"], row).get
    if total >= full_at:
        raise bindings.too_many(trigger)
    if trigger.kind is TriggerKind.HTTP and same:
        raise bindings.second_http(trigger)


def _row(trigger: Trigger) -> dict[str, str | int]:
    bindings.check_trigger(trigger)
    return {
        "account_id": trigger.account_id,
        "function_name": rules.known_name(trigger.function_name),
        "name": trigger.name,
        "trigger_id": trigger.trigger_id,
        "kind": str(trigger.kind),
        "qualifier": trigger.qualifier,
        "epoch": trigger.epoch,
        "fired_ms": trigger.modified_at_ms,
        "body": bindings.trigger_body(trigger).decode(),
    }


def _key(account_id: str, function_name: str, name: str) -> dict[str, str]:
    rules.check_text("accountId", account_id)
    return {"account_id": account_id, "function_name": rules.known_name(function_name), "name": _known(name)}


def _known(name: str) -> str:
    """The name, if a trigger can be called so."""
    if not name.isascii() or "\0" in name:
        raise bindings.trigger_missing(ascii(name))
    return name


def _one(connection: apsw.Connection, query: str, key: dict[str, str]) -> Trigger:
    row = connection.execute(SQL[query], key).fetchone()
    if row is None:
        raise bindings.trigger_missing(key["name"])
    return bindings.to_trigger(row[0])
