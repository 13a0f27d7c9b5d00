"""VPC bindings: which networks a function may be called from. And whether the VPC that a function names is there."""

from __future__ import annotations

from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from functory.control import call as calls
from functory.control.call import Call
from functory.control.commit import to_the_end
from functory.control.fc import shapes
from functory.control.parts import ControlParts
from functory.model import errors
from functory.model import vpc as vpcs
from functory.model.account import Scope
from functory.store.base import Store

PATH = "/2023-03-30/functions/{functionName}/vpc-bindings"
ONE = "/2023-03-30/functions/{functionName}/vpc-bindings/{vpcId}"


class BindingInput(shapes.Shape, frozen=True):
    """CreateVpcBinding."""

    vpc_id: str | None = None


def routes(parts: ControlParts) -> list[Route]:
    """The routes of this room."""
    store = parts.store

    async def bound(call: Call) -> Response:
        return calls.answer({"vpcIds": list(await store.vpcs.bound(call.account_id, call.function_name()))})

    async def bind(call: Call) -> Response:
        given = calls.typed_body(call.body, BindingInput)
        if not given.vpc_id:
            raise errors.InvalidArgument("vpcId is missing")
        await to_the_end(_bind(call, vpcs.check_id(given.vpc_id)))
        return calls.no_content()

    async def unbind(call: Call) -> Response:
        await to_the_end(_unbind(call, vpcs.check_id(call.params["vpcId"])))
        return calls.no_content()

    async def _bind(call: Call, vpc_id: str) -> None:
        await store.vpcs.bind(call.account_id, call.function_name(), vpc_id)
        await parts.on_bindings_changed(call.account_id, call.function_name())

    async def _unbind(call: Call, vpc_id: str) -> None:
        await store.vpcs.unbind(call.account_id, call.function_name(), vpc_id)
        await parts.on_bindings_changed(call.account_id, call.function_name())

    return [
        calls.route("GET", PATH, Scope.READ, bound),
        calls.route("POST", PATH, Scope.DEPLOY, bind, body=BindingInput),
        calls.route("DELETE", ONE, Scope.DEPLOY, unbind),
    ]


async def check_named(store: Store, account_id: str, official: dict[str, Any]) -> None:
    """`InvalidArgument`, as in the official service, if `vpcConfig` names a VPC that the account does not have."""
    config = official.get("vpcConfig")
    vpc_id = config.get("vpcId") if isinstance(config, dict) else None
    if not vpc_id:
        return
    try:
        await store.vpcs.get(account_id, vpcs.check_id(vpc_id))
    except errors.VpcNotFound as missing:
        raise errors.InvalidArgument(
            f"vpcConfig: VPC '{vpc_id}' does not exist", hint="an admin defines it: `functory vpc create`"
        ) from missing
