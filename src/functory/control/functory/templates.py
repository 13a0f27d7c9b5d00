"""`GET /functory/v1/functions/{name}/template`: whether a function is loaded once and copied, and if not, why."""

from __future__ import annotations

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from functory.control import call as calls
from functory.control.call import Call
from functory.control.fc import qualifiers
from functory.control.parts import ControlParts
from functory.model import ids
from functory.model.account import Scope

PATH = "/functory/v1/functions/{functionName}/template"


class TemplateQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which version; LATEST if it is not said."""

    qualifier: str = ""


def routes(parts: ControlParts) -> list[Route]:
    """The route of this room."""

    async def get(call: Call) -> Response:
        calls.typed_query(call.query, TemplateQuery, strict=True)
        name = call.function_name()
        function = await qualifiers.resolve(parts.store, call.account_id, name, qualifiers.of(call))
        view = parts.template(function)
        return calls.answer(
            {
                "functionName": name,
                "qualifier": function.version or ids.LATEST,
                "revision": function.epoch,
                "state": view.state,
                "reason": view.reason,
                "instanceId": view.instance_id,
                "importUs": view.import_us,
                "initUs": view.init_us,
                "memoryBytes": view.memory_bytes,
                "forks": view.forks,
                "children": view.children,
                "log": view.log,
            }
        )

    return [calls.route("GET", PATH, Scope.READ, get, query=TemplateQuery)]
