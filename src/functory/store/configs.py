"""Configurations of a function and qualifier: asynchronous calls, concurrency, provisioned instances, scaling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

from msgspec import structs

from functory.model import errors, ids
from functory.store import parts, rules
from functory.store.parts import Rows, Runs


class Config(Protocol):
    """What every configuration has."""

    @property
    def account_id(self) -> str: ...
    @property
    def function_name(self) -> str: ...
    @property
    def qualifier(self) -> str: ...
    @property
    def created_at_ms(self) -> int: ...
    @property
    def modified_at_ms(self) -> int: ...


C = TypeVar("C", bound=Config)


class Configs(Generic[C]):
    """`store.base.Configs` over any back end's rows: one kind of configuration."""

    def __init__(self, runs: Runs, kind: str, into: type[C], missing: type[errors.NotFound]) -> None:
        """`missing`: what is raised where there is none."""
        self._runs = runs
        self._kind = kind
        self._missing = missing
        self._read = parts.decoder(into)

    async def put(self, config: C, check: Callable[[Sequence[C]], None] | None = None) -> C:
        """Adds or replaces it and answers what is stored; a replaced one's time of creation stays.

        `FunctionNotFound`, `VersionNotFound`, `AliasNotFound`. `check` is given all others of the account, inside the
        transaction, and may refuse.
        """
        key = (config.account_id, config.function_name, config.qualifier)
        parts.check_name(*key[:2])

        def work(rows: Rows) -> C:
            parts.function_of(rows, *key[:2])
            parts.check_qualifier(rows, *key)
            if check is not None:
                check(self._others(rows, key))
            before = rows.get(self._kind, *key)
            stored = config
            if before is not None:
                stored = structs.replace(config, created_at_ms=self._read(before).created_at_ms)  # type: ignore[type-var]
            rows.put(self._kind, *key, parts.encode(stored))
            return stored

        return await self._runs.change(work)

    async def get(self, account_id: str, function: str, qualifier: str = ids.LATEST) -> C:
        """`FunctionNotFound`, or this kind's own error if there is none."""
        found = await self.find(account_id, function, qualifier)
        if found is None:
            of = f"qualifier '{qualifier[:128]}' of " if qualifier else ""
            raise self._missing(f"{of}function '{function}' has no such configuration")
        return found

    async def find(self, account_id: str, function: str, qualifier: str = ids.LATEST) -> C | None:
        """None if there is none; `FunctionNotFound`."""
        parts.check_name(account_id, function)

        def work(rows: Rows) -> C | None:
            parts.function_of(rows, account_id, function)
            body = rows.get(self._kind, account_id, function, qualifier)
            return None if body is None else self._read(body)

        return await self._runs.look(work)

    async def delete(self, account_id: str, function: str, qualifier: str = ids.LATEST) -> None:
        """Harmless if there is none; `FunctionNotFound`."""
        parts.check_name(account_id, function)

        def work(rows: Rows) -> None:
            parts.function_of(rows, account_id, function)
            rows.delete(self._kind, account_id, function, qualifier)

        await self._runs.change(work)

    async def list(
        self, account_id: str, *, function: str = "", after: tuple[str, str] = ("", ""), limit: int = 100
    ) -> Sequence[C]:
        """In order of function and qualifier, after `after`."""
        rules.check_text("accountId", account_id)
        rules.check_limit(limit)
        if function:
            rules.known_name(function)
        return await self._runs.look(
            lambda rows: [self._read(body) for body in rows.page(self._kind, account_id, function, after, limit)]
        )

    async def all(self) -> Sequence[C]:
        """All of all functions."""
        return await self._runs.look(lambda rows: [self._read(body) for body in rows.every(self._kind)])

    def _others(self, rows: Rows, key: tuple[str, str, str]) -> Sequence[C]:
        found = [self._read(body) for body in rows.page(self._kind, key[0], "", ("", ""), rules.MAX_LIMIT)]
        return [one for one in found if (one.account_id, one.function_name, one.qualifier) != key]
