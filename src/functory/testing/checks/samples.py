"""Plain things to store, and what a check says when one is refused or not."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import msgspec

from functory.model import errors
from functory.model.account import AccessKey
from functory.model.function import Function
from functory.model.invocation import Kind, Status
from functory.model.record import LogLines, Record
from functory.store.base import Store

MakeStore: TypeAlias = Callable[[], Store]
Check: TypeAlias = Callable[[MakeStore], Awaitable[None]]

ACCOUNT = "1234567890123456"
NIGHT_S = 1_767_225_600
"""A midnight, UTC: 2026-01-01."""


def function(name: str = "hello", **changes: Any) -> Function:
    """A function to store."""
    plain = Function(
        account_id=ACCOUNT,
        name=name,
        function_id="id-1",
        runtime="python3.10",
        handler="index.handler",
        code_digest="d" * 64,
        code_checksum="42",
        code_size_bytes=1,
        created_at_ms=1,
        modified_at_ms=1,
    )
    return msgspec.structs.replace(plain, **changes)


def request_id(second: int, number: int = 0, *, node: int = 1) -> str:
    """The id of a request that began `second` seconds after `NIGHT_S`."""
    return f"1-{NIGHT_S + second:08x}-{node:08x}-{number:012x}"


def record(second: int, number: int = 0, *, node: int = 1, name: str = "hello", **changes: Any) -> Record:
    """The record of the request `request_id(second, number)`."""
    plain = Record(
        request_id=request_id(second, number, node=node),
        account_id=ACCOUNT,
        function_name=name,
        qualifier="LATEST",
        epoch=1,
        kind=Kind.SYNC,
        started_at_ms=(NIGHT_S + second) * 1000,
        status=Status.OK,
        error_type="",
        instance_id="c-0",
        queued_us=1,
        duration_us=2,
        billed_ms=1,
        memory_limit_mb=512,
        memory_peak_bytes=3,
        cpu_us=4,
        cold=None,
        cost_nano_usd=5,
    )
    return msgspec.structs.replace(plain, **changes)


def log(
    second: int,
    number: int = 0,
    text: bytes = b"hi\n",
    *,
    name: str = "hello",
    at_ms: int = 0,
    account_id: str = ACCOUNT,
) -> LogLines:
    """What the request `request_id(second, number)` printed."""
    return LogLines(
        request_id=request_id(second, number), function_name=name, at_ms=at_ms, text=text, account_id=account_id
    )


def key(access_key_id: str, **changes: Any) -> AccessKey:
    """An access key to store."""
    return msgspec.structs.replace(AccessKey(access_key_id=access_key_id, secret="s3cr3t", account_id="1"), **changes)


async def raises(kind: type[errors.FunctoryError], awaitable: Awaitable[object]) -> errors.FunctoryError:
    """The error that it raises, which must be of this kind."""
    try:
        answer = await awaitable
    except kind as error:
        return error
    raise AssertionError(f"{kind.__name__} was not raised; the answer is {answer!r:.200}")
