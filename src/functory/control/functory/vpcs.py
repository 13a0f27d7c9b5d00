"""VPCs: what functions may reach that name them. The operator's to define; anybody with a key may look."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from functory.control import call as calls
from functory.control.call import Call
from functory.control.commit import to_the_end
from functory.control.functory import keys
from functory.control.parts import ControlParts
from functory.model import errors
from functory.model import vpc as vpcs
from functory.model.account import Scope
from functory.model.function import Function
from functory.model.vpc import Vpc

ALL = "/functory/v1/vpcs"
ONE = "/functory/v1/vpcs/{vpcId}"


class VpcFields(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What a VPC allows; whoever replaces one gives all of it."""

    description: str = ""
    names: tuple[str, ...] = ()
    cidrs: tuple[str, ...] = ()
    ports: tuple[str, ...] = ()
    """`443` or `8000-8010`; none = all."""
    protocols: tuple[str, ...] = ("tcp",)
    hosts: dict[str, str] = {}
    """Addresses of names that no name server knows."""


class VpcQuery(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Whose VPCs."""

    account_id: str = ""
    """Empty = the caller's own."""


class VpcInput(VpcFields, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """A new VPC."""

    vpc_id: str


def routes(parts: ControlParts) -> list[Route]:
    """The routes of this room."""
    room = VpcsRoom(parts)
    return [
        calls.route("GET", ALL, Scope.READ, room.all),
        calls.route("POST", ALL, Scope.ADMIN, room.make, body=VpcInput),
        calls.route("GET", ONE, Scope.READ, room.get),
        calls.route("PUT", ONE, Scope.ADMIN, room.replace, body=VpcFields),
        calls.route("DELETE", ONE, Scope.ADMIN, room.remove),
    ]


class VpcsRoom:
    """The five operations."""

    def __init__(self, parts: ControlParts) -> None:
        self._parts = parts
        self._vpcs = parts.store.vpcs

    async def all(self, call: Call) -> Response:
        return calls.answer({"vpcs": [_shown(one) for one in await self._vpcs.list(self._of(call))]})

    async def get(self, call: Call) -> Response:
        found = await self._vpcs.get(self._of(call), vpcs.check_id(call.params["vpcId"]))
        users = [f"{one.name}@{one.version}" if one.version else one.name for one in await self._users(found)]
        return calls.answer(_shown(found) | {"functions": users})

    async def make(self, call: Call) -> Response:
        given = calls.typed_body(call.body, VpcInput)
        return await self._put(await self._operated(call), given.vpc_id, given, replace=False)

    async def replace(self, call: Call) -> Response:
        given = calls.typed_body(call.body, VpcFields)
        return await self._put(await self._operated(call), call.params["vpcId"], given, replace=True)

    async def remove(self, call: Call) -> Response:
        found = await self._vpcs.get(await self._operated(call), vpcs.check_id(call.params["vpcId"]))
        users = await self._users(found)
        if users:
            raise errors.VpcInUse(
                f"function '{users[0].name}' names VPC '{found.vpc_id}' in its vpcConfig, of {len(users)} in all",
                hint="give them another one first, or delete them",
            )
        await to_the_end(self._drop(found))
        return calls.no_content()

    def _of(self, call: Call) -> str:
        query = calls.typed_query(call.query, VpcQuery, strict=True)
        return keys.allowed_account(self._parts, call, query.account_id)

    async def _operated(self, call: Call) -> str:
        """The account whose VPC is changed: by the operator only, since it opens networks that the node stands in."""
        of = self._of(call)
        if not keys.is_owner(self._parts, call):
            raise errors.AccessDenied(
                f"account {call.account_id} may not define VPCs: they are the operator's",
                hint="ask for one: `functory vpc create --account` of the account that the node was made with",
            )
        if of != call.account_id:
            await self._parts.store.accounts.get(of)
        return of

    async def _put(self, account_id: str, vpc_id: str, given: VpcFields, *, replace: bool) -> Response:
        now_ms = self._parts.clock.now_ms()
        vpc = vpcs.checked(
            Vpc(
                account_id=account_id,
                vpc_id=vpc_id,
                description=given.description,
                names=given.names,
                cidrs=given.cidrs,
                ports=given.ports,
                protocols=given.protocols,
                hosts=given.hosts,
                created_at_ms=now_ms,
                modified_at_ms=now_ms,
            )
        )
        return calls.answer(_shown(await to_the_end(self._store(vpc, replace))))

    async def _store(self, vpc: Vpc, replace: bool) -> Vpc:
        stored = await self._vpcs.put(vpc, replace=replace)
        await self._parts.on_vpc_changed(stored)
        return stored

    async def _drop(self, vpc: Vpc) -> None:
        await self._vpcs.delete(vpc.account_id, vpc.vpc_id)
        self._parts.on_vpc_deleted(vpc)

    async def _users(self, vpc: Vpc) -> list[Function]:
        """The functions and versions that name it."""
        store = self._parts.store
        found = [*await store.functions.all(), *(one.function for one in await store.versions.all())]
        return [one for one in found if one.account_id == vpc.account_id and _names(one, vpc.vpc_id)]


def _names(function: Function, vpc_id: str) -> bool:
    config = function.official.get("vpcConfig")
    return isinstance(config, dict) and config.get("vpcId") == vpc_id


def _shown(one: Vpc) -> dict[str, Any]:
    return {
        "vpcId": one.vpc_id,
        "description": one.description,
        "names": one.names,
        "cidrs": one.cidrs,
        "ports": one.ports,
        "protocols": one.protocols,
        "hosts": one.hosts,
        "createdAtMs": one.created_at_ms,
        "modifiedAtMs": one.modified_at_ms,
    }
