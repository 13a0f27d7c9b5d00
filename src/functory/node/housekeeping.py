"""What has to be done once in a while: old days of records go, code that no function uses goes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

from functory.clock import Clock
from functory.model import errors
from functory.observe.logs import fields

log = logging.getLogger("functory.node")

EVERY_S = 3600.0
DAY_MS = 86_400_000


class Housekeeping:
    """Drops records older than `keep_days`, and what nobody needs any more, each hour. A Service."""

    def __init__(
        self,
        drop_before: Callable[[str], Awaitable[int]],
        *,
        clock: Clock,
        keep_days: int,
        drop_spending: Callable[[int], Awaitable[None]],
        keep_spending_days: int,
        sweep: Callable[[], Awaitable[int]],
    ) -> None:
        """`sweep`: removes uploads that have ended, images that no function runs."""
        self._drop_before = drop_before
        self._sweep = sweep
        self._clock = clock
        self._keep_days = keep_days
        self._drop_spending = drop_spending
        self._keep_spending_ms = keep_spending_days * DAY_MS
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name="housekeeping")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            first = datetime.fromtimestamp((self._clock.now_ms() - self._keep_days * DAY_MS) / 1000, UTC)
            try:
                days = await self._drop_before(first.strftime("%Y%m%d"))
                await self._drop_spending(self._clock.now_ms() - self._keep_spending_ms)
                await self._sweep()
            except errors.FunctoryError as failure:
                log.warning(
                    "Old records and uploads could not be dropped; tried again in an hour",
                    extra=fields("drop_records", reason=failure),
                )
            else:
                if days:
                    log.info("Old records were dropped", extra=fields("drop_records", days=days))
            await self._clock.sleep(EVERY_S)
