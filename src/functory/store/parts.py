"""What belongs to a function beside itself: its versions, aliases and configurations; and what belongs to an account.

The rules stand once, in plain functions over `Rows`, one transaction's sight of the tables; a back end brings its rows
and runs such functions whole or not at all (`Runs`). Rows of a function go with it, in the same transaction.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, TypeVar

import msgspec

from functory.model import errors, ids
from functory.model.function import Function
from functory.store import bodies, rules

T = TypeVar("T")

VERSION, ALIAS = "version", "alias"
ASYNC, CONCURRENCY, PROVISION, SCALING = "async", "concurrency", "provision", "scaling"
VPC_BINDING = "vpc_binding"
LAYER, LAYER_COUNTER, ACCOUNT, ROLE, VPC = "layer", "layer_counter", "account", "role", "vpc"
FREE = frozenset({LAYER, LAYER_COUNTER, ACCOUNT, ROLE, VPC})
"""Kinds of an account, not of a function: what stands for the function is a name of their own."""
MOST = 1000
"""The most versions, and the most aliases, of one function: all are held in memory to be routed."""
QUALIFIED = (ASYNC, PROVISION, SCALING)
"""Kinds whose key is a qualifier."""


class Rows(Protocol):
    """The tables inside one transaction. A body is JSON."""

    def function(self, account_id: str, name: str) -> bytes | None:
        """The function's current revision."""

    def next_version(self, account_id: str, name: str) -> int:
        """The next number of a version of this function, which is never given again."""

    def get(self, kind: str, account_id: str, function: str, key: str) -> bytes | None:
        """One row's body."""

    def put(self, kind: str, account_id: str, function: str, key: str, body: bytes) -> None:
        """Adds or replaces a row."""

    def delete(self, kind: str, account_id: str, function: str, key: str) -> None:
        """Removes a row; harmless if there is none."""

    def page(
        self, kind: str, account_id: str, function: str, after: tuple[str, str], limit: int, *, backwards: bool = False
    ) -> Iterable[bytes]:
        """Bodies in order of (function, key), after `after`. An empty `function` = all of the account."""

    def count(self, kind: str, account_id: str, function: str) -> int:
        """How many rows of this kind the function has."""

    def every(self, kind: str) -> Iterable[bytes]:
        """All bodies of a kind."""


class Runs(Protocol):
    """Runs work in a transaction of its own."""

    async def change(self, work: Callable[[Rows], T]) -> T:
        """Durable when it returns; nothing of it is there if it raises."""

    async def look(self, work: Callable[[Rows], T]) -> T:
        """Work that only reads."""


def function_of(rows: Rows, account_id: str, name: str) -> Function:
    """The function; `FunctionNotFound`."""
    body = rows.function(account_id, name)
    if body is None:
        raise errors.FunctionNotFound(name)
    return bodies.to_function(body)


def check_name(account_id: str, function: str) -> None:
    """Passes if there can be such a function; `FunctionNotFound` else."""
    rules.check_text("accountId", account_id)
    rules.known_name(function)


def check_room(rows: Rows, kind: str, account_id: str, function: str) -> None:
    """`LimitExceeded` if the function has as many of these as it may."""
    if rows.count(kind, account_id, function) >= MOST:
        raise errors.LimitExceeded(
            f"function '{function}' has {MOST} of kind {kind} already, the most there may be", hint="delete some"
        )


def check_qualifier(rows: Rows, account_id: str, function: str, qualifier: str) -> None:
    """`VersionNotFound` or `AliasNotFound` unless the function has what `qualifier` names."""
    if qualifier in ("", ids.LATEST):
        return
    if qualifier.isdigit():
        if not is_version(rows, account_id, function, qualifier):
            raise errors.VersionNotFound(f"version '{qualifier[:64]}' of function '{function}' does not exist")
    elif len(qualifier) > 128 or rows.get(ALIAS, account_id, function, qualifier) is None:
        raise errors.AliasNotFound(f"alias '{qualifier[:128]}' of function '{function}' does not exist")


def is_version(rows: Rows, account_id: str, function: str, version: str) -> bool:
    """Whether the function has this version."""
    key = version_key(version)
    return key is not None and rows.get(VERSION, account_id, function, key) is not None


def version_key(version: str) -> str | None:
    """The row's key: nine digits, so that keys sort as numbers do; None for what numbers no version."""
    if not version.isascii() or not version.isdigit() or len(version) > 9 or version.startswith("0"):
        return None
    return f"{int(version):09d}"


def decoder(into: type[T]) -> Callable[[bytes], T]:
    """Reads bodies of a type; `StorageCorrupt` for what is none."""
    decode = msgspec.json.Decoder(into).decode

    def read(body: bytes) -> T:
        try:
            return decode(body)
        except msgspec.DecodeError as reason:
            raise errors.StorageCorrupt(f"a stored {into.__name__} cannot be read: {reason}") from reason

    return read


def encode(value: object) -> bytes:
    """The JSON of a struct; `InvalidArgument` for what JSON cannot write."""
    try:
        return msgspec.json.encode(value)
    except (UnicodeEncodeError, OverflowError, TypeError) as reason:
        raise errors.InvalidArgument(f"this cannot be stored: {reason}") from reason


def refuse_provisioned(rows: Rows, account_id: str, function: str, qualifier: str) -> None:
    """`ProvisionConfigExist`, `ResidentScalingConfigExists` while instances are kept ready for the qualifier."""
    what = f"'{qualifier}' of function '{function}'"
    body = rows.get(PROVISION, account_id, function, qualifier)
    if body is not None and _number(body, "target"):
        raise errors.ProvisionConfigExist(f"instances are provisioned for {what}", hint="delete that first")
    body = rows.get(SCALING, account_id, function, qualifier)
    if body is not None and _number(body, "min_instances"):
        raise errors.ResidentScalingConfigExists(
            f"a scaling configuration keeps instances for {what}", hint="delete that first"
        )


def _number(body: bytes, field: str) -> int:
    return int(msgspec.json.decode(body).get(field, 0))
