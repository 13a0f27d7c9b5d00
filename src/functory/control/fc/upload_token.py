"""`GET /2016-08-15/tempBucketToken`: keys to upload code with, for `s`. Signed as the 2016 API is."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from functory.control import call as calls
from functory.control.parts import ControlParts
from functory.model import errors
from functory.model.account import Scope
from functory.web import access, fc_v1

PATH = "/2016-08-15/tempBucketToken"


def routes(parts: ControlParts) -> list[Route]:
    """The route of this room."""

    async def get(request: Request) -> Response:
        principal = fc_v1.verify(
            request.method,
            request.scope["raw_path"],
            request.scope["query_string"],
            list(request.scope["headers"]),
            parts.keys,
            parts.clock.now_ms(),
            parts.sessions,
        )
        request.scope["state"]["principal"] = principal  # for the audit: the door has not seen who asks
        access.require(principal, Scope.DEPLOY)
        access.require_function(principal, "")
        if parts.uploads is None:
            raise errors.PathNotSupported("this node takes no uploads")
        return calls.answer(parts.uploads.grant(principal.account_id))

    return [Route(PATH, get, methods=["GET"])]
