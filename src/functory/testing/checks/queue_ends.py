"""What every queue promises of ends: they stand for ever, and only who holds the lease makes them."""

from __future__ import annotations

from functory.model.task import TaskState, inline
from functory.queue import base
from functory.queue.base import Moved, Ref
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


async def an_end_stands_for_ever(make: MakeQueue) -> None:
    async with make(JumpingClock()) as queue:
        await put(queue, "a")
        (a,) = await lease(queue)
        assert await settle(queue, base.ack(a, keep_ms=HOUR_MS, result=inline(b"42"))) == [Moved.DONE]
        for move in (
            base.ack(a, keep_ms=HOUR_MS),
            base.bury(a, keep_ms=HOUR_MS, error_type="E", error="e"),
            base.release(a),
            base.move(a, TaskState.STOPPED, keep_ms=HOUR_MS),
            base.move(a, TaskState.EXPIRED, keep_ms=HOUR_MS),
            base.move(a, TaskState.STOPPING),
        ):
            assert await settle(queue, move) == [Moved.FENCED], move.to
        row = await queue.get(GROUP, "a")
        assert row is not None
        assert (row.state, row.result, row.attempts) == (TaskState.SUCCEEDED, inline(b"42"), 1)
        assert [event.state for event in row.events] == [TaskState.ENQUEUED, TaskState.RUNNING, TaskState.SUCCEEDED]
        assert await lease(queue) == []


async def who_lost_a_lease_can_change_nothing(make: MakeQueue) -> None:
    async with make(JumpingClock()) as queue:
        await put(queue, "a")
        (old,) = await lease(queue)
        await settle(queue, base.release(old))
        (new,) = await lease(queue, owner="n/2")
        assert new.epoch == old.epoch + 1
        stale = base.ack(old, keep_ms=HOUR_MS, puts=(item("told", OTHER),))
        assert await settle(queue, stale) == [Moved.FENCED]
        assert await queue.extend([Ref(old.id, old.epoch)], lease_ms=15_000) == [None]
        assert not await queue.note(Ref(old.id, old.epoch), "50 %")
        assert await state(queue, "a") is TaskState.RUNNING
        assert await queue.get(OTHER, "told") is None
        assert await settle(queue, base.ack(new, keep_ms=HOUR_MS)) == [Moved.DONE]


async def a_fenced_move_does_not_disturb_its_neighbours(make: MakeQueue) -> None:
    async with make(JumpingClock()) as queue:
        await put(queue, "a", "b", "c")
        a, b, c = await lease(queue, 3)
        await settle(queue, base.ack(b, keep_ms=HOUR_MS))
        moves = [base.ack(each, keep_ms=HOUR_MS, puts=(item(f"told-{each.key}", OTHER),)) for each in (a, b, c)]
        assert await settle(queue, *moves) == [Moved.DONE, Moved.FENCED, Moved.DONE]
        told = [await queue.get(OTHER, f"told-{key}") is not None for key in "abc"]
        assert told == [True, False, True]


async def an_end_and_what_it_puts_are_there_together(make: MakeQueue) -> None:
    async with make(JumpingClock()) as queue:
        await put(queue, "a")
        (a,) = await lease(queue)
        dead = base.bury(a, keep_ms=HOUR_MS, error_type="Boom", error="it broke", puts=(item("told", OTHER),))
        await settle(queue, dead)
        row = await queue.get(GROUP, "a")
        assert row is not None
        assert (row.state, row.error_type, row.error) == (TaskState.FAILED, "Boom", "it broke")
        assert keys(await lease(queue, 1, OTHER)) == ["told"]


async def a_released_row_is_back_in_line_now_or_later(make: MakeQueue) -> None:
    clock = JumpingClock()
    async with make(clock) as queue:
        await put(queue, "now", "later")
        now, later = await lease(queue, 2)
        retry = base.move(later, TaskState.RETRYING, delay_ms=5000, attempts=1, error="first", error_type="E")
        assert await settle(queue, base.release(now), retry) == [Moved.DONE] * 2
        assert await state(queue, "now") is TaskState.ENQUEUED
        assert keys(await lease(queue, 5)) == ["now"]
        clock.jump(4.999)
        await queue.sweep(LANE)
        assert await lease(queue, 5) == []
        clock.jump(0.001)
        assert (await queue.sweep(LANE)).ready == {GROUP}
        (again,) = await lease(queue, 5)
        assert (again.key, again.attempts, again.epoch) == ("later", 1, 2)


async def a_long_or_strange_error_is_kept_in_part(make: MakeQueue) -> None:
    async with make(JumpingClock()) as queue:
        await put(queue, "a", "b")
        a, b = await lease(queue, 2)
        long = base.bury(a, keep_ms=1, error_type="E", error="x" * 10_000_000)
        strange = base.bury(b, keep_ms=1, error_type="E", error="\ud800 \x00 é")
        assert await settle(queue, long, strange) == [Moved.DONE] * 2
        rows = [await queue.get(GROUP, key) for key in "ab"]
        assert all(row is not None and 0 < len(row.error) <= base.MAX_ERROR_CHARS for row in rows)


async def a_row_that_is_being_stopped_can_only_stop(make: MakeQueue) -> None:
    async with make(JumpingClock()) as queue:
        await put(queue, "a")
        (a,) = await lease(queue)
        assert await settle(queue, base.move(a, TaskState.STOPPING)) == [Moved.DONE]
        assert await queue.extend([Ref(a.id, a.epoch)], lease_ms=15_000) == [TaskState.STOPPING]
        for move in (base.ack(a, keep_ms=1), base.release(a), base.bury(a, keep_ms=1, error_type="", error="")):
            assert await settle(queue, move) == [Moved.STOPPING], move.to
        assert await settle(queue, base.move(a, TaskState.STOPPED, keep_ms=HOUR_MS)) == [Moved.DONE]
        assert await state(queue, "a") is TaskState.STOPPED


async def a_waiting_row_stops_at_once_and_a_running_one_does_not(make: MakeQueue) -> None:
    async with make(JumpingClock()) as queue:
        await put(queue, "a", "b")
        a, b = [row for key in "ab" if (row := await queue.get(GROUP, key))]
        assert await settle(queue, base.move(a, TaskState.STOPPED, keep_ms=HOUR_MS)) == [Moved.DONE]
        (running,) = await lease(queue, 5)
        assert running.key == "b"
        assert await settle(queue, base.move(b, TaskState.STOPPED, keep_ms=1)) == [Moved.FENCED]
        assert await settle(queue, base.move(running, TaskState.STOPPED, keep_ms=1)) == [Moved.FENCED]
        assert await state(queue, "b") is TaskState.RUNNING


CHECKS: tuple[Check, ...] = (
    an_end_stands_for_ever,
    who_lost_a_lease_can_change_nothing,
    a_fenced_move_does_not_disturb_its_neighbours,
    an_end_and_what_it_puts_are_there_together,
    a_released_row_is_back_in_line_now_or_later,
    a_long_or_strange_error_is_kept_in_part,
    a_row_that_is_being_stopped_can_only_stop,
    a_waiting_row_stops_at_once_and_a_running_one_does_not,
)
