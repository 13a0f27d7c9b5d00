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
from functory.control.fc import (
    aliases,
    async_config,
    async_tasks,
    code,
    concurrency,
    domains,
    functions,
    instances,
    invocation_switch,
    operations,
    provision,
    regions,
    scaling,
    tags,
    triggers,
    upload_token,
    versions,
    vpc,
)
from functory.control.fc import layers as uploaded_layers
from functory.control.functory import (
    accounts,
    audit,
    codelinks,
    cost,
    health,
    history,
    keys,
    layers,
    node,
    openapi,
    roles,
    tasks,
    templates,
    tokens,
    vpcs,
)
from functory.control.objects import ObjectDoor
from functory.control.parts import ControlParts
from functory.model import errors


def create_app(parts: ControlParts) -> Starlette:
    """The application. It may be called without the ASGI lifespan."""
    rooms = (
        *(functions, code, instances, versions, aliases, invocation_switch, tags, regions, vpc, uploaded_layers),
        *(concurrency, provision, scaling, async_config, triggers, domains, upload_token),
        *(history, cost, tokens, layers, node, health, codelinks, keys, accounts, roles, vpcs),
        *(audit, async_tasks, tasks, templates),
    )
    app = Starlette(
        routes=[
            *(route for room in rooms for route in room.routes(parts)),
            *openapi.routes(parts, lambda: app.routes),
        ],
        middleware=[
            Middleware(ObjectDoor, uploads=parts.uploads, new_request_id=parts.new_request_id),
            Middleware(Door, parts=parts, is_open=_is_open),
        ],
        exception_handlers={HTTPException: _unmatched},
    )
    app.router.redirect_slashes = False
    return app


def _is_open(method: str, path: str) -> bool:
    """The calls that the door does not check: health, and what carries a signature of its own."""
    open_paths = (health.PATH, upload_token.PATH)
    return method in {"GET", "HEAD"} and (path in open_paths or path.startswith(codelinks.PREFIX))


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
