"""`POST /functory/v1/layers`: requirements in, a layer out, installed once per hash."""

from __future__ import annotations

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from functory.control import call as calls
from functory.control.call import Call
from functory.control.functory.node import NoQuery
from functory.control.parts import ControlParts
from functory.model import errors
from functory.model.account import Scope

PATH = "/functory/v1/layers"
MAX_REQUIREMENTS_BYTES = 65536


class LayerInput(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be installed, and for which runtime."""

    requirements: str
    """The text of a requirements.txt."""
    runtime: str


def routes(parts: ControlParts) -> list[Route]:
    """The route of this room."""

    async def build(call: Call) -> Response:
        calls.typed_query(call.query, NoQuery, strict=True)
        given = calls.typed_body(call.body, LayerInput)
        size = len(given.requirements.encode("utf-8", "replace"))
        if not 0 < size <= MAX_REQUIREMENTS_BYTES:
            raise errors.InvalidArgument(f"requirements has {size} bytes; 1 to {MAX_REQUIREMENTS_BYTES} are allowed")
        parts.runtimes(given.runtime)
        built = await parts.layers.build(given.requirements, given.runtime, call.account_id)
        return calls.answer(
            {
                "arn": built.layer.arn,
                "digest": built.layer.digest,
                "sizeBytes": built.layer.size_bytes,
                "built": built.built,
                "seconds": round(built.seconds, 3),
            }
        )

    return [calls.route("POST", PATH, Scope.DEPLOY, build)]
