"""Which version of a function a call means: LATEST, a version's number, or an alias."""

from __future__ import annotations

from functory.control.call import Call
from functory.model import errors, ids
from functory.model.function import Function
from functory.store.base import Store

MAX_LENGTH = 128


def of(call: Call) -> str:
    """The qualifier that the query names; LATEST if none."""
    qualifier = dict(call.query).get("qualifier") or ids.LATEST
    if len(qualifier) > MAX_LENGTH:
        raise errors.AliasNotFound(f"qualifier '{qualifier[:64]}…' is longer than {MAX_LENGTH} characters")
    return qualifier


async def resolve(store: Store, account_id: str, name: str, qualifier: str) -> Function:
    """The revision that the qualifier means; of an alias of two versions the main one.

    `FunctionNotFound`, `VersionNotFound`, `AliasNotFound`.
    """
    if qualifier == ids.LATEST:
        return await store.functions.get(account_id, name)
    if not qualifier.isdigit():
        qualifier = (await store.aliases.get(account_id, name, qualifier)).version
    return (await store.versions.get(account_id, name, qualifier)).function


async def check(store: Store, account_id: str, name: str, qualifier: str) -> None:
    """Raises what `resolve` raises."""
    await resolve(store, account_id, name, qualifier)
