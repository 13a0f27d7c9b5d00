"""Writes down what standing instances cost: in batches, apart from all calls.

    pools.take_kept (each instance ms once) → priced → added up by hour → store.spending, one write per batch

What a batch holds is taken from the pools and belongs to it alone: if the store refuses it, it is kept and tried again
with the next one; a crash loses what was not written, at most one batch; nothing is counted twice. A span counts in the
hour in which its batch is written.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

from functory.clock import Clock
from functory.metering import rates
from functory.model import errors
from functory.model.function import Function
from functory.model.spending import Line, Spent, hour_of
from functory.model.usage import RateCard
from functory.observe.logs import fields

log = logging.getLogger("functory.metering")

EVERY_S = 10.0
KEPT_MAX = 100_000
"""Rows held while the store cannot take them."""


class Store(Protocol):
    """Where batches go: `store.spending`."""

    async def add(self, rows: Sequence[Spent]) -> None:
        """Adds to what is there, all or nothing."""


Take = Callable[[], list[tuple[Function, bool, int]]]
"""For how long instances stood ready since the last time it was asked: of what, with its processors, instance ms."""


class Ledger:
    """A Service; to be stopped after the pools, whose last instances it still writes down."""

    def __init__(self, take: Take, store: Store, card: RateCard, *, clock: Clock) -> None:
        self._take = take
        self._store = store
        self._card = card
        self._clock = clock
        self._rows: list[Spent] = []
        self._task: asyncio.Task[None] | None = None
        self._flushing: asyncio.Task[None] | None = None
        self._one = asyncio.Lock()

    async def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name="ledger")

    async def stop(self) -> None:
        """Writes what is left."""
        if self._task is None:
            return
        task, self._task = self._task, None
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await self.flush()

    async def flush(self) -> None:
        """Takes what was kept, and writes it with what could not be written before."""
        async with self._one:
            await self._flush()

    async def _flush(self) -> None:
        hour_ms = hour_of(self._clock.now_ms())
        self._rows += [self._row(function, always, kept_ms, hour_ms) for function, always, kept_ms in self._take()]
        rows, self._rows = self._rows, []
        if not rows:
            return
        try:
            await self._store.add(rows)
        except errors.FunctoryError as failure:
            self._rows = (rows + self._rows)[-KEPT_MAX:]
            log.error(
                "What standing instances cost cannot be stored; it is kept in memory and tried again",
                extra=fields("store_spending", waiting=len(self._rows), reason=failure),
            )

    async def _run(self) -> None:
        while True:
            await self._clock.sleep(EVERY_S)
            # To the end: a write that was given up halfway might be done after all, and then be done again.
            self._flushing = asyncio.get_running_loop().create_task(self.flush(), name="write the ledger")
            await asyncio.shield(self._flushing)

    def _row(self, function: Function, always: bool, kept_ms: int, hour_ms: int) -> Spent:
        rate = rates.standing_nano_usd_per_ms(self._card, function, always=always)
        return Spent(
            account_id=function.account_id,
            function_name=function.name,
            line=Line.STANDING,
            hour_ms=hour_ms,
            instance_ms=kept_ms,
            cost_nano_usd=round(rate * kept_ms),
        )
