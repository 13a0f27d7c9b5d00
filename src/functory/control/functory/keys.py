"""Access keys: list, make, rotate, switch, remove. For admins, who see their own account; the owner's see all."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
from msgspec import structs
from starlette.responses import Response
from starlette.routing import Route

from functory.control import call as calls
from functory.control.call import Call
from functory.control.commit import to_the_end
from functory.control.functory.node import NoQuery
from functory.control.parts import ControlParts
from functory.model import account, errors
from functory.model.account import AccessKey, Scope

ALL = "/functory/v1/keys"
ONE = "/functory/v1/keys/{accessKeyId}"
ROTATE = "/functory/v1/keys/{accessKeyId}/rotate"
ACTIVATE = "/functory/v1/keys/{accessKeyId}/activate"
DEACTIVATE = "/functory/v1/keys/{accessKeyId}/deactivate"
MAX_KEYS = 100
"""Keys of one account."""
MAX_LABEL = 128


class KeysQuery(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Whose keys."""

    account_id: str = ""


class KeyInput(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A new key."""

    scope: Scope
    account_id: str = ""
    """Empty = the caller's own."""
    label: str = ""


class RotateInput(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How a key is replaced."""

    deactivate_old: bool = False
    """At once; else the old one works until it is deactivated, so that its users have time to change."""


def routes(parts: ControlParts) -> list[Route]:
    """The routes of this room."""
    room = KeysRoom(parts)
    return [
        calls.route("GET", ALL, Scope.ADMIN, room.all, query=KeysQuery),
        calls.route("POST", ALL, Scope.ADMIN, room.make, body=KeyInput),
        calls.route("DELETE", ONE, Scope.ADMIN, room.remove),
        calls.route("POST", ROTATE, Scope.ADMIN, room.rotate, body=RotateInput),
        calls.route("POST", ACTIVATE, Scope.ADMIN, room.activate),
        calls.route("POST", DEACTIVATE, Scope.ADMIN, room.deactivate),
    ]


class KeysRoom:
    """The six operations."""

    def __init__(self, parts: ControlParts) -> None:
        self._parts = parts
        self._keys = parts.store.keys
        # One change at a time: else two callers could each switch off what the other one took for the last key.
        self._lock = asyncio.Lock()

    async def all(self, call: Call) -> Response:
        query = calls.typed_query(call.query, KeysQuery, strict=True)
        of = allowed_account(self._parts, call, query.account_id)
        return calls.answer({"keys": [shown(key) for key in await self._keys.all() if key.account_id == of]})

    async def make(self, call: Call) -> Response:
        calls.typed_query(call.query, NoQuery, strict=True)
        given = calls.typed_body(call.body, KeyInput)
        of = allowed_account(self._parts, call, given.account_id)
        if of != call.account_id:
            await self._parts.store.accounts.get(of)
        if len(given.label) > MAX_LABEL:
            raise errors.InvalidArgument(f"label has {len(given.label)} characters; {MAX_LABEL} are allowed")
        async with self._lock:
            if sum(key.account_id == of for key in await self._keys.all()) >= MAX_KEYS:
                raise errors.LimitExceeded(f"account {of} has {MAX_KEYS} keys already")
            made = self._new(of, given.scope, given.label)
            await to_the_end(self._store(made))
        return calls.answer(shown(made, secret=True))

    async def rotate(self, call: Call) -> Response:
        calls.typed_query(call.query, NoQuery, strict=True)
        given = calls.typed_body(call.body or b"{}", RotateInput)
        async with self._lock:
            old = await self._find(call)
            made = self._new(old.account_id, old.scope, old.label)
            changed = [made, structs.replace(old, active=False)] if given.deactivate_old else [made]
            await to_the_end(self._store(*changed))
        return calls.answer(shown(made, secret=True))

    async def activate(self, call: Call) -> Response:
        return await self._switch(call, active=True)

    async def deactivate(self, call: Call) -> Response:
        return await self._switch(call, active=False)

    async def remove(self, call: Call) -> Response:
        calls.typed_query(call.query, NoQuery, strict=True)
        async with self._lock:
            key = await self._find(call)
            await self._refuse_last(key)
            await to_the_end(self._drop(key))
        return calls.no_content()

    async def _switch(self, call: Call, *, active: bool) -> Response:
        calls.typed_query(call.query, NoQuery, strict=True)
        async with self._lock:
            key = await self._find(call)
            if not active:
                await self._refuse_last(key)
            after = structs.replace(key, active=active)
            await to_the_end(self._store(after))
        return calls.answer(shown(after))

    async def _find(self, call: Call) -> AccessKey:
        """The key of the path. Keys of accounts that the caller may not manage are as good as not there."""
        wanted = call.params["accessKeyId"]
        mine = {call.account_id} if not is_owner(self._parts, call) else None
        for key in await self._keys.all():
            if key.access_key_id == wanted and (mine is None or key.account_id in mine):
                return key
        raise errors.KeyNotFound(f"access key '{wanted[:64]}' does not exist")

    async def _refuse_last(self, key: AccessKey) -> None:
        if key.scope is not Scope.ADMIN or not key.active:
            return
        admins = [
            one
            for one in await self._keys.all()
            if one.account_id == key.account_id and one.scope is Scope.ADMIN and one.active
        ]
        if len(admins) == 1:
            raise errors.LastKey(
                f"{key.access_key_id} is the last active admin key of account {key.account_id}",
                hint="make or activate another one first",
            )

    def _new(self, account_id: str, scope: Scope, label: str) -> AccessKey:
        return account.new_key(self._parts.random, account_id, scope, now_ms=self._parts.clock.now_ms(), label=label)

    async def _store(self, *keys: AccessKey) -> None:
        for key in keys:
            await self._keys.put(key)
        await self._parts.on_keys_changed()

    async def _drop(self, key: AccessKey) -> None:
        await self._keys.delete(key.access_key_id)
        await self._parts.on_keys_changed()


def is_owner(parts: ControlParts, call: Call) -> bool:
    """Whether the caller is of the account that the node was made with."""
    owner = parts.owner_account()
    return bool(owner) and call.account_id == owner


def allowed_account(parts: ControlParts, call: Call, wanted: str) -> str:
    """The account meant, the caller's own if none is named; `AccessDenied` for one that it may not manage."""
    of = wanted or call.account_id
    if of != call.account_id and not is_owner(parts, call):
        raise errors.AccessDenied(f"account {call.account_id} may not manage other accounts")
    return of


def shown(key: AccessKey, *, secret: bool = False) -> dict[str, Any]:
    """A key as the API answers it. Its secret is told once, when it is made."""
    facts = {
        "accessKeyId": key.access_key_id,
        "accountId": key.account_id,
        "scope": key.scope,
        "active": key.active,
        "label": key.label,
        "createdAtMs": key.created_at_ms,
    }
    return facts | {"accessKeySecret": key.secret} if secret else facts
