"""The control API as one ASGI application: the official management calls and Functory's own.

    gateway → door (request id, signature, body) → router → a handler per operation → store, code → answer

`create_app` is all that the node needs. The application holds no state of its own: everything is in its `parts`.
"""

from __future__ import annotations

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response

from functory.control.door import Door
from functory.control.fc import code, functions, instances, operations
from functory.control.functory import codelinks, health, history, layers, node, tokens
from functory.control.parts import ControlParts
from functory.model import errors


def create_app(parts: ControlParts) -> Starlette:
    """The application. It may be called without the ASGI lifespan."""
    rooms = (functions, code, instances, history, tokens, layers, node, health, codelinks)
    app = Starlette(
        routes=[route for room in rooms for route in room.routes(parts)],
        middleware=[Middleware(Door, parts=parts, is_open=_is_open)],
        exception_handlers={HTTPException: _unmatched},
    )
    app.router.redirect_slashes = False
    return app


def _is_open(method: str, path: str) -> bool:
    """The calls without an access key: health, and code links, which carry a signature of their own."""
    return method in {"GET", "HEAD"} and (path == health.PATH or path.startswith(codelinks.PREFIX))


async def _unmatched(request: Request, _: Exception) -> Response:
    """No route has this method and path: say whether the operation is known at all."""
    path = request.scope["path"]
    operation = operations.find(request.method, path)
    if operation is None:
        raise errors.PathNotSupported(f"'{request.method}' against '{path[:200]}' is not supported")
    if operation.name == "InvokeFunction":
        raise errors.PathNotSupported(
            "InvokeFunction is answered by the data plane of this node, not by its control API"
        )
    raise errors.PathNotSupported(
        f"{operation.name} is not supported yet by this node", hint="the coverage table lists what is"
    )
