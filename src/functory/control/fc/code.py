"""GetFunctionCode: where the archive can be fetched."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from functory.control import call as calls
from functory.control.call import Call
from functory.control.fc import qualifiers
from functory.control.functory import codelinks
from functory.control.parts import ControlParts
from functory.model import errors
from functory.model.account import Scope

PATH = "/2023-03-30/functions/{functionName}/code"


def routes(parts: ControlParts) -> list[Route]:
    """The route of this room."""

    async def get(call: Call) -> Response:
        function = await qualifiers.resolve(parts.store, call.account_id, call.function_name(), qualifiers.of(call))
        if not function.code_digest:
            raise errors.InvalidArgument(f"function '{function.name}' has no code: it runs an image")
        return calls.answer(
            {"checksum": function.code_checksum, "url": codelinks.url(parts, function.code_digest)},
        )

    return [calls.route("GET", PATH, Scope.READ, get)]
