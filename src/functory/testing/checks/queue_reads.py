"""What every queue promises to those who look: lists, counts, places, news."""

from __future__ import annotations

import asyncio
from typing import Any

from functory.model import errors
from functory.model.task import DEAD, TaskState
from functory.queue import base
from functory.queue.base import Group, Query
from functory.testing.checks import samples
from functory.testing.checks.queue_samples import (
    GROUP,
    HOUR_MS,
    LANE,
    OTHER,
    Check,
    MakeQueue,
    item,
    lease,
    put,
    settle,
)
from functory.testing.clock import JumpingClock


async def lists_filter_and_their_pages_are_stable(make: MakeQueue) -> None:
    clock = JumpingClock()
    async with make(clock) as queue:
        for number in range(9):
            await put(queue, f"{'ab'[number % 2]}{number}", qualifier="prod" if number < 3 else "LATEST")
            clock.jump(1)
        (failed,) = await lease(queue)
        await settle(queue, base.bury(failed, keep_ms=HOUR_MS, error_type="E", error=""))
        start = clock.now_ms() - 9000

        async def found(**query: Any) -> str:
            return "".join(row.key[1] for row in await queue.list(Query(group=GROUP, **query)))

        assert await found() == "876543210"
        assert await found(newest_first=False, limit=3) == "012"
        assert await found(key_prefix="a") == "86420"
        assert await found(qualifier="prod") == "210"
        assert await found(states=frozenset({TaskState.FAILED})) == "0"
        assert await found(states=DEAD | {TaskState.ENQUEUED}, limit=2) == "87"
        assert await found(created_from_ms=start + 2000, created_to_ms=start + 4000) == "432"
        page = await queue.list(Query(group=GROUP, limit=4))
        await put(queue, "a9")
        assert await found(after_id=page[-1].id, limit=4) == "4321"
        assert await queue.list(Query(group=OTHER)) == []
        await samples.raises(errors.InvalidArgument, queue.list(Query(group=GROUP, limit=0)))


async def counts_and_places_are_exact(make: MakeQueue) -> None:
    clock = JumpingClock()
    async with make(clock) as queue:
        await put(queue, *"abcd")
        await put(queue, "e", delay_ms=1000)
        await lease(queue)
        assert await queue.counts(GROUP) == {TaskState.ENQUEUED: 4, TaskState.RUNNING: 1}
        assert await queue.counts(OTHER) == {}
        place = await queue.place(GROUP, "d")
        assert place is not None
        assert (place.ahead, place.slots, place.now_ms) == (2, 1, clock.now_ms())
        assert await queue.place(GROUP, "missing") is None
        assert await queue.groups(LANE) == [GROUP]
        assert list(await queue.lines(LANE)) == [GROUP]


async def news_reaches_the_lane_it_is_for(make: MakeQueue) -> None:
    async with make(JumpingClock()) as queue:
        waiting = asyncio.ensure_future(queue.wait(LANE))
        await queue.put([item("x", Group(LANE + 1, "1", "f"))])
        await asyncio.sleep(0)
        assert not waiting.done()
        await put(queue, "a")
        assert (await waiting).groups == {GROUP}
        (a,) = await lease(queue)
        await settle(queue, base.release(a))
        assert (await queue.wait(LANE)).groups == {GROUP}


CHECKS: tuple[Check, ...] = (
    lists_filter_and_their_pages_are_stable,
    counts_and_places_are_exact,
    news_reaches_the_lane_it_is_for,
)
