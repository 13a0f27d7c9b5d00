"""Aliases: names for versions."""

from __future__ import annotations

from collections.abc import Sequence

from functory.model import errors
from functory.model.version import Alias
from functory.store import parts, rules
from functory.store.parts import ALIAS, Rows, Runs

_read = parts.decoder(Alias)


class Aliases:
    """`store.base.Aliases` over any back end's rows."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    async def create(self, alias: Alias) -> None:
        """Adds it; `AliasAlreadyExists`, `FunctionNotFound`, `VersionNotFound`."""
        parts.check_name(alias.account_id, alias.function_name)

        def work(rows: Rows) -> None:
            _check(rows, alias)
            if rows.get(ALIAS, alias.account_id, alias.function_name, alias.name) is not None:
                raise errors.AliasAlreadyExists(
                    f"alias '{alias.name}' of function '{alias.function_name}' already exists"
                )
            parts.check_room(rows, ALIAS, alias.account_id, alias.function_name)
            rows.put(ALIAS, alias.account_id, alias.function_name, alias.name, parts.encode(alias))

        await self._runs.change(work)

    async def replace(self, alias: Alias) -> None:
        """Writes it over `alias.epoch - 1`; `AliasNotFound`, `VersionNotFound`, `ConcurrentUpdate`."""
        parts.check_name(alias.account_id, alias.function_name)

        def work(rows: Rows) -> None:
            _check(rows, alias)
            stored = _get(rows, alias.account_id, alias.function_name, alias.name)
            if stored.epoch != alias.epoch - 1:
                raise errors.ConcurrentUpdate(f"alias '{alias.name}' was changed by somebody else meanwhile")
            rows.put(ALIAS, alias.account_id, alias.function_name, alias.name, parts.encode(alias))

        await self._runs.change(work)

    async def get(self, account_id: str, function: str, name: str) -> Alias:
        """`FunctionNotFound`, `AliasNotFound`."""
        parts.check_name(account_id, function)
        return await self._runs.look(lambda rows: _get(rows, account_id, function, name))

    async def list(
        self, account_id: str, function: str, *, prefix: str = "", after: str = "", limit: int = 100
    ) -> Sequence[Alias]:
        """In order of name; `FunctionNotFound`."""
        parts.check_name(account_id, function)
        rules.check_limit(limit)

        def work(rows: Rows) -> list[Alias]:
            parts.function_of(rows, account_id, function)
            # A function has few aliases: they are read whole, and what does not fit is left out.
            found = [_read(body) for body in rows.page(ALIAS, account_id, function, (function, after), rules.MAX_LIMIT)]
            return [alias for alias in found if alias.name.startswith(prefix)][:limit]

        return await self._runs.look(work)

    async def delete(self, account_id: str, function: str, name: str, *, epoch: int = 0) -> Alias:
        """Removes it and its configurations; `ProvisionConfigExist` while instances are kept ready for it.

        `ConcurrentUpdate` if it has another `epoch` (0 = any).
        """
        parts.check_name(account_id, function)

        def work(rows: Rows) -> Alias:
            alias = _get(rows, account_id, function, name)
            rules.check_epoch(alias.epoch, epoch, f"alias '{name}'")
            parts.refuse_provisioned(rows, account_id, function, name)
            for kind in parts.QUALIFIED:
                rows.delete(kind, account_id, function, name)
            rows.delete(ALIAS, account_id, function, name)
            return alias

        return await self._runs.change(work)

    async def all(self) -> Sequence[Alias]:
        """All aliases of all functions."""
        return await self._runs.look(lambda rows: [_read(body) for body in rows.every(ALIAS)])


def _check(rows: Rows, alias: Alias) -> None:
    parts.function_of(rows, alias.account_id, alias.function_name)
    for number in filter(None, (alias.version, alias.extra_version)):
        if not parts.is_version(rows, alias.account_id, alias.function_name, number):
            raise errors.VersionNotFound(
                f"version '{number[:64]}' of function '{alias.function_name}' does not exist: "
                "an alias names published versions"
            )


def _get(rows: Rows, account_id: str, function: str, name: str) -> Alias:
    parts.function_of(rows, account_id, function)
    body = rows.get(ALIAS, account_id, function, name) if 1 <= len(name) <= rules.MAX_TEXT else None
    if body is None:
        raise errors.AliasNotFound(f"alias '{name[:128]}' of function '{function}' does not exist")
    return _read(body)
