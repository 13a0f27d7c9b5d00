"""CreateLayerVersion, GetLayerVersion, GetLayerVersionByArn, ListLayers, ListLayerVersions, DeleteLayerVersion.

A layer version is an archive that functions see as a read-only folder. Where a function names several, the one named
first wins. Functions keep what they use when it is deleted.
"""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from functory.control import call as calls
from functory.control.call import Call
from functory.control.fc import archive, outputs, paging, rules, shapes
from functory.control.fc.inputs import CodeInput
from functory.control.functory import codelinks
from functory.control.parts import ControlParts
from functory.model import errors, layer
from functory.model.account import Scope
from functory.model.function import LayerRef
from functory.model.layer import LayerVersion
from functory.store.base import Store

ALL = "/2023-03-30/layers"
VERSIONS = "/2023-03-30/layers/{layerName}/versions"
ONE = "/2023-03-30/layers/{layerName}/versions/{version}"
BY_ARN = "/2023-03-30/layerarn/{arn}"
MAX_RUNTIMES = 20


class CreateInput(shapes.Shape, frozen=True):
    """The body."""

    code: CodeInput | None = None
    compatible_runtime: list[str] | None = None
    description: str | None = None
    license: str | None = None


class ListQuery(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The official query parameters of ListLayers."""

    limit: int | None = None
    next_token: str = ""
    official: str = ""
    """`true`: only the cloud's own layers, of which this node has none."""
    prefix: str = ""
    public: str = ""
    """`true`: only layers for everybody, which this node does not have."""


class VersionsQuery(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The official query parameters of ListLayerVersions."""

    limit: int | None = None
    start_version: int | None = None


def routes(parts: ControlParts) -> list[Route]:
    """The routes of this room."""
    room = LayersRoom(parts)
    return [
        calls.route("GET", ALL, Scope.READ, room.page, query=ListQuery),
        calls.route("GET", VERSIONS, Scope.READ, room.versions, query=VersionsQuery),
        calls.route("POST", VERSIONS, Scope.DEPLOY, room.create, body=CreateInput),
        calls.route("GET", ONE, Scope.READ, room.get),
        calls.route("DELETE", ONE, Scope.DEPLOY, room.delete),
        calls.route("GET", BY_ARN, Scope.READ, room.by_arn),
    ]


async def find(store: Store, account_id: str, arn: str) -> LayerRef:
    """The layer that a function of this account names; `InvalidArgument` if it may not or there is none."""
    named = layer.parse_arn(arn)
    if named is None:
        raise errors.InvalidArgument(
            f"layers: {arn[:200]!r} is not the ARN of a layer version: "
            "acs:fc:{region}:{account}:layers/{name}/versions/{n}"
        )
    _, owner, name, number = named
    if owner == account_id:
        built = await store.layers.by_arn(arn)
        if built is not None:
            return built
        try:
            return (await store.layer_versions.get(owner, name, number)).ref
        except errors.NotFound:
            pass
    raise errors.InvalidArgument(f"layers: {arn[:200]!r} does not exist on this node")


class LayersRoom:
    """The six operations."""

    def __init__(self, parts: ControlParts) -> None:
        self._parts = parts
        self._layers = parts.store.layer_versions

    async def create(self, call: Call) -> Response:
        given = calls.typed_body(call.body, CreateInput)
        name = layer.check_layer_name(call.params["layerName"])
        runtimes = given.compatible_runtime or []
        rules.within("the number of compatibleRuntime", len(runtimes), 0, MAX_RUNTIMES)
        description = rules.text("description", given.description or "", 256)
        licence = rules.text("license", given.license or "", 256)
        for runtime in runtimes:
            rules.text("compatibleRuntime", runtime, 64)
        code = await archive.store_code(given.code, self._parts.code, self._parts.uploads, call.account_id)
        if code is None:
            raise errors.InvalidArgument("code is missing: give code.zipFile, the zip in base64")
        made = LayerVersion(
            account_id=call.account_id,
            name=name,
            number=0,
            arn="",
            description=description,
            license=licence,
            runtimes=tuple(runtimes),
            code_digest=code.digest,
            code_checksum=code.checksum,
            code_size_bytes=code.size_bytes,
            created_at_ms=self._parts.clock.now_ms(),
        )
        return calls.answer(self._layer(await self._layers.add(made, self._parts.region)))

    async def get(self, call: Call) -> Response:
        found = await self._layers.get(call.account_id, call.params["layerName"], _number(call))
        return calls.answer(self._layer(found))

    async def by_arn(self, call: Call) -> Response:
        named = layer.parse_arn(call.params["arn"])
        if named is None or named[1] != call.account_id:
            raise errors.LayerNotFound(f"layer '{call.params['arn'][:200]}' does not exist")
        return calls.answer(self._layer(await self._layers.get(call.account_id, named[2], named[3])))

    async def delete(self, call: Call) -> Response:
        await self._layers.delete(call.account_id, call.params["layerName"], _number(call))
        return calls.no_content()

    async def page(self, call: Call) -> Response:
        query = calls.typed_query(call.query, ListQuery, strict=False)
        limit, after = paging.check_limit(query.limit), paging.key_after(query.next_token)
        if "true" in (query.official.lower(), query.public.lower()):
            return calls.answer({"layers": []})
        found = await self._layers.names(call.account_id, prefix=query.prefix, after=after, limit=limit + 1)
        answer: dict[str, Any] = {"layers": [self._layer(one) for one in found[:limit]]}
        if len(found) > limit:
            answer["nextToken"] = paging.token(found[limit - 1].name)
        return calls.answer(answer)

    async def versions(self, call: Call) -> Response:
        query = calls.typed_query(call.query, VersionsQuery, strict=False)
        limit = paging.check_limit(query.limit)
        start = rules.within("startVersion", query.start_version or 0, 0, 10**9 - 2)
        name = layer.check_layer_name(call.params["layerName"])
        found = await self._layers.list(call.account_id, name, start=start, limit=limit + 1)
        answer: dict[str, Any] = {"layers": [self._layer(one) for one in found[:limit]]}
        if len(found) > limit:
            answer["nextVersion"] = found[limit].number
        return calls.answer(answer)

    def _layer(self, one: LayerVersion) -> dict[str, Any]:
        return {
            "layerName": one.name,
            "version": one.number,
            "layerVersionArn": one.arn,
            "description": one.description,
            "license": one.license,
            "compatibleRuntime": list(one.runtimes),
            "code": {"location": codelinks.url(self._parts, one.code_digest), "repositoryType": "OSS"},
            "codeChecksum": one.code_checksum,
            "codeSize": one.code_size_bytes,
            "createTime": outputs.time_text(one.created_at_ms),
            "acl": "0",
        }


def _number(call: Call) -> int:
    text = call.params["version"]
    if not (text.isascii() and text.isdigit() and 0 < len(text) < 10):
        raise errors.InvalidArgument(f"version {text[:40]!r} is not the number of a layer's version")
    return int(text)
