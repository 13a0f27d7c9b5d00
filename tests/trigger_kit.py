"""HTTP triggers, requests to them and functions behind them, for the tests of flows."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from functory.model.trigger import Trigger, TriggerKind
from functory.runtimes import wire
from functory.testing.edge import ACCOUNT, Answer, Edge
from functory.testing.instances import Asked


def returning(value: object) -> Callable[[Asked], Awaitable[bytes]]:
    """A handler that returns this: bytes, or what the runtime writes as JSON."""

    async def handler(asked: Asked) -> bytes:
        made = value(msgspec.json.decode(asked.payload)) if callable(value) else value
        return made if isinstance(made, bytes) else msgspec.json.encode(made)

    return handler


async def event_of(asked: Asked) -> bytes:
    """Answers with the event itself."""
    return msgspec.json.encode({"statusCode": 200, "body": asked.payload.decode()})


def trigger(function: str = "echo", *, epoch: int = 1, qualifier: str = "LATEST", **config: Any) -> Trigger:
    """An HTTP trigger; every method unless told otherwise."""
    config.setdefault("authType", "anonymous")
    config.setdefault("methods", ["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS"])
    return Trigger(
        account_id=ACCOUNT,
        function_name=function,
        name="web",
        trigger_id=f"id-{function}-{qualifier}",
        kind=TriggerKind.HTTP,
        qualifier=qualifier,
        config=json.dumps(config),
        created_at_ms=0,
        modified_at_ms=0,
        epoch=epoch,
    )


def request(method: str, target: str, *headers: str, body: bytes = b"", host: str = "x") -> bytes:
    """A whole request as bytes."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def ask(node: Edge, method: str, target: str, *headers: str, body: bytes = b"", host: str = "x") -> Answer:
    return (await node.send(request(method, target, *headers, body=body, host=host)))[0]


async def events(node: Edge, *requests: bytes) -> list[dict[str, Any]]:
    """What the function was given for each of these."""
    return [msgspec.json.decode(answer.body) for answer in await node.send(*requests)]


def streaming(*pieces: bytes, whole: bool = True) -> Callable[[Asked], Awaitable[bytes]]:
    """A handler that sends these pieces one after the other."""

    async def handler(asked: Asked) -> bytes:
        kind = wire.Type.RESP
        for piece in pieces:
            asked.instance.send(asked.stream, kind, 0, 0, b"", piece)
            kind = wire.Type.BODY
            await asyncio.sleep(0)
        if not whole:
            await asyncio.get_running_loop().create_future()
        asked.instance.send(asked.stream, kind, wire.Flag.END, 0, b"", b"")
        await asyncio.get_running_loop().create_future()  # what it returns would be an answer too many
        return b""

    return handler
