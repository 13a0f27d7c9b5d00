"""Roles: list, make, show, change, remove. For admins, each in their own account."""

from __future__ import annotations

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
from functory.model import errors, ids, role
from functory.model.account import Scope
from functory.model.role import Role

ALL = "/functory/v1/roles"
ONE = "/functory/v1/roles/{roleName}"
MAX_ROLES = 100
"""Roles of one account."""
MAX_FUNCTIONS = 100
MAX_DESCRIPTION = 256


class RoleChange(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What a role may do."""

    scopes: list[Scope]
    functions: list[str] | None = None
    """The only functions it may touch; null = all."""
    description: str = ""


class RoleInput(RoleChange, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A new role."""

    name: str


def routes(parts: ControlParts) -> list[Route]:
    """The routes of this room."""
    room = RolesRoom(parts)
    return [
        calls.route("GET", ALL, Scope.ADMIN, room.all),
        calls.route("POST", ALL, Scope.ADMIN, room.make, body=RoleInput),
        calls.route("GET", ONE, Scope.ADMIN, room.get),
        calls.route("PUT", ONE, Scope.ADMIN, room.change, body=RoleChange),
        calls.route("DELETE", ONE, Scope.ADMIN, room.remove),
    ]


class RolesRoom:
    """The five operations."""

    def __init__(self, parts: ControlParts) -> None:
        self._parts = parts
        self._roles = parts.store.roles

    async def all(self, call: Call) -> Response:
        calls.typed_query(call.query, NoQuery, strict=True)
        return calls.answer({"roles": [_shown(one) for one in await self._of(call)]})

    async def make(self, call: Call) -> Response:
        calls.typed_query(call.query, NoQuery, strict=True)
        given = calls.typed_body(call.body, RoleInput)
        now_ms = self._parts.clock.now_ms()
        made = Role(
            account_id=call.account_id,
            name=role.check_name(given.name),
            role_id=self._parts.random(8).hex(),
            created_at_ms=now_ms,
            modified_at_ms=now_ms,
            **_rights(given),
        )
        if len(await self._of(call)) >= MAX_ROLES:
            raise errors.LimitExceeded(f"account {call.account_id} has {MAX_ROLES} roles already")
        await to_the_end(self._commit(made, None))
        return _answer(made)

    async def get(self, call: Call) -> Response:
        calls.typed_query(call.query, NoQuery, strict=True)
        return _answer(await self._found(call))

    async def change(self, call: Call) -> Response:
        calls.typed_query(call.query, NoQuery, strict=True)
        given = calls.typed_body(call.body, RoleChange)
        before = await self._found(call)
        calls.check_match(call, _etag(before))
        now_ms = max(self._parts.clock.now_ms(), before.modified_at_ms)
        after = structs.replace(before, epoch=before.epoch + 1, modified_at_ms=now_ms, **_rights(given))
        await to_the_end(self._commit(after, before))
        return _answer(after)

    async def remove(self, call: Call) -> Response:
        calls.typed_query(call.query, NoQuery, strict=True)
        before = await self._found(call)
        calls.check_match(call, _etag(before))
        await to_the_end(self._drop(before))
        return calls.no_content()

    async def _of(self, call: Call) -> list[Role]:
        return [one for one in await self._roles.all() if one.account_id == call.account_id]

    async def _found(self, call: Call) -> Role:
        return await self._roles.get(call.account_id, call.params["roleName"])

    async def _commit(self, after: Role, before: Role | None) -> None:
        if before is None:
            await self._roles.create(after)
        else:
            await self._roles.replace(after)
        await self._parts.on_roles_changed()

    async def _drop(self, gone: Role) -> None:
        await self._roles.delete(gone.account_id, gone.name, gone.epoch)
        await self._parts.on_roles_changed()


def _rights(given: RoleChange) -> dict[str, Any]:
    """The fields of a role that the input names; `InvalidArgument`."""
    if not given.scopes:
        raise errors.InvalidArgument("scopes is empty: a role may do something", hint="admin, deploy, invoke, read")
    if len(given.description) > MAX_DESCRIPTION:
        raise errors.InvalidArgument(
            f"description has {len(given.description)} characters; {MAX_DESCRIPTION} are allowed"
        )
    functions = given.functions
    if functions is not None and not 1 <= len(functions) <= MAX_FUNCTIONS:
        raise errors.InvalidArgument(
            f"functions names {len(functions)}; 1 to {MAX_FUNCTIONS} are allowed", hint="null means all functions"
        )
    return {
        "scopes": tuple(one for one in Scope if one in given.scopes),
        "functions": None if functions is None else tuple(sorted({ids.check_function_name(one) for one in functions})),
        "description": given.description,
    }


def _etag(one: Role) -> str:
    return calls.etag_of(one.role_id, one.epoch)


def _answer(one: Role) -> Response:
    return calls.answer(_shown(one), etag=_etag(one))


def _shown(one: Role) -> dict[str, Any]:
    return {
        "name": one.name,
        "arn": role.arn(one),
        "roleId": one.role_id,
        "scopes": one.scopes,
        "functions": one.functions,
        "description": one.description,
        "createdAtMs": one.created_at_ms,
        "modifiedAtMs": one.modified_at_ms,
    }
