"""What the flow tests share: the node's own loop, and the control API in memory."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

import pytest
import uvloop

import control_kit as kit


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The loop that the node runs on: transports differ in small ways that have cost real failures."""
    return {"uvloop": uvloop.new_event_loop}


@pytest.fixture
async def control() -> AsyncIterator[kit.Control]:
    """The control API over in-memory parts, without a function."""
    control = kit.Control()
    await control.store.start()
    async with control.client:
        yield control
