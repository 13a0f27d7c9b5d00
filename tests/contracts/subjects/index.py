"""The subject of `testing.checks.runtime` for Python."""

from __future__ import annotations

import json
import os
import threading
import time
from typing import Any

state = "new"
meeting = threading.Barrier(2)


def initialize(context: Any) -> None:
    global state
    if os.environ.get("INIT_FAILS"):
        raise RuntimeError("not today")
    state = "initialized"


def hook(context: Any) -> None:
    print("pre-stop ran")  # noqa: T201


def handler(event: bytes, context: Any) -> Any:
    if not event.startswith(b"{"):
        return event
    told = json.loads(event)
    return DO[told["do"]](told, context)


def fail(told: dict[str, Any], context: Any) -> None:
    raise ValueError("on purpose")


def say(told: dict[str, Any], context: Any) -> str:
    print(told["text"])  # noqa: T201
    return "printed"


def hang(told: dict[str, Any], context: Any) -> None:
    while True:
        time.sleep(60)


def meet(told: dict[str, Any], context: Any) -> str:
    meeting.wait(15)
    return "met"


def describe(told: dict[str, Any], context: Any) -> dict[str, Any]:
    return {
        "requestId": context.request_id,
        "function": context.function.name,
        "region": context.region,
        "retryCount": context.retry_count,
    }


DO: dict[str, Any] = {
    "fail": fail,
    "print": say,
    "env": lambda told, context: os.environ.get(told["name"], ""),
    "context": describe,
    "state": lambda told, context: state,
    "exit": lambda told, context: os._exit(told["code"]),
    "hang": hang,
    "meet": meet,
    "stream": lambda told, context: iter(["one", "two", "three"]),
}
