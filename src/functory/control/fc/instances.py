"""ListInstances: what runs of a function right now. Instances that are gone are not kept."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from functory.control import call as calls
from functory.control.call import Call
from functory.control.fc import qualifiers
from functory.control.parts import ControlParts
from functory.model import errors, ids, version
from functory.model.account import Scope
from functory.model.function import Function
from functory.model.instance import InstanceState, InstanceView

PATH = "/2023-03-30/functions/{functionName}/instances"
_DEFAULT_LIMIT = 100
_MAX_LIMIT = 1000


class Query(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The official query parameters."""

    end_time_ms: int | None = None
    instance_ids: str = ""
    """A JSON list."""
    instance_status: str = ""
    """A JSON list."""
    limit: int | None = None
    start_key: str = ""
    """The last instance id of the page before."""
    start_time_ms: int | None = None


def routes(parts: ControlParts) -> list[Route]:
    """The route of this room."""

    async def list_instances(call: Call) -> Response:
        name = call.function_name()
        qualifier = dict(call.query).get("qualifier", "")
        wanted = await qualifiers.resolve(parts.store, call.account_id, name, qualifiers.of(call))
        query = calls.typed_query(call.query, Query, strict=False)
        views = sorted(parts.instances(call.account_id, name), key=lambda view: view.instance_id)
        rows = [_row(view) for view in views if _fits(view, wanted, qualifier)]
        return calls.answer({"instances": _chosen(rows, query), "requestId": call.request_id})

    return [calls.route("GET", PATH, Scope.READ, list_instances)]


def _fits(view: InstanceView, wanted: Function, qualifier: str) -> bool:
    """Whether it lives, and runs what was asked for; without a qualifier all versions are shown."""
    return view.state is not InstanceState.DEAD and (not qualifier or view.function.version == wanted.version)


def _row(view: InstanceView) -> dict[str, Any]:
    """The official `InstanceInfo`."""
    return {
        "instanceId": view.instance_id,
        "status": "Running",
        "createdTimeMs": view.created_at_ms,
        "destroyedTimeMs": 0,
        "qualifier": view.function.version or ids.LATEST,
        "versionId": view.function.version or version.LATEST_VERSION,
        "resourceType": "",
    }


def _chosen(rows: list[dict[str, Any]], query: Query) -> list[dict[str, Any]]:
    limit = _DEFAULT_LIMIT if query.limit is None else query.limit
    if not 1 <= limit <= _MAX_LIMIT:
        raise errors.InvalidArgument(f"limit {limit} is not valid: 1 to {_MAX_LIMIT}")
    wanted, statuses = _names("instanceIds", query.instance_ids), _names("instanceStatus", query.instance_status)
    return [
        row
        for row in rows
        if (not wanted or row["instanceId"] in wanted)
        and (not statuses or row["status"] in statuses)
        and row["instanceId"] > query.start_key
        and (query.end_time_ms is None or row["createdTimeMs"] <= query.end_time_ms)
    ][:limit]


def _names(field: str, text: str) -> frozenset[str]:
    if not text:
        return frozenset()
    try:
        return frozenset(msgspec.json.decode(text, type=list[str]))
    except (msgspec.DecodeError, UnicodeError, RecursionError) as wrong:
        raise errors.InvalidArgument(f"{field} is not a JSON list of texts: {wrong}") from None
