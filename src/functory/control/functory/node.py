"""What this node is: its version and the APIs it speaks, its instances, runtimes and limits."""

from __future__ import annotations

import platform

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from functory.control import call as calls
from functory.control.call import Call
from functory.control.fc import operations
from functory.control.parts import ControlParts
from functory.model.account import Scope

VERSION = "/functory/v1/version"
NODE = "/functory/v1/node"
APIS = (operations.VERSION, "functory/v1")


class NoQuery(msgspec.Struct, frozen=True):
    """These calls take no parameters."""


def routes(parts: ControlParts) -> list[Route]:
    """The routes of this room."""

    async def version(call: Call) -> Response:
        calls.typed_query(call.query, NoQuery, strict=True)
        return calls.answer(
            {"version": parts.node_info()["version"], "python": platform.python_version(), "apis": APIS}
        )

    async def node(call: Call) -> Response:
        calls.typed_query(call.query, NoQuery, strict=True)
        return calls.answer(parts.node_info() | {"region": parts.region, "accountId": call.account_id})

    return [calls.route("GET", VERSION, Scope.READ, version), calls.route("GET", NODE, Scope.READ, node)]
