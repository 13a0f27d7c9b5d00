"""Roles: what functions of an account may do to their own node."""

from __future__ import annotations

from collections.abc import Sequence

from functory.model import errors
from functory.model.role import Role, check_name
from functory.store import parts, rules
from functory.store.parts import ROLE, Rows, Runs

_read = parts.decoder(Role)


class Roles:
    """`store.base.Roles` over any back end's rows."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    async def create(self, role: Role) -> None:
        """Adds it; `RoleAlreadyExists`."""
        rules.check_text("accountId", role.account_id)
        check_name(role.name)

        def work(rows: Rows) -> None:
            if rows.get(ROLE, role.account_id, "", role.name) is not None:
                raise errors.RoleAlreadyExists(f"role '{role.name}' already exists")
            rows.put(ROLE, role.account_id, "", role.name, parts.encode(role))

        await self._runs.change(work)

    async def replace(self, role: Role) -> None:
        """Writes the revision after the stored one; `ConcurrentUpdate` if another stands there, `RoleNotFound`."""
        rules.check_text("accountId", role.account_id)

        def work(rows: Rows) -> None:
            before = _get(rows, role.account_id, role.name)
            if (before.role_id, before.epoch + 1) != (role.role_id, role.epoch):
                raise errors.ConcurrentUpdate(f"role '{role.name}' was changed by somebody else")
            rows.put(ROLE, role.account_id, "", role.name, parts.encode(role))

        await self._runs.change(work)

    async def get(self, account_id: str, name: str) -> Role:
        """`RoleNotFound`."""
        rules.check_text("accountId", account_id)
        return await self._runs.look(lambda rows: _get(rows, account_id, name))

    async def all(self) -> Sequence[Role]:
        """All roles of all accounts, in order of account and name."""
        return await self._runs.look(lambda rows: [_read(body) for body in rows.every(ROLE)])

    async def delete(self, account_id: str, name: str, epoch: int) -> Role:
        """Removes this revision and answers it; `ConcurrentUpdate` if another stands there, `RoleNotFound`."""
        rules.check_text("accountId", account_id)

        def work(rows: Rows) -> Role:
            before = _get(rows, account_id, name)
            if before.epoch != epoch:
                raise errors.ConcurrentUpdate(f"role '{name}' was changed by somebody else")
            rows.delete(ROLE, account_id, "", name)
            return before

        return await self._runs.change(work)


def _get(rows: Rows, account_id: str, name: str) -> Role:
    body = rows.get(ROLE, account_id, "", check_name(name))
    if body is None:
        raise errors.RoleNotFound(f"role '{name}' does not exist in account {account_id}")
    return _read(body)
