"""TagResources, UntagResources, ListTagResources: labels of functions.

Tags are a field of the function. Changing them leaves its instances alone: no instance sees them.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from functory.control import call as calls
from functory.control.call import Call
from functory.control.commit import to_the_end
from functory.control.fc import paging, revisions, rules, shapes
from functory.control.parts import ControlParts
from functory.model import errors, ids
from functory.model.account import Scope
from functory.model.function import Function

T = TypeVar("T")

PATH = "/2023-03-30/tags-v2"
TYPE = "function"
MAX_RESOURCES = 50
_ARN = re.compile(r"acs:fc:[A-Za-z0-9-]*:([A-Za-z0-9]*):functions/([A-Za-z_][A-Za-z0-9_-]{0,63})")


class TagInput(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """The body of TagResources."""

    resource_id: list[str]
    resource_type: str | None = None
    tag: list[shapes.Tag]


class Query(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """The official query parameters of UntagResources and ListTagResources; lists are JSON."""

    all: bool = False
    limit: int | None = None
    next_token: str = ""
    resource_id: str = ""
    resource_type: str = ""
    tag: str = ""
    tag_key: str = ""


def routes(parts: ControlParts) -> list[Route]:
    """The routes of this room."""
    room = TagsRoom(parts)
    return [
        calls.route("GET", PATH, Scope.READ, room.page, query=Query),
        calls.route("POST", PATH, Scope.DEPLOY, room.add, body=TagInput),
        calls.route("DELETE", PATH, Scope.DEPLOY, room.remove, query=Query),
    ]


class TagsRoom:
    """The three operations."""

    def __init__(self, parts: ControlParts) -> None:
        self._parts = parts

    async def add(self, call: Call) -> Response:
        given = calls.typed_body(call.body, TagInput)
        _check_type(given.resource_type)
        rules.tags(given.tag)
        new = {tag.key: tag.value for tag in given.tag}
        return await self._change(call, given.resource_id, lambda tags: tags | new)

    async def remove(self, call: Call) -> Response:
        query = calls.typed_query(call.query, Query, strict=False)
        _check_type(query.resource_type)
        keys = _json("TagKey", query.tag_key, list[str])
        if not keys and not query.all:
            raise errors.InvalidArgument("TagKey is missing: name the keys to remove, or give All=true")

        def without(tags: dict[str, str]) -> dict[str, str]:
            return {} if query.all else {key: value for key, value in tags.items() if key not in keys}

        return await self._change(call, _json("ResourceId", query.resource_id, list[str]), without)

    async def page(self, call: Call) -> Response:
        query = calls.typed_query(call.query, Query, strict=False)
        _check_type(query.resource_type)
        limit, after = paging.check_limit(query.limit), paging.key_after(query.next_token)
        wanted = {tag.key: tag.value for tag in _json("Tag", query.tag, list[shapes.Tag])}
        named = _json("ResourceId", query.resource_id, list[str])
        functions, last = await self._tagged(call, [_name(call, one) for one in named], wanted, after, limit)
        rows = [row for function in functions for row in self._rows(function)]
        answer: dict[str, Any] = {"RequestId": call.request_id, "TagResources": rows}
        if last:
            answer["NextToken"] = paging.token(last)
        return calls.answer(answer)

    async def _tagged(
        self, call: Call, names: list[str], wanted: dict[str, str], after: str, limit: int
    ) -> tuple[list[Function], str]:
        """Functions with all wanted tags, at most `limit`, and the name after which the next page starts."""
        found: list[Function] = []
        while True:
            batch = await self._parts.store.functions.list(call.account_id, after=after, limit=200)
            for function in batch:
                tags = _tags(function)
                if tags and (not names or function.name in names) and wanted.items() <= tags.items():
                    if len(found) == limit:
                        return found, found[-1].name
                    found.append(function)
            if len(batch) < 200:
                return found, ""
            after = batch[-1].name

    async def _change(
        self, call: Call, resources: list[str], change: Callable[[dict[str, str]], dict[str, str]]
    ) -> Response:
        if not 1 <= len(resources) <= MAX_RESOURCES:
            raise errors.InvalidArgument(
                f"ResourceId names {len(resources)} resources; 1 to {MAX_RESOURCES} are allowed"
            )
        names = [_name(call, resource) for resource in resources]
        for name in names:
            await self._parts.store.functions.get(call.account_id, name)  # all or none, as far as can be known
        for name in names:
            await to_the_end(self._write(call, name, change))
        return calls.no_content()

    async def _write(self, call: Call, name: str, change: Callable[[dict[str, str]], dict[str, str]]) -> None:
        for _ in range(self._parts.limits.update_tries):
            before = await self._parts.store.functions.get(call.account_id, name)
            tags = change(_tags(before))
            if tags == _tags(before):
                return
            rules.within("the number of tags of a function", len(tags), 0, rules.MAX_TAGS)
            official = {key: value for key, value in before.official.items() if key != "tags"}
            if tags:
                official["tags"] = [{"Key": key, "Value": value} for key, value in sorted(tags.items())]
            after = revisions.following(before, self._parts.clock.now_ms(), {"official": official})
            try:
                await self._parts.store.functions.replace(after)
            except errors.ConcurrentUpdate:
                continue
            self._parts.on_function_changed(after)
            return
        raise errors.ConcurrentUpdate(f"function '{name}' is being changed by others too often; try again")

    def _rows(self, function: Function) -> list[dict[str, str]]:
        arn = ids.function_arn(self._parts.region, function.account_id, function.name)
        return [
            {"ResourceId": arn, "ResourceType": TYPE, "TagKey": key, "TagValue": value}
            for key, value in sorted(_tags(function).items())
        ]


def _tags(function: Function) -> dict[str, str]:
    return {tag["Key"]: tag.get("Value", "") for tag in function.official.get("tags", [])}


def _name(call: Call, resource: str) -> str:
    """The function that a resource id names: its ARN, or its name alone."""
    found = _ARN.fullmatch(resource)
    if found is not None and found[1] in ("", call.account_id):
        return found[2]
    if found is not None or not ids.FUNCTION_NAME.fullmatch(resource):
        raise errors.InvalidArgument(
            f"ResourceId {resource[:200]!r} is not a function of this account: "
            "acs:fc:{region}:{account}:functions/{name}"
        )
    return resource


def _check_type(given: str | None) -> None:
    if given and TYPE not in given.lower():
        raise errors.InvalidArgument(f"ResourceType {given[:64]!r} is not valid: only functions have tags here")


def _json(field: str, text: str, into: type[list[T]]) -> list[T]:
    if not text:
        return []
    try:
        return msgspec.json.decode(text, type=into)
    except (msgspec.DecodeError, UnicodeError, RecursionError) as wrong:
        raise errors.InvalidArgument(f"{field} is not the JSON list that it should be: {wrong}") from None
