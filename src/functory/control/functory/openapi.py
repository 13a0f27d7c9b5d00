"""`GET /functory/v1/openapi.json`: this node's edge in OpenAPI 3.1, made from the routes themselves."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from functory.control import call as calls
from functory.control.call import Call, Described
from functory.control.fc import operations
from functory.control.functory.node import NoQuery
from functory.control.parts import ControlParts
from functory.model.account import Scope
from functory.web.problems import Problem

PATH = "/functory/v1/openapi.json"
_OPEN = re.compile(r"\{([^}]+)\}")
_REF = "#/components/schemas/{name}"


def routes(parts: ControlParts, served: Callable[[], Iterable[BaseRoute]]) -> list[Route]:
    """The route of this room. `served`: all routes of the application, once it is built."""

    @cache
    def text() -> bytes:
        return msgspec.json.encode(document(list(served()), parts.node_info()["version"]))

    async def get(call: Call) -> Response:
        calls.typed_query(call.query, NoQuery, strict=True)
        return Response(text(), media_type="application/json")

    return [calls.route("GET", PATH, Scope.READ, get)]


def document(served: Sequence[BaseRoute], version: str) -> dict[str, Any]:
    """The whole document."""
    described = [(route, _described(route)) for route in served if isinstance(route, Route)]
    bodies = {kind for _, of in described if of and of.body for kind in (of.body,)} | {Problem}
    ordered = sorted(bodies, key=lambda kind: (kind.__module__, kind.__name__))
    schemas, components = msgspec.json.schema_components(ordered, ref_template=_REF)
    of_body = dict(zip(ordered, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route, of in described:
        for method in sorted((route.methods or set()) - {"HEAD"}):
            paths.setdefault(route.path, {})[method.lower()] = _operation(method, route.path, of, of_body)
    invoke = f"/{operations.VERSION}/functions/{{functionName}}/invocations"
    paths.setdefault(invoke, {})["post"] = _operation("POST", invoke, Described(Scope.INVOKE), of_body) | {
        "requestBody": {"content": {"application/octet-stream": {}}}
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": "Functory", "version": version},
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": components},
    }


def _described(route: Route) -> Described | None:
    return getattr(route.endpoint, "described", None)


def _operation(method: str, path: str, of: Described | None, of_body: dict[type, dict[str, Any]]) -> dict[str, Any]:
    known = operations.find(method, _OPEN.sub("x", path))
    found: dict[str, Any] = {
        "operationId": known.name if known else f"{method.lower()} {path}",
        "parameters": [*_path_parameters(path), *_query_parameters(of)],
        "responses": {
            "2XX": {"description": "It is done"},
            "4XX": {
                "description": "It is refused",
                "content": {"application/json": {"schema": of_body[Problem]}},
            },
        },
    }
    if of is not None:
        found["description"] = f"Needs a key of scope {of.scope}, or wider."
        found["x-functory-scope"] = of.scope
        if of.body is not None:
            found["requestBody"] = {"content": {"application/json": {"schema": of_body[of.body]}}}
    return found


def _path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in _OPEN.findall(path)
    ]


def _query_parameters(of: Described | None) -> list[dict[str, Any]]:
    if of is None or of.query is None:
        return []
    whole, components = msgspec.json.schema_components([of.query], ref_template=_REF)
    name = whole[0].get("$ref", "").rsplit("/", 1)[-1]
    schema = components.get(name, whole[0])
    return [{"name": field, "in": "query", "schema": kind} for field, kind in schema.get("properties", {}).items()]
