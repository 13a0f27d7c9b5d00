"""What every queue promises (`queue.base`): putting, leasing, and its own life."""

from __future__ import annotations

import asyncio

from functory.model import errors
from functory.model.task import TaskState, inline
from functory.queue import base
from functory.queue.base import AGING_MS, Group, Moved, Want
from functory.testing.checks import queue_ends, queue_reads, queue_times
from functory.testing.checks.queue_samples import (
    GROUP,
    HOUR_MS,
    LANE,
    OTHER,
    Check,
    MakeQueue,
    item,
    keys,
    lease,
    put,
    settle,
    state,
)
from functory.testing.clock import JumpingClock


async def what_was_put_comes_back_whole(make: MakeQueue) -> None:
    clock = JumpingClock()
    async with make(clock) as queue:
        rich = item("a", head=b"\x00\xff", payload=inline(b"\x00p"), qualifier="prod", priority=2)
        (stored,) = await queue.put([rich])
        assert stored is not None
        row = await queue.get(GROUP, "a")
        assert row is not None
        assert (row.id, row.group, row.key, row.head, row.payload) == (
            stored.id,
            GROUP,
            "a",
            b"\x00\xff",
            inline(b"\x00p"),
        )
        assert (row.qualifier, row.request_id, row.priority, row.state) == ("prod", "r-a", 2, TaskState.ENQUEUED)
        assert (row.created_ms, row.due_ms, row.expires_ms) == (clock.now_ms(),) * 2 + (clock.now_ms() + HOUR_MS,)
        assert [event.state for event in row.events] == [TaskState.ENQUEUED]
        assert await queue.by_id(row.id) == row
        (leased,) = await lease(queue)
        assert (leased.key, leased.epoch, leased.head, leased.payload) == ("a", 1, rich.head, rich.payload)


async def a_key_is_put_once_per_group_and_its_neighbours_do_not_notice(make: MakeQueue) -> None:
    async with make(JumpingClock()) as queue:
        await put(queue, "a", payload=inline(b"first"))
        stored = await queue.put([item("b"), item("a", payload=inline(b"second")), item("a", OTHER), item("b")])
        assert [each is None for each in stored] == [False, True, False, True]
        row = await queue.get(GROUP, "a")
        assert row is not None
        assert row.payload.data == b"first"
        assert keys(await lease(queue, 10)) == ["a", "b"]


async def of_many_puts_of_one_key_at_once_one_is_stored(make: MakeQueue) -> None:
    async with make(JumpingClock()) as queue:
        stored = await asyncio.gather(*[queue.put([item("a")]) for _ in range(20)])
        assert sum(each is not None for (each,) in stored) == 1


async def a_lease_takes_the_first_of_the_line(make: MakeQueue) -> None:
    clock = JumpingClock()
    async with make(clock) as queue:
        for key in "abcd":
            await put(queue, key)
            clock.jump(0.01)
        assert keys(await lease(queue, 2)) == ["a", "b"]
        assert await state(queue, "a") is TaskState.RUNNING
        grant = await queue.lease([Want(GROUP, 5, 100, 100), Want(OTHER, 1, 100, 100)], owner="n/1", lease_ms=1000)
        assert keys(grant.leased) == ["c", "d"]
        assert set(grant.empty) == {GROUP, OTHER} or set(grant.empty) == {GROUP}


async def priority_counts_and_so_does_waiting(make: MakeQueue) -> None:
    clock = JumpingClock()
    async with make(clock) as queue:
        await put(queue, "low", priority=9)
        clock.jump((9 * AGING_MS - 1000) / 1000)
        await put(queue, "high", priority=0)
        clock.jump(2)
        await put(queue, "later", priority=0)
        assert keys(await lease(queue, 3)) == ["high", "low", "later"]


async def limits_count_the_rows_that_are_held(make: MakeQueue) -> None:
    async with make(JumpingClock()) as queue:
        await put(queue, "own", owner="n/1", lease_ms=15_000)
        await put(queue, *"abcdef")
        await put(queue, "x", "y", group=OTHER)
        assert await state(queue, "own") is TaskState.RUNNING
        assert len(await lease(queue, 10, concurrency=3)) == 2
        assert await lease(queue, 10, concurrency=3) == []
        assert len(await lease(queue, 10, OTHER, account=4)) == 1
        assert await lease(queue, 10, OTHER, account=4) == []
        elsewhere = Group(LANE, "another", "resize")
        await put(queue, "z", group=elsewhere)
        assert len(await lease(queue, 10, elsewhere, account=4)) == 1


async def calls_take_effect_in_the_order_they_are_made(make: MakeQueue) -> None:
    async with make(JumpingClock()) as queue:
        await put(queue, "a", "b")
        (a,) = await lease(queue, 1, concurrency=1)
        settled = queue.settle([base.ack(a, keep_ms=HOUR_MS)])
        granted = queue.lease([Want(GROUP, 1, 1, 1)], owner="n/1", lease_ms=15_000)
        assert keys((await granted).leased) == ["b"]
        assert await settled == [Moved.DONE]


async def what_cannot_be_is_refused(make: MakeQueue) -> None:
    async with make(JumpingClock()) as queue:
        for wrong in (
            item(""), item("k" * 2000), item("a", priority=10), item("a", delay_ms=-1), item("a", max_age_ms=0),
            item("a", Group(LANE, "", "f")), item("a", owner="n/1"), item("a", owner="n/1", lease_ms=1, delay_ms=1),
        ):  # fmt: skip
            try:
                await queue.put([item("good"), wrong])
            except errors.InvalidArgument:
                continue
            raise AssertionError(f"{wrong} was put")
        assert await queue.get(GROUP, "good") is None


async def a_stopped_queue_refuses(make: MakeQueue) -> None:
    async with make(JumpingClock()) as queue:
        await queue.stop()
        for call in (lambda: queue.put([item("a")]), lambda: queue.settle([]), lambda: queue.sweep(LANE)):
            try:
                await call()
            except errors.Unavailable:
                continue
            raise AssertionError("a stopped queue answered")


async def what_was_answered_outlives_the_process(make: MakeQueue) -> None:
    clock = JumpingClock()
    async with make(clock) as queue:
        await put(queue, "a", "b")
        await put(queue, "c", delay_ms=1000)
        (a,) = await lease(queue)
        await settle(queue, base.ack(a, keep_ms=HOUR_MS))
        await lease(queue, owner="n/old")
    async with make(clock) as queue:
        assert await queue.counts(GROUP) == {TaskState.SUCCEEDED: 1, TaskState.RUNNING: 1, TaskState.ENQUEUED: 1}
        assert keys(await queue.lost(LANE, node="n/", owner="n/new")) == ["b"]
        clock.jump(1)
        await queue.sweep(LANE)
        (c,) = await lease(queue)
        (stored,) = await queue.put([item("d")])
        assert stored is not None
        assert stored.id > c.id


CHECKS: tuple[Check, ...] = (
    what_was_put_comes_back_whole,
    a_key_is_put_once_per_group_and_its_neighbours_do_not_notice,
    of_many_puts_of_one_key_at_once_one_is_stored,
    a_lease_takes_the_first_of_the_line,
    priority_counts_and_so_does_waiting,
    limits_count_the_rows_that_are_held,
    calls_take_effect_in_the_order_they_are_made,
    what_cannot_be_is_refused,
    a_stopped_queue_refuses,
    what_was_answered_outlives_the_process,
    *queue_ends.CHECKS,
    *queue_times.CHECKS,
    *queue_reads.CHECKS,
)
"""What every queue promises."""
