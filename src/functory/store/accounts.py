"""Accounts: whose functions, keys and limits stand apart."""

from __future__ import annotations

from collections.abc import Sequence

from functory.model import errors
from functory.model.account import Account
from functory.store import parts, rules
from functory.store.parts import ACCOUNT, Rows, Runs

_read = parts.decoder(Account)


class Accounts:
    """`store.base.Accounts` over any back end's rows."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    async def put(self, account: Account) -> None:
        """Adds or replaces it."""
        rules.check_text("accountId", account.account_id)
        body = parts.encode(account)
        await self._runs.change(lambda rows: rows.put(ACCOUNT, account.account_id, "", "", body))

    async def get(self, account_id: str) -> Account:
        """`AccountNotFound`."""
        rules.check_text("accountId", account_id)

        def work(rows: Rows) -> Account:
            body = rows.get(ACCOUNT, account_id, "", "")
            if body is None:
                raise errors.AccountNotFound(f"account '{account_id[:64]}' does not exist")
            return _read(body)

        return await self._runs.look(work)

    async def all(self) -> Sequence[Account]:
        """All accounts in order of id."""
        return await self._runs.look(lambda rows: [_read(body) for body in rows.every(ACCOUNT)])

    async def delete(self, account_id: str) -> None:
        """Removes it; harmless if there is none."""
        rules.check_text("accountId", account_id)
        await self._runs.change(lambda rows: rows.delete(ACCOUNT, account_id, "", ""))
