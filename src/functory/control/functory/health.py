"""`GET /healthz`: whether the node stands, and how strong its isolation is. Needs no key, so it tells nothing else."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from functory.control import call as calls
from functory.control.functory.node import NoQuery
from functory.control.parts import ControlParts

PATH = "/healthz"


def routes(parts: ControlParts) -> list[Route]:
    """The route of this room."""

    async def get(request: Request) -> Response:
        calls.typed_query(calls.read_query(request.scope), NoQuery, strict=True)
        info = parts.node_info()
        return calls.answer({"status": "ok", "version": info["version"], "tier": info["tier"]})

    return [Route(PATH, get, methods=["GET"])]
