"""Versions: frozen copies of a function, numbered 1, 2, 3, …"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import structs

from functory.model import errors, version
from functory.model.version import Alias, Version
from functory.store import parts, rules
from functory.store.parts import VERSION, Rows, Runs

_read = parts.decoder(Version)
_read_alias = parts.decoder(Alias)


class Versions:
    """`store.base.Versions` over any back end's rows."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    async def publish(self, account_id: str, function: str, *, description: str, at_ms: int, epoch: int = 0) -> Version:
        """Freezes LATEST. `VersionPublishError` if nothing changed since the newest version.

        `epoch`: the revision it must stand at, else `PreconditionFailed`; 0 = any.
        """
        parts.check_name(account_id, function)

        def work(rows: Rows) -> Version:
            latest = parts.function_of(rows, account_id, function)
            if epoch not in (0, latest.epoch):
                raise errors.PreconditionFailed(f"function '{function}' was changed meanwhile")
            newest = [_read(body) for body in rows.page(VERSION, account_id, function, ("", ""), 1, backwards=True)]
            if newest and version.content(newest[0].function) == version.content(latest):
                raise errors.VersionPublishError(function)
            parts.check_room(rows, VERSION, account_id, function)
            number = rows.next_version(account_id, function)
            frozen = structs.replace(latest, version=str(number), restriction=None)
            made = Version(function=frozen, description=description, created_at_ms=at_ms)
            rows.put(VERSION, account_id, function, _key(str(number)), parts.encode(made))
            return made

        return await self._runs.change(work)

    async def get(self, account_id: str, function: str, number: str) -> Version:
        """`FunctionNotFound`, `VersionNotFound`."""
        parts.check_name(account_id, function)
        return await self._runs.look(lambda rows: _get(rows, account_id, function, number))

    async def list(
        self, account_id: str, function: str, *, after: str = "", backwards: bool = True, limit: int = 100
    ) -> Sequence[Version]:
        """In order of number, the newest first if `backwards`; after the number `after`. `FunctionNotFound`."""
        parts.check_name(account_id, function)
        rules.check_limit(limit)
        start = ("", "")
        if after:
            start = (function, _key(after))

        def work(rows: Rows) -> list[Version]:
            parts.function_of(rows, account_id, function)
            found = rows.page(VERSION, account_id, function, start, limit, backwards=backwards)
            return [_read(body) for body in found]

        return await self._runs.look(work)

    async def delete(self, account_id: str, function: str, number: str) -> Version:
        """Removes it; `VersionInUse` while an alias names it, `ProvisionConfigExist` while instances are kept."""
        parts.check_name(account_id, function)

        def work(rows: Rows) -> Version:
            found = _get(rows, account_id, function, number)
            for body in rows.page(parts.ALIAS, account_id, function, ("", ""), rules.MAX_LIMIT):
                alias = _read_alias(body)
                if number in (alias.version, alias.extra_version):
                    raise errors.VersionInUse(f"alias '{alias.name}' of function '{function}' names version '{number}'")
            parts.refuse_provisioned(rows, account_id, function, number)
            for kind in parts.QUALIFIED:
                rows.delete(kind, account_id, function, number)
            rows.delete(VERSION, account_id, function, _key(number))
            return found

        return await self._runs.change(work)

    async def all(self) -> Sequence[Version]:
        """All versions of all functions."""
        return await self._runs.look(lambda rows: [_read(body) for body in rows.every(VERSION)])


def _get(rows: Rows, account_id: str, function: str, number: str) -> Version:
    parts.function_of(rows, account_id, function)
    key = parts.version_key(number)
    body = rows.get(VERSION, account_id, function, key) if key else None
    if body is None:
        raise errors.VersionNotFound(f"version '{number[:64]}' of function '{function}' does not exist")
    return _read(body)


def _key(number: str) -> str:
    key = parts.version_key(number)
    if key is None:
        raise errors.InvalidArgument(f"{number[:64]!r} is not the number of a version")
    return key
