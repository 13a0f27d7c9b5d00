"""PublishFunctionVersion, ListFunctionVersions, DeleteFunctionVersion.

A version is LATEST as it stands, frozen under the next number. Publishing what has not changed since the newest
version is refused in the official words: deploy scripts match on them to go on.
"""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from functory.control import call as calls
from functory.control.call import Call
from functory.control.commit import to_the_end
from functory.control.fc import outputs, paging, rules, shapes
from functory.control.parts import ControlParts
from functory.model import errors
from functory.model.account import Scope
from functory.model.version import Version

ALL = "/2023-03-30/functions/{functionName}/versions"
ONE = "/2023-03-30/functions/{functionName}/versions/{versionId}"
FORWARD, BACKWARD = "FORWARD", "BACKWARD"


class PublishInput(shapes.Shape, frozen=True):
    """The body."""

    description: str | None = None


class Query(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The official query parameters."""

    direction: str = BACKWARD
    """FORWARD: the oldest first; BACKWARD: the newest first."""
    limit: int | None = None
    next_token: str = ""


def routes(parts: ControlParts) -> list[Route]:
    """The routes of this room."""
    room = VersionsRoom(parts)
    return [
        calls.route("GET", ALL, Scope.READ, room.page, query=Query),
        calls.route("POST", ALL, Scope.DEPLOY, room.publish, body=PublishInput),
        calls.route("DELETE", ONE, Scope.DEPLOY, room.delete),
    ]


class VersionsRoom:
    """The three operations."""

    def __init__(self, parts: ControlParts) -> None:
        self._parts = parts
        self._versions = parts.store.versions

    async def publish(self, call: Call) -> Response:
        name = call.function_name()
        given = calls.typed_body(call.body or b"{}", PublishInput)
        description = rules.text("description", given.description or "", 256)
        epoch = 0
        latest = await self._parts.store.functions.get(call.account_id, name)
        if latest.image is not None:  # only what can run is frozen
            if latest.runs is not latest:
                raise errors.FunctionNotReady(
                    f"can not publish version for function '{name}': its image is {latest.image.state}"
                )
            epoch = latest.epoch
        if call.if_match:
            calls.check_match(call, calls.etag_of(latest.pool_id, latest.epoch))
            epoch = latest.epoch
        made = await to_the_end(self._commit(call, name, description, epoch))
        return calls.answer(_version(made))

    async def page(self, call: Call) -> Response:
        query = calls.typed_query(call.query, Query, strict=False)
        if query.direction not in (FORWARD, BACKWARD):
            raise errors.InvalidArgument(f"direction {query.direction[:40]!r} is not valid: FORWARD or BACKWARD")
        limit = paging.check_limit(query.limit)
        after = paging.key_after(query.next_token)
        found = await self._versions.list(
            call.account_id,
            call.function_name(),
            after=after,
            backwards=query.direction == BACKWARD,
            limit=limit + 1,
        )
        answer: dict[str, Any] = {"direction": query.direction, "versions": [_version(one) for one in found[:limit]]}
        if len(found) > limit:
            answer["nextToken"] = paging.token(str(found[limit - 1].number))
        return calls.answer(answer)

    async def delete(self, call: Call) -> Response:
        await to_the_end(self._remove(call, call.function_name(), call.params["versionId"]))
        return calls.no_content()

    async def _commit(self, call: Call, name: str, description: str, epoch: int) -> Version:
        at_ms = self._parts.clock.now_ms()
        made = await self._versions.publish(call.account_id, name, description=description, at_ms=at_ms, epoch=epoch)
        await self._parts.changed_around(call.account_id, name)
        return made

    async def _remove(self, call: Call, name: str, number: str) -> None:
        await self._versions.delete(call.account_id, name, number)
        await self._parts.changed_around(call.account_id, name)


def _version(one: Version) -> dict[str, Any]:
    at = outputs.time_text(one.created_at_ms)
    return {
        "versionId": one.function.version,
        "description": one.description,
        "createdTime": at,
        "lastModifiedTime": at,
    }
