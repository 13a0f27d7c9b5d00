"""Flow tests run on the loop that the node runs on: transports differ in small ways that have cost real failures."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import uvloop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The hook of pytest-asyncio that chooses the loop."""
    return {"uvloop": uvloop.new_event_loop}
