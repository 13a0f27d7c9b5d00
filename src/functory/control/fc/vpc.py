"""ListVpcBindings: a node binds no private networks, so the list is empty."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from functory.control import call as calls
from functory.control.call import Call
from functory.control.parts import ControlParts
from functory.model.account import Scope

PATH = "/2023-03-30/functions/{functionName}/vpc-bindings"


def routes(parts: ControlParts) -> list[Route]:
    """The route of this room."""

    async def bindings(call: Call) -> Response:
        await parts.store.functions.get(call.account_id, call.function_name())
        return calls.answer({"vpcIds": []})

    return [calls.route("GET", PATH, Scope.READ, bindings)]
