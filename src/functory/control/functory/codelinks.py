"""`GET /functory/v1/code/{digest}.zip?expires=&signature=`: an archive, for whoever holds the link."""

from __future__ import annotations

import re

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from functory.control import call as calls
from functory.control.parts import ControlParts
from functory.model import errors

PREFIX = "/functory/v1/code/"
_FILE = re.compile(r"([0-9a-f]{64})\.zip")


class LinkQuery(msgspec.Struct, frozen=True, kw_only=True):
    """What signs the link."""

    expires: str = ""
    signature: str = ""


def url(parts: ControlParts, digest: str) -> str:
    """A link to the archive of this digest, good for a while."""
    path = f"{PREFIX}{digest}.zip"
    return f"{parts.base_url()}{path}?{parts.links.sign(path, parts.limits.code_link_s)}"


def routes(parts: ControlParts) -> list[Route]:
    """The route of this room."""

    async def get(request: Request) -> Response:
        query = calls.typed_query(calls.read_query(request.scope), LinkQuery, strict=True)
        file = request.path_params["file"]
        parts.links.check(f"{PREFIX}{file}", query.expires, query.signature)
        named = _FILE.fullmatch(file)
        if named is None:
            raise errors.NotFound(f"there is no code named {file[:80]!r}")
        return Response(await parts.code.zip(named[1]), media_type="application/zip")

    return [Route(f"{PREFIX}{{file}}", get, methods=["GET"])]
