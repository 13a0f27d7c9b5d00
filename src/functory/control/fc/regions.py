"""DescribeRegions: this node is one region."""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from functory.control import call as calls
from functory.control.call import Call
from functory.control.parts import ControlParts
from functory.model.account import Scope

PATH = "/2023-03-30/regions"


def routes(parts: ControlParts) -> list[Route]:
    """The route of this room."""

    async def describe(_: Call) -> Response:
        return calls.answer({"Regions": {"Region": [{"RegionId": parts.region, "LocalName": parts.region}]}})

    return [calls.route("GET", PATH, Scope.READ, describe)]
