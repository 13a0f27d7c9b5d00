"""Every long-lived thing is a Service: it starts, it stops, and stopping twice or unstarted is harmless."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol


class Service(Protocol):
    """A part that lives as long as the node.

    `start` returns when the part can be used. `stop` refuses new work, waits for what runs with a limit, cancels the
    rest, and closes; it may be called twice, or without a start.
    """

    async def start(self) -> None:
        """Return when the part can be used."""

    async def stop(self) -> None:
        """Refuse, wait with a limit, cancel, close."""


async def start_all(services: Sequence[Service]) -> None:
    """Start in order; if one fails, stop those that stand already, in reverse, and raise its error."""
    for count, service in enumerate(services):
        try:
            await service.start()
        except BaseException:
            await stop_all(services[:count])
            raise


async def stop_all(services: Sequence[Service]) -> None:
    """Stop in reverse order. All are stopped even if one fails; the failures are raised together at the end."""
    failures: list[Exception] = []
    for service in reversed(services):
        try:
            await service.stop()
        except Exception as failure:  # the others must still be stopped
            failures.append(failure)
    if failures:
        raise ExceptionGroup("stopping failed", failures)


@asynccontextmanager
async def running(*services: Service) -> AsyncIterator[None]:
    """Run a block while `services` are started."""
    await start_all(services)
    try:
        yield
    finally:
        await stop_all(services)
