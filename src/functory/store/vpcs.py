"""VPCs of accounts, and the bindings of functions to them."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
from msgspec import structs

from functory.model import errors
from functory.model import vpc as vpcs
from functory.model.vpc import Vpc
from functory.store import parts, rules
from functory.store.parts import VPC, VPC_BINDING, Rows, Runs

BINDINGS_MAX = 20
"""VPCs that one function may be bound to: the official number."""
_read = parts.decoder(Vpc)


class Binding(msgspec.Struct, frozen=True, kw_only=True):
    """A function answers calls from this VPC, and from others that it is bound to, only."""

    account_id: str
    function_name: str
    vpc_id: str


_read_binding = parts.decoder(Binding)


class Vpcs:
    """`store.base.Vpcs` over any back end's rows."""

    def __init__(self, runs: Runs) -> None:
        self._runs = runs

    async def put(self, vpc: Vpc, *, replace: bool) -> Vpc:
        """Adds it, or writes it over the one of this id (`replace`), whose time of creation stays.

        `VpcAlreadyExists`, `VpcNotFound`, `LimitExceeded`.
        """
        key = (VPC, vpc.account_id, "", vpc.vpc_id)
        rules.check_text("accountId", vpc.account_id)

        def work(rows: Rows) -> Vpc:
            before = rows.get(*key)
            if before is None and replace:
                raise missing(vpc.vpc_id)
            if before is not None and not replace:
                raise errors.VpcAlreadyExists(f"VPC '{vpc.vpc_id}' already exists")
            if before is None and rows.count(VPC, vpc.account_id, "") >= vpcs.PER_ACCOUNT:
                raise errors.LimitExceeded(f"account {vpc.account_id} has {vpcs.PER_ACCOUNT} VPCs already")
            stored = vpc if before is None else structs.replace(vpc, created_at_ms=_read(before).created_at_ms)
            rows.put(*key, parts.encode(stored))
            return stored

        return await self._runs.change(work)

    async def get(self, account_id: str, vpc_id: str) -> Vpc:
        """`VpcNotFound`."""
        rules.check_text("accountId", account_id)
        body = await self._runs.look(lambda rows: rows.get(VPC, account_id, "", vpc_id))
        if body is None:
            raise missing(vpc_id)
        return _read(body)

    async def list(self, account_id: str) -> Sequence[Vpc]:
        """All of an account in order of id."""
        return [one for one in await self.all() if one.account_id == account_id]

    async def all(self) -> Sequence[Vpc]:
        """All of all accounts."""
        return await self._runs.look(lambda rows: [_read(body) for body in rows.every(VPC)])

    async def delete(self, account_id: str, vpc_id: str) -> None:
        """`VpcNotFound`; `VpcInUse` while a function is bound to it."""
        rules.check_text("accountId", account_id)

        def work(rows: Rows) -> None:
            if rows.get(VPC, account_id, "", vpc_id) is None:
                raise missing(vpc_id)
            for body in rows.every(VPC_BINDING):
                bound = _read_binding(body)
                if (bound.account_id, bound.vpc_id) == (account_id, vpc_id):
                    raise errors.VpcInUse(
                        f"function '{bound.function_name}' is bound to VPC '{vpc_id}'", hint="delete the binding first"
                    )
            rows.delete(VPC, account_id, "", vpc_id)

        await self._runs.change(work)

    # --- bindings -----------------------------------------------------------------------------------------------------

    async def bind(self, account_id: str, function: str, vpc_id: str) -> None:
        """The function answers calls from this VPC too. `FunctionNotFound`, `VpcNotFound`, `LimitExceeded`."""
        parts.check_name(account_id, function)

        def work(rows: Rows) -> None:
            parts.function_of(rows, account_id, function)
            if rows.get(VPC, account_id, "", vpc_id) is None:
                raise missing(vpc_id)
            key = (VPC_BINDING, account_id, function, vpc_id)
            if rows.get(*key) is None and rows.count(*key[:3]) >= BINDINGS_MAX:
                raise errors.LimitExceeded(f"function '{function}' is bound to {BINDINGS_MAX} VPCs already")
            rows.put(*key, parts.encode(Binding(account_id=account_id, function_name=function, vpc_id=vpc_id)))

        await self._runs.change(work)

    async def unbind(self, account_id: str, function: str, vpc_id: str) -> None:
        """Harmless if it is not bound; `FunctionNotFound`."""
        parts.check_name(account_id, function)

        def work(rows: Rows) -> None:
            parts.function_of(rows, account_id, function)
            rows.delete(VPC_BINDING, account_id, function, vpc_id)

        await self._runs.change(work)

    async def bound(self, account_id: str, function: str) -> Sequence[str]:
        """The ids that a function is bound to; `FunctionNotFound`."""
        parts.check_name(account_id, function)

        def work(rows: Rows) -> Sequence[str]:
            parts.function_of(rows, account_id, function)
            found = rows.page(VPC_BINDING, account_id, function, ("", ""), BINDINGS_MAX)
            return [_read_binding(body).vpc_id for body in found]

        return await self._runs.look(work)

    async def bindings(self) -> Sequence[Binding]:
        """All of all functions."""
        return await self._runs.look(lambda rows: [_read_binding(body) for body in rows.every(VPC_BINDING)])


def missing(vpc_id: str) -> errors.VpcNotFound:
    """The error for one that is not there."""
    return errors.VpcNotFound(f"VPC '{vpc_id[:64]}' does not exist", hint="`functory vpc ls` lists them")
