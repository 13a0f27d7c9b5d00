"""CreateAlias, GetAlias, UpdateAlias, DeleteAlias, ListAliases.

An alias names one version; `additionalVersionWeight` gives one more a share of its calls, drawn call by call. A call
that carries the header `x-fc-canary-key` is not drawn: the same text always goes to the same version.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import structs
from starlette.responses import Response
from starlette.routing import Route

from functory.control import call as calls
from functory.control.call import Call
from functory.control.commit import to_the_end
from functory.control.fc import outputs, paging, rules, shapes
from functory.control.parts import ControlParts
from functory.model import errors, version
from functory.model.account import Scope
from functory.model.version import Alias

ALL = "/2023-03-30/functions/{functionName}/aliases"
ONE = "/2023-03-30/functions/{functionName}/aliases/{aliasName}"


class UpdateInput(shapes.Shape, frozen=True):
    """What may change. A field that is missing or null stays; an empty map takes the second version away."""

    additional_version_weight: dict[str, float] | None = None
    description: str | None = None
    version_id: str | None = None


class CreateInput(UpdateInput, frozen=True, kw_only=True):
    """A new alias."""

    alias_name: str
    version_id: str


class Query(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The official query parameters."""

    limit: int | None = None
    next_token: str = ""
    prefix: str = ""


def routes(parts: ControlParts) -> list[Route]:
    """The routes of this room."""
    room = AliasesRoom(parts)
    return [
        calls.route("GET", ALL, Scope.READ, room.page, query=Query),
        calls.route("POST", ALL, Scope.DEPLOY, room.create, body=CreateInput),
        calls.route("GET", ONE, Scope.READ, room.get),
        calls.route("PUT", ONE, Scope.DEPLOY, room.update, body=UpdateInput),
        calls.route("DELETE", ONE, Scope.DEPLOY, room.delete),
    ]


class AliasesRoom:
    """The five operations."""

    def __init__(self, parts: ControlParts) -> None:
        self._parts = parts
        self._aliases = parts.store.aliases

    async def create(self, call: Call) -> Response:
        given = calls.typed_body(call.body, CreateInput)
        now_ms = self._parts.clock.now_ms()
        empty = Alias(
            account_id=call.account_id,
            function_name=call.function_name(),
            name=version.check_alias_name(given.alias_name),
            version="",
            created_at_ms=now_ms,
            modified_at_ms=now_ms,
        )
        alias = structs.replace(_changed(empty, given, now_ms), epoch=1)
        await to_the_end(self._commit(self._aliases.create(alias), alias))
        return _answer(alias)

    async def get(self, call: Call) -> Response:
        return _answer(await self._aliases.get(call.account_id, call.function_name(), call.params["aliasName"]))

    async def update(self, call: Call) -> Response:
        given = calls.typed_body(call.body, UpdateInput)
        for _ in range(self._parts.limits.update_tries):
            before = await self._aliases.get(call.account_id, call.function_name(), call.params["aliasName"])
            calls.check_match(call, _etag(before))
            after = _changed(before, given, self._parts.clock.now_ms())
            try:
                await to_the_end(self._commit(self._aliases.replace(after), after))
            except errors.ConcurrentUpdate:
                continue
            return _answer(after)
        raise errors.ConcurrentUpdate(f"alias '{call.params['aliasName'][:128]}' is being changed by others too often")

    async def delete(self, call: Call) -> Response:
        found = await self._aliases.get(call.account_id, call.function_name(), call.params["aliasName"])
        calls.check_match(call, _etag(found))
        fence = calls.fence(call, found.epoch)
        removal = self._aliases.delete(found.account_id, found.function_name, found.name, epoch=fence)
        await to_the_end(self._commit(removal, found))
        return calls.no_content()

    async def page(self, call: Call) -> Response:
        query = calls.typed_query(call.query, Query, strict=False)
        limit = paging.check_limit(query.limit)
        after = paging.key_after(query.next_token)
        found = await self._aliases.list(
            call.account_id, call.function_name(), prefix=query.prefix, after=after, limit=limit + 1
        )
        answer: dict[str, Any] = {"aliases": [_alias(one) for one in found[:limit]]}
        if len(found) > limit:
            answer["nextToken"] = paging.token(found[limit - 1].name)
        return calls.answer(answer)

    async def _commit(self, write: Any, alias: Alias) -> None:
        await write
        await self._parts.changed_around(alias.account_id, alias.function_name)


def _changed(before: Alias, given: UpdateInput, now_ms: int) -> Alias:
    """The alias after a change, its rules checked."""
    changes: dict[str, Any] = {"modified_at_ms": max(now_ms, before.modified_at_ms), "epoch": before.epoch + 1}
    if given.version_id is not None:
        changes["version"] = version.check_version_id(given.version_id)
    if given.description is not None:
        changes["description"] = rules.text("description", given.description, 256)
    if given.additional_version_weight is not None:
        changes["extra_version"], changes["extra_weight"] = _weight(given.additional_version_weight)
    after = structs.replace(before, **changes)
    if after.extra_version and after.extra_version == after.version:
        raise errors.InvalidArgument(
            f"additionalVersionWeight names version '{after.version}', which is the alias's versionId already"
        )
    return after


def _weight(given: dict[str, float]) -> tuple[str, float]:
    if not given:
        return "", 0.0
    if len(given) > 1:
        raise errors.InvalidArgument(f"additionalVersionWeight names {len(given)} versions; 1 is allowed")
    number, weight = next(iter(given.items()))
    if not 0 <= weight <= 1:
        raise errors.InvalidArgument(f"additionalVersionWeight {weight} is not valid: 0 to 1")
    return version.check_version_id(number), weight


def _etag(alias: Alias) -> str:
    return calls.etag_of(f"{alias.created_at_ms:x}", alias.epoch)


def _answer(alias: Alias) -> Response:
    return calls.answer(_alias(alias), etag=_etag(alias))


def _alias(one: Alias) -> dict[str, Any]:
    return {
        "aliasName": one.name,
        "versionId": one.version,
        "description": one.description,
        "additionalVersionWeight": {one.extra_version: one.extra_weight} if one.extra_version else {},
        "createdTime": outputs.time_text(one.created_at_ms),
        "lastModifiedTime": outputs.time_text(one.modified_at_ms),
    }
