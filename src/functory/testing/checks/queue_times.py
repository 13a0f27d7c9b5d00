"""What every queue promises of time: delays, leases, ages, and what a sweep finds."""

from __future__ import annotations

from functory.model.task import Content, TaskState
from functory.queue import base
from functory.queue.base import Moved, Query, Ref
from functory.testing.checks.queue_samples import (
    GROUP,
    HOUR_MS,
    LANE,
    Check,
    MakeQueue,
    item,
    keys,
    lease,
    put,
    settle,
)
from functory.testing.clock import JumpingClock


async def a_delayed_row_is_not_in_line_until_it_is_due(make: MakeQueue) -> None:
    clock = JumpingClock()
    async with make(clock) as queue:
        await put(queue, "a", delay_ms=3000)
        news = await queue.wait(LANE)
        assert (news.groups, news.wake_ms) == (frozenset(), clock.now_ms() + 3000)
        assert await lease(queue) == []
        assert await queue.lines(LANE) in ([], set())
        clock.jump(2.999)
        assert (await queue.sweep(LANE)).next_ms == clock.now_ms() + 1
        assert await lease(queue) == []
        clock.jump(0.001)
        assert (await queue.sweep(LANE)).ready == {GROUP}
        assert keys(await lease(queue)) == ["a"]


async def a_lease_that_is_kept_goes_on_and_one_that_is_not_is_found(make: MakeQueue) -> None:
    clock = JumpingClock()
    async with make(clock) as queue:
        await put(queue, "kept", "lost")
        kept, lost = await lease(queue, 2)
        clock.jump(10)
        assert await queue.extend([Ref(kept.id, kept.epoch)], lease_ms=15_000) == [TaskState.RUNNING]
        assert not (await queue.sweep(LANE)).overdue
        clock.jump(5)
        swept = await queue.sweep(LANE)
        assert keys(swept.overdue) == ["lost"]
        assert (swept.overdue[0].epoch, swept.overdue[0].state) == (lost.epoch, TaskState.RUNNING)
        await settle(queue, base.move(swept.overdue[0], TaskState.RETRYING, crashes=1))
        assert await settle(queue, base.ack(lost, keep_ms=1)) == [Moved.FENCED]


async def what_waits_too_long_is_found_in_line_and_out_of_it(make: MakeQueue) -> None:
    clock = JumpingClock()
    async with make(clock) as queue:
        await put(queue, "line", "running", max_age_ms=5000)
        await put(queue, "delayed", delay_ms=4000, max_age_ms=2000)
        await put(queue, "young")
        running = [row for row in await lease(queue, 2) if row.key == "running"]
        await settle(queue, *[base.release(row) for row in await lease(queue, 5) if row.key == "line"])
        for row in [row for row in await queue.list(Query(group=GROUP)) if row.state is TaskState.RUNNING]:
            if row.key != "running":
                await settle(queue, base.release(row))
        clock.jump(4.999)
        assert not (await queue.sweep(LANE)).overdue
        clock.jump(1.001)
        assert sorted(keys((await queue.sweep(LANE)).overdue)) == ["delayed", "line"]
        assert running


async def a_sweep_goes_on_behind_rows_that_are_left_as_they_are(make: MakeQueue) -> None:
    clock = JumpingClock()
    async with make(clock) as queue:
        await put(queue, *"abcde", max_age_ms=1000)
        clock.jump(2)
        first = await queue.sweep(LANE, limit=2)
        second = await queue.sweep(LANE, limit=2, after=first.after)
        third = await queue.sweep(LANE, limit=2, after=second.after)
        assert [len(swept.overdue) for swept in (first, second, third)] == [2, 2, 1]
        assert (first.more, second.more, third.more) == (True, True, False)
        found = keys([*first.overdue, *second.overdue, *third.overdue])
        assert sorted(found) == list("abcde")


async def an_ended_row_is_kept_and_then_dropped_and_its_key_is_free(make: MakeQueue) -> None:
    clock = JumpingClock()
    async with make(clock) as queue:
        await put(queue, "a", payload=Content(ref="in#1", size_bytes=9))
        (a,) = await lease(queue)
        await settle(queue, base.ack(a, keep_ms=60_000, result=Content(ref="out#2", size_bytes=9)))
        clock.jump(59.999)
        assert (await queue.sweep(LANE)).purged == 0
        assert await queue.put([item("a")]) == [None]
        clock.jump(0.001)
        swept = await queue.sweep(LANE)
        assert (swept.purged, sorted(swept.dropped)) == (1, ["in#1", "out#2"])
        assert await queue.get(GROUP, "a") is None
        (stored,) = await queue.put([item("a")])
        assert stored is not None
        assert stored.id > a.id


async def a_clock_that_steps_back_does_not_hold_up_what_is_due(make: MakeQueue) -> None:
    clock = JumpingClock()
    async with make(clock) as queue:
        await put(queue, "a", delay_ms=3000)
        before = queue.now_ms()
        clock.step_wall(-3600)
        assert queue.now_ms() >= before
        clock.jump(3)
        assert (await queue.sweep(LANE)).ready == {GROUP}
        clock.step_wall(7200)
        assert queue.now_ms() >= before + HOUR_MS - 10_000


async def rows_of_an_earlier_start_are_found(make: MakeQueue) -> None:
    async with make(JumpingClock()) as queue:
        await put(queue, "a", "b", "c", "d")
        await lease(queue, 1, owner="n1/1")
        await lease(queue, 1, owner="n1/2")
        await lease(queue, 1, owner="n10/1")
        lost = await queue.lost(LANE, node="n1/", owner="n1/2")
        assert len(lost) == 1
        assert not await queue.lost(LANE + 1, node="n1/", owner="n1/2")
        assert not await queue.lost(LANE, node="n1/", owner="n1/2", after_id=lost[0].id)


CHECKS: tuple[Check, ...] = (
    a_delayed_row_is_not_in_line_until_it_is_due,
    a_lease_that_is_kept_goes_on_and_one_that_is_not_is_found,
    what_waits_too_long_is_found_in_line_and_out_of_it,
    a_sweep_goes_on_behind_rows_that_are_left_as_they_are,
    an_ended_row_is_kept_and_then_dropped_and_its_key_is_free,
    a_clock_that_steps_back_does_not_hold_up_what_is_due,
    rows_of_an_earlier_start_are_found,
)
