"""The subject of `testing.checks.runtime` for Python's coroutines."""

from __future__ import annotations

import asyncio
import json
import os
from typing import Any

state = "new"
waiting: asyncio.Event | None = None


def initialize(context: Any) -> None:
    global state
    if os.environ.get("INIT_FAILS"):
        raise RuntimeError("not today")
    state = "initialized"


def hook(context: Any) -> None:
    print("pre-stop ran")  # noqa: T201


async def handler(event: bytes, context: Any) -> Any:
    if not event.startswith(b"{"):
        return event
    told = json.loads(event)
    return await DO[told["do"]](told, context)


async def fail(told: dict[str, Any], context: Any) -> None:
    await asyncio.sleep(0)
    raise ValueError("on purpose")


async def say(told: dict[str, Any], context: Any) -> str:
    await asyncio.sleep(0)
    print(told["text"])  # noqa: T201
    return "printed"


async def env(told: dict[str, Any], context: Any) -> str:
    return os.environ.get(told["name"], "")


async def describe(told: dict[str, Any], context: Any) -> dict[str, Any]:
    return {
        "requestId": context.request_id,
        "function": context.function.name,
        "region": context.region,
        "retryCount": context.retry_count,
    }


async def what_state(told: dict[str, Any], context: Any) -> str:
    return state


async def leave(told: dict[str, Any], context: Any) -> None:
    os._exit(told["code"])


async def hang(told: dict[str, Any], context: Any) -> None:
    await asyncio.Event().wait()


async def meet(told: dict[str, Any], context: Any) -> str:
    global waiting
    if waiting is None:
        waiting = asyncio.Event()
        await waiting.wait()
    else:
        waiting.set()
    return "met"


async def stream(told: dict[str, Any], context: Any) -> Any:
    return iter(["one", "two", "three"])


DO: dict[str, Any] = {
    "fail": fail,
    "print": say,
    "env": env,
    "context": describe,
    "state": what_state,
    "exit": leave,
    "hang": hang,
    "meet": meet,
    "stream": stream,
}
