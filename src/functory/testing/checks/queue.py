"""What every queue promises (`queue.base`)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias

from functory.model import errors
from functory.model.task import DEAD, Content, TaskState, inline
from functory.queue import base
from functory.queue.base import AGING_MS, Group, Item, Leased, Moved, Query, Queue, Ref, Want
from functory.testing.checks import samples
from functory.testing.clock import JumpingClock

MakeQueue: TypeAlias = Callable[[JumpingClock], AbstractAsyncContextManager[Queue]]
"""Opens a queue on a clock; every call opens the same data again."""
Check: TypeAlias = Callable[[MakeQueue], Awaitable[None]]

HOUR_MS = 3_600_000
LANE = 7
GROUP = Group(LANE, samples.ACCOUNT, "resize")
OTHER = Group(LANE, samples.ACCOUNT, "mail")


def item(key: str, group: Group = GROUP, **changes: Any) -> Item:
    """Something to put."""
    return Item(**{"group": group, "key": key, "max_age_ms": HOUR_MS, "request_id": f"r-{key}", **changes})


async def put(queue: Queue, *keys: str, **changes: Any) -> None:
    """Puts items, which must be new."""
    stored = await queue.put([item(key, **changes) for key in keys])
    assert None not in stored, stored


async def lease(
    queue: Queue, rows: int = 1, group: Group = GROUP, *, owner: str = "n/1", **limits: int
) -> list[Leased]:
    """Leases from one group."""
    want = Want(group, rows, limits.get("concurrency", 100), limits.get("account", 1000))
    return list((await queue.lease([want], owner=owner, lease_ms=15_000)).leased)


async def settle(queue: Queue, *moves: base.Move) -> Sequence[Moved]:
    """Moves rows."""
    return await queue.settle(moves)


def keys(rows: Sequence[Leased]) -> list[str]:
    """Their keys."""
    return [row.key for row in rows]


async def state(queue: Queue, key: str, group: Group = GROUP) -> TaskState | None:
    """The state of a row."""
    row = await queue.get(group, key)
    return row.state if row else None


# --- put and lease ----------------------------------------------------------------------------------------------------


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


# --- ends and fences --------------------------------------------------------------------------------------------------


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


# --- stop -------------------------------------------------------------------------------------------------------------


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


# --- time -------------------------------------------------------------------------------------------------------------


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


# --- reads ------------------------------------------------------------------------------------------------------------


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


CHECKS: list[Check] = [
    what_was_put_comes_back_whole,
    a_key_is_put_once_per_group_and_its_neighbours_do_not_notice,
    of_many_puts_of_one_key_at_once_one_is_stored,
    a_lease_takes_the_first_of_the_line,
    priority_counts_and_so_does_waiting,
    limits_count_the_rows_that_are_held,
    calls_take_effect_in_the_order_they_are_made,
    an_end_stands_for_ever,
    who_lost_a_lease_can_change_nothing,
    a_fenced_move_does_not_disturb_its_neighbours,
    an_end_and_what_it_puts_are_there_together,
    a_released_row_is_back_in_line_now_or_later,
    a_long_or_strange_error_is_kept_in_part,
    a_row_that_is_being_stopped_can_only_stop,
    a_waiting_row_stops_at_once_and_a_running_one_does_not,
    a_delayed_row_is_not_in_line_until_it_is_due,
    a_lease_that_is_kept_goes_on_and_one_that_is_not_is_found,
    what_waits_too_long_is_found_in_line_and_out_of_it,
    a_sweep_goes_on_behind_rows_that_are_left_as_they_are,
    an_ended_row_is_kept_and_then_dropped_and_its_key_is_free,
    a_clock_that_steps_back_does_not_hold_up_what_is_due,
    rows_of_an_earlier_start_are_found,
    lists_filter_and_their_pages_are_stable,
    counts_and_places_are_exact,
    news_reaches_the_lane_it_is_for,
    what_cannot_be_is_refused,
    a_stopped_queue_refuses,
    what_was_answered_outlives_the_process,
]
