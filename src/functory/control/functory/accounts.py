"""Accounts: list, make, remove. For admins of the account that the node was made with."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from functory.control import call as calls
from functory.control.call import Call
from functory.control.commit import to_the_end
from functory.control.functory import keys
from functory.control.functory.node import NoQuery
from functory.control.parts import ControlParts
from functory.model import account, errors
from functory.model.account import AccessKey, Account, Scope

ALL = "/functory/v1/accounts"
ONE = "/functory/v1/accounts/{accountId}"
MAX_ACCOUNTS = 1000
MAX_NAME = 128


class AccountInput(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A new account."""

    name: str = ""


def routes(parts: ControlParts) -> list[Route]:
    """The routes of this room."""
    room = AccountsRoom(parts)
    return [
        calls.route("GET", ALL, Scope.ADMIN, room.all),
        calls.route("POST", ALL, Scope.ADMIN, room.make, body=AccountInput),
        calls.route("DELETE", ONE, Scope.ADMIN, room.remove),
    ]


class AccountsRoom:
    """The three operations."""

    def __init__(self, parts: ControlParts) -> None:
        self._parts = parts
        self._accounts = parts.store.accounts

    async def all(self, call: Call) -> Response:
        self._check(call)
        return calls.answer({"accounts": [_shown(one) for one in await self._accounts.all()]})

    async def make(self, call: Call) -> Response:
        self._check(call)
        given = calls.typed_body(call.body or b"{}", AccountInput)
        if len(given.name) > MAX_NAME:
            raise errors.InvalidArgument(f"name has {len(given.name)} characters; {MAX_NAME} are allowed")
        if len(await self._accounts.all()) >= MAX_ACCOUNTS:
            raise errors.LimitExceeded(f"there are {MAX_ACCOUNTS} accounts already")
        now_ms = self._parts.clock.now_ms()
        made = Account(account_id=account.new_account_id(self._parts.random), name=given.name, created_at_ms=now_ms)
        key = account.new_key(self._parts.random, made.account_id, Scope.ADMIN, now_ms=now_ms, label="first")
        await to_the_end(self._store(made, key))
        return calls.answer(_shown(made) | {"key": keys.shown(key, secret=True)})

    async def remove(self, call: Call) -> Response:
        self._check(call)
        wanted = call.params["accountId"]
        if wanted == call.account_id:
            raise errors.InvalidArgument("this account cannot be removed: the node was made with it")
        found = await self._accounts.get(wanted)
        if await self._parts.store.functions.list(wanted, limit=1):
            raise errors.FunctionNotEmpty(f"account '{wanted}' still has functions", hint="delete them first")
        await to_the_end(self._drop(found))
        return calls.no_content()

    def _check(self, call: Call) -> None:
        calls.typed_query(call.query, NoQuery, strict=True)
        if not keys.is_owner(self._parts, call):
            raise errors.AccessDenied(f"account {call.account_id} may not manage accounts")

    async def _store(self, made: Account, key: AccessKey) -> None:
        await self._accounts.put(made)
        await self._parts.store.keys.put(key)
        await self._parts.on_keys_changed()

    async def _drop(self, gone: Account) -> None:
        """Its keys and roles first: nobody may act for an account that is not there."""
        for key in await self._parts.store.keys.all():
            if key.account_id == gone.account_id:
                await self._parts.store.keys.delete(key.access_key_id)
        for role in await self._parts.store.roles.all():
            if role.account_id == gone.account_id:
                await self._parts.store.roles.delete(role.account_id, role.name, role.epoch)
        await self._accounts.delete(gone.account_id)
        await self._parts.on_keys_changed()
        await self._parts.on_roles_changed()


def _shown(one: Account) -> dict[str, Any]:
    return {"accountId": one.account_id, "name": one.name, "createdAtMs": one.created_at_ms}
