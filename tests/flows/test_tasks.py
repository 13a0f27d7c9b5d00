"""Tasks from acceptance to their end, over both queues, on a clock that jumps."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from functory.blob.memory import MemoryBlob
from functory.lifecycle import running
from functory.model import errors
from functory.model.invocation import Invocation, Kind, Outcome, Pending, Status
from functory.model.task import Task, TaskState
from functory.queue import base
from functory.queue.base import Group, Item, Lane, Want, lease_of
from functory.queue.fair import Limits
from functory.queue.pump import PumpConfig
from functory.tasks import head
from functory.tasks.accept import Accepted, Submission
from functory.tasks.configs import DEFAULT
from functory.tasks.dispatch import RESULT_BYTES
from functory.tasks.edit import Edit
from functory.tasks.service import TaskConfig
from functory.tasks.tasks import Filter
from functory.testing.clock import JumpingClock
from functory.testing.queues import sqlite_queue
from functory.testing.tasks import ACCOUNT, Behave, TaskNode, failed, ok, task_node

ENQUEUED, RUNNING, RETRYING = TaskState.ENQUEUED, TaskState.RUNNING, TaskState.RETRYING
SUCCEEDED, FAILED, EXPIRED, STOPPED = TaskState.SUCCEEDED, TaskState.FAILED, TaskState.EXPIRED, TaskState.STOPPED


def moves(task: Task) -> list[str]:
    return [event.state.name for event in task.events]


class Held:
    """Runs that end when the test says so; from then on, at once."""

    def __init__(self) -> None:
        self.pending: list[Pending] = []
        self.outcome: Outcome | None = None

    def __call__(self, _: Invocation) -> Pending:
        pending = Pending()
        if self.outcome is None:
            self.pending.append(pending)
        else:
            pending.resolve(self.outcome)
        return pending

    def answer(self, outcome: Outcome | None = None) -> None:
        self.outcome = outcome or ok()
        for pending in self.pending:
            pending.resolve(self.outcome)
        self.pending.clear()


def in_turn(*outcomes: Outcome) -> Behave:
    left = list(outcomes)
    return lambda _: left.pop(0) if len(left) > 1 else left[0]


# --- accept -----------------------------------------------------------------------------------------------------------


async def test_an_accepted_task_runs_and_its_answer_is_kept(tmp_path: Path) -> None:
    clock = JumpingClock()
    async with _node("sqlite", tmp_path, clock=clock) as node:
        accepted = await node.submit("echo", b"hello", task_id="first", trace_parent="00-1-2-01")
        task = await _until_ended(node, "first")
        assert (task.state, task.attempts, task.instance_id) == (SUCCEEDED, 1, "c-1")
        assert await node.service.tasks.result(task) == b"ok"
        assert await node.service.tasks.payload(task) == b"hello"
        assert moves(task) == ["ENQUEUED", "RUNNING", "SUCCEEDED"]
        (call,) = node.calls
        assert (call.payload, call.kind, call.task_id, call.attempt) == (b"hello", Kind.ASYNC, "first", 1)
        assert (call.request_id, call.trace_parent) == (accepted.request_id, "00-1-2-01")


async def test_a_task_without_an_id_goes_by_its_request_id() -> None:
    async with task_node() as node:
        accepted = await node.submit("echo")
        assert accepted.task_id == accepted.request_id
        assert (await node.ended(accepted.task_id)).state is SUCCEEDED


@pytest.mark.parametrize("back_end", ["memory", "sqlite"])
async def test_one_id_from_many_clients_at_once_runs_once(back_end: str, tmp_path: Path) -> None:
    async with _node(back_end, tmp_path) as node:
        answers = await asyncio.gather(
            *[node.submit("echo", task_id="same") for _ in range(64)], return_exceptions=True
        )
        assert sum(isinstance(answer, Accepted) for answer in answers) == 1
        assert sum(isinstance(answer, errors.TaskAlreadyExists) for answer in answers) == 63
        await node.submit("other", task_id="same")
        await _until_ended(node, "same")
        await _until_ended(node, "same", name="other")
        assert len(node.calls) == 2
        refused = node.submit("echo", task_id="same")
        with pytest.raises(errors.TaskAlreadyExists, match="'same'"):
            await refused


@pytest.mark.parametrize(
    ("wrong", "error"),
    [
        ({"function_name": "gone"}, errors.FunctionNotFound),
        ({"payload": bytes(131_073)}, errors.EntityTooLarge),
        ({"delay_s": -1}, errors.InvalidArgument),
        ({"delay_s": 3601}, errors.InvalidArgument),
        ({"delay_s": float("nan")}, errors.InvalidArgument),
        ({"priority": 10}, errors.InvalidArgument),
        ({"task_id": "1starts-with-a-digit"}, errors.InvalidArgument),
        ({"task_id": "a" * 129}, errors.InvalidArgument),
        ({"task_id": "a/b"}, errors.InvalidArgument),
        ({"task_id": "a\n"}, errors.InvalidArgument),
    ],
)
async def test_what_cannot_run_is_refused_before_anything_is_stored(
    wrong: dict[str, Any], error: type[errors.FunctoryError]
) -> None:
    async with task_node() as node:
        node.missing.add("gone")
        with pytest.raises(error):
            node.service.submit(Submission(**{"account_id": ACCOUNT, "function_name": "echo"} | wrong))
        assert not await node.service.tasks.summary(ACCOUNT)


async def test_the_largest_payload_is_accepted_and_comes_back_from_the_blob_store() -> None:
    payload = bytes(range(256)) * 512
    async with task_node() as node:
        accepted = await node.submit("echo", payload)
        task = await node.ended(accepted.task_id)
        assert node.calls[0].payload == payload
        assert task.payload.ref.startswith("tasks/20")
        assert await node.service.tasks.payload(task) == payload


async def test_a_payload_that_does_not_fit_on_the_disk_is_refused_and_leaves_no_task() -> None:
    blob = MemoryBlob(room_bytes=50_000)
    async with running(blob), task_node(blob=blob) as node:
        with pytest.raises(errors.StorageFull):
            await node.submit("echo", bytes(100_000), task_id="big")
        with pytest.raises(errors.TaskNotFound):
            await node.task("big")


async def test_a_damaged_payload_fails_its_task_by_name_of_the_checksum() -> None:
    clock, blob = JumpingClock(), MemoryBlob()
    async with running(blob), task_node(clock=clock, blob=blob) as node:
        await node.submit("echo", bytes(40_000), task_id="hurt", delay_s=10)
        (key,) = [key async for key in blob.list()]
        await blob.put(key, b"x" + bytes(39_999))
        await clock.advance(10)
        task = await node.ended("hurt")
        assert (task.state, task.error_type, node.calls) == (FAILED, "PayloadLost", [])
        assert "CRC-32" in task.error


async def test_a_delayed_task_starts_when_it_is_due_and_not_before() -> None:
    clock = JumpingClock()
    async with task_node(clock=clock) as node:
        await node.submit("echo", task_id="later", delay_s=3600)
        await clock.advance(3599.999)
        assert node.calls == []
        why = await node.service.tasks.why(ACCOUNT, "echo", "later")
        assert (why.reason, why.wait_ms) == ("Delayed", 1)
        await clock.advance(0.001)
        assert (await node.ended("later")).state is SUCCEEDED


# --- retries ----------------------------------------------------------------------------------------------------------


async def test_a_failing_function_is_tried_again_after_half_of_one_two_and_four_seconds() -> None:
    clock, times = JumpingClock(), []

    def behave(_: Invocation) -> Outcome:
        times.append(clock.monotonic_ns() // 1_000_000)
        return failed()

    async with task_node(behave, clock=clock) as node:
        await node.submit("echo", task_id="bad")
        await clock.advance(60)
        task = await node.task("bad")
        assert (task.state, task.attempts, task.deferrals) == (FAILED, 4, 0)
        assert [after - before for before, after in itertools.pairwise(times)] == [500, 1000, 2000]
        assert [call.attempt for call in node.calls] == [1, 2, 3, 4]
        assert await node.service.tasks.result(task) == b'{"errorMessage":"boom"}'
        assert moves(task) == ["ENQUEUED", *["RUNNING", "RETRYING"] * 3, "RUNNING", "FAILED"]


@pytest.mark.parametrize("status", [Status.THROTTLED, Status.SYSTEM])
async def test_what_the_platform_refuses_is_tried_by_the_official_times_and_uses_no_attempt(status: Status) -> None:
    clock, times = JumpingClock(), []

    def behave(_: Invocation) -> Outcome:
        times.append(clock.monotonic_ns() // 1_000_000)
        return Outcome(status=status, message="not now") if len(times) < 6 else ok()

    async with task_node(behave, clock=clock) as node:
        await node.configure("echo", max_retries=0)
        await node.submit("echo", task_id="t")
        await clock.advance(100)
        task = await node.task("t")
        assert (task.state, task.attempts, task.deferrals) == (SUCCEEDED, 1, 5)
        assert [after - before for before, after in itertools.pairwise(times)] == [
            500,
            1000,
            2000,
            4000,
            8000,
        ]


async def test_nothing_is_tried_once_a_task_is_too_old() -> None:
    clock = JumpingClock()
    async with task_node(lambda _: failed(Status.SYSTEM), clock=clock) as node:
        await node.configure("echo", max_age_s=60)
        await node.submit("echo", task_id="old")
        await clock.advance(58)
        assert (await node.task("old")).state is RETRYING
        await clock.advance(2)
        task = await node.task("old")
        assert task.state is EXPIRED
        count = len(node.calls)
        await clock.advance(3600)
        assert len(node.calls) == count


async def test_a_task_that_never_gets_a_place_expires_in_line() -> None:
    clock, held = JumpingClock(), Held()
    async with task_node(held, clock=clock) as node:
        node.limits["echo"] = Limits(concurrency=1)
        await node.configure("echo", max_age_s=30)
        await node.submit("echo", task_id="first")
        await node.submit("echo", task_id="second")
        await clock.advance(29)
        assert (await node.task("second")).state is ENQUEUED
        assert (await node.service.tasks.why(ACCOUNT, "echo", "second")).reason == "ConcurrencyLimit"
        await clock.advance(1)
        assert (await node.task("second")).state is EXPIRED
        held.answer()
        assert (await node.ended("first")).state is SUCCEEDED


async def test_a_function_deleted_with_tasks_waiting_fails_them_visibly() -> None:
    clock = JumpingClock()
    async with task_node(clock=clock) as node:
        await node.submit("echo", task_id="orphan", delay_s=5)
        node.missing.add("echo")
        await clock.advance(5)
        task = await node.ended("orphan")
        assert (task.state, task.error_type) == (FAILED, "FunctionNotFound")


async def test_a_poison_task_that_kills_its_instance_each_time_ends() -> None:
    clock = JumpingClock()
    async with task_node(lambda _: failed(Status.EXITED, error_type="X"), clock=clock) as node:
        await node.configure("echo", max_retries=8)
        await node.submit("echo", task_id="poison")
        await clock.advance(600)
        assert (await node.task("poison")).state is FAILED
        assert len(node.calls) == 9


async def test_ten_megabytes_of_error_text_do_no_harm() -> None:
    async with task_node(lambda _: failed(payload=b"e" * 10_000_000)) as node:
        await node.configure("echo", max_retries=0)
        await node.submit("echo", task_id="t")
        task = await node.ended("t")
        assert len(task.error) <= 4096
        assert (task.result.size_bytes, task.result.ref) == (10_000_000, "")


@pytest.mark.parametrize(
    ("size", "kept"), [(32_768, True), (32_769, True), (RESULT_BYTES, True), (RESULT_BYTES + 1, False)]
)
async def test_a_result_is_kept_up_to_a_megabyte_and_beyond_only_its_length(size: int, kept: bool) -> None:
    async with task_node(lambda _: ok(b"r" * size)) as node:
        accepted = await node.submit("echo")
        task = await node.ended(accepted.task_id)
        assert task.result.size_bytes == size
        assert len(await node.service.tasks.result(task)) == (size if kept else 0)


# --- limits and fairness ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("back_end", ["memory", "sqlite"])
async def test_a_function_never_runs_more_than_its_limit_and_all_of_its_tasks_run(
    back_end: str, tmp_path: Path
) -> None:
    clock, most, now = JumpingClock(), 0, 0

    def behave(_: Invocation) -> Pending:
        nonlocal most, now
        now += 1
        most = max(most, now)
        pending = Pending()

        def end() -> None:
            nonlocal now
            now -= 1
            pending.resolve(ok())

        asyncio.get_running_loop().call_soon(end)
        return pending

    async with _node(back_end, tmp_path, behave, clock=clock) as node:
        node.limits["echo"] = Limits(concurrency=3)
        await asyncio.gather(*[node.submit("echo", task_id=f"t{number}") for number in range(50)])
        for number in range(50):
            await _until_ended(node, f"t{number}")
        assert most == 3


async def test_a_backlog_does_not_hold_up_another_function() -> None:
    clock, held = JumpingClock(), Held()
    config = TaskConfig(pump=PumpConfig(capacity=16))
    async with task_node(held, clock=clock, config=config) as node:
        for number in range(500):
            await node.submit("backlog", task_id=f"t{number}")
        await node.submit("quick", task_id="mine")
        assert any(call.function_name == "quick" for call in node.calls)
        held.answer()


async def test_a_rate_limit_spreads_the_starts() -> None:
    clock = JumpingClock()
    async with task_node(clock=clock) as node:
        node.limits["echo"] = Limits(rate_per_s=5)
        for number in range(20):
            await node.submit("echo", task_id=f"t{number}")
        await clock.advance(0.001)
        assert len(node.calls) == 5
        why = await node.service.tasks.why(ACCOUNT, "echo", "t19")
        assert (why.reason, why.ahead, "5 tasks a second" in why.sentence) == ("RateLimit", 14, True)
        await clock.advance(1)
        assert len(node.calls) == 10
        await clock.advance(2)
        assert len(node.calls) == 20


async def test_throttles_make_the_dispatcher_modest_until_it_goes_well_again() -> None:
    clock, full = JumpingClock(), True

    def behave(_: Invocation) -> Outcome:
        return Outcome(status=Status.THROTTLED, message="full", retry_after_ms=1000) if full else ok()

    async with task_node(behave, clock=clock) as node:
        await asyncio.gather(*[node.submit("echo", task_id=f"t{number}") for number in range(200)])
        await clock.advance(0.05)
        first = len(node.calls)
        assert first <= 100
        full = False
        await clock.advance(300)
        counts = (await node.service.tasks.summary(ACCOUNT))[0].counts
        assert counts == {"Succeeded": 200}


# --- long runs, crashes, stops ----------------------------------------------------------------------------------------


async def test_a_task_of_twenty_leases_runs_once() -> None:
    clock, held = JumpingClock(), Held()
    async with task_node(held, clock=clock) as node:
        await node.submit("echo", task_id="long")
        await clock.advance(20 * 15)
        assert len(node.calls) == 1
        held.answer()
        task = await node.ended("long")
        assert (task.state, task.crashes, task.attempts) == (SUCCEEDED, 0, 1)


async def test_a_clock_that_steps_back_an_hour_neither_doubles_nor_delays_anything() -> None:
    clock, held = JumpingClock(), Held()
    async with task_node(held, clock=clock) as node:
        await node.submit("echo", task_id="running")
        await node.submit("echo", task_id="delayed", delay_s=10)
        clock.step_wall(-3600)
        await clock.advance(10)
        assert [call.task_id for call in node.calls] == ["running", "delayed"]
        clock.step_wall(7200)
        await clock.advance(60)
        assert len(node.calls) == 2
        held.answer()
        task = await node.ended("running")
        assert task.ended_at_ms >= task.accepted_at_ms


async def test_the_tasks_of_a_node_that_died_go_on_at_once_and_its_late_answers_do_not_count(tmp_path: Path) -> None:
    held, old_clock, clock = Held(), JumpingClock(), JumpingClock()
    async with AsyncExitStack() as stack:
        queue = await stack.enter_async_context(sqlite_queue(tmp_path / "db", old_clock))
        dead = await stack.enter_async_context(task_node(held, clock=old_clock, queue=queue))
        await dead.submit("echo", task_id="cut")
        await _until(lambda: bool(held.pending))
        queue2 = await stack.enter_async_context(sqlite_queue(tmp_path / "db", clock))
        node = await stack.enter_async_context(task_node(lambda _: ok(b"second"), clock=clock, queue=queue2))
        task = await _until_ended(node, "cut")
        assert (task.state, task.crashes) == (SUCCEEDED, 1)
        held.answer(ok(b"first"))
        await _until(lambda: dead.service.pump.fenced == 1)
        assert await node.service.tasks.result(await node.task("cut")) == b"second"


@pytest.mark.parametrize("lost_before", [0, 9])
async def test_a_lost_task_goes_on_unless_it_was_lost_ten_times(lost_before: int) -> None:
    clock = JumpingClock()
    async with task_node(clock=clock) as node:
        group = Group(Lane.TASK, ACCOUNT, "killer")
        item = Item(group=group, key="k", max_age_ms=10**9, head=head.encode(DEFAULT), owner="n2/1", lease_ms=1000)
        (stored,) = await node.queue.put([item])
        assert stored is not None
        leased = lease_of(item, stored)
        for _ in range(lost_before):
            await node.queue.settle([base.move(leased, RETRYING, crashes=1)])
            want = Want(group, 1, 10, 10)
            (leased,) = (await node.queue.lease([want], owner="n2/1", lease_ms=1000)).leased
        await clock.advance(30)
        task = await node.task("k", "killer")
        assert (task.state, task.crashes) == ((SUCCEEDED, 1) if not lost_before else (FAILED, 10))
        assert (task.error_type == "WorkerLost") == bool(lost_before)


async def test_a_graceful_stop_hands_back_what_does_not_end_in_time_and_the_next_start_runs_it(tmp_path: Path) -> None:
    clock, held = JumpingClock(), Held()
    async with sqlite_queue(tmp_path / "db", clock) as queue:
        async with task_node(held, clock=clock, queue=queue) as first:
            await first.submit("echo", task_id="t")
            await _until(lambda: bool(held.pending))
            stopping = asyncio.create_task(first.service.stop())
            await clock.wait_armed()
            await clock.advance(10)
            await stopping
            assert first.cancelled == [(first.calls[0].request_id, 0)]
            task = await first.task("t")
            assert (task.state, task.crashes, task.attempts) == (ENQUEUED, 0, 0)
        async with task_node(clock=clock, queue=queue) as second:
            assert (await _until_ended(second, "t")).state is SUCCEEDED


async def test_a_waiting_task_stops_at_once() -> None:
    async with task_node(clock=JumpingClock()) as node:
        await node.submit("echo", task_id="t", delay_s=100)
        assert (await node.service.tasks.stop(ACCOUNT, "echo", "t")).state is STOPPED
        assert (await node.service.tasks.stop(ACCOUNT, "echo", "t")).state is STOPPED
        assert node.calls == []


async def test_a_running_task_is_asked_to_end_and_stops_whatever_it_answers() -> None:
    clock, held = JumpingClock(), Held()
    async with task_node(held, clock=clock) as node:
        accepted = await node.submit("echo", task_id="t")
        await node.reached("t", RUNNING)
        assert (await node.service.tasks.stop(ACCOUNT, "echo", "t")).state is TaskState.STOPPING
        assert node.cancelled == [(accepted.request_id, 10.0)]
        held.answer(ok())
        task = await node.ended("t")
        assert task.state is STOPPED
        assert moves(task) == ["ENQUEUED", "RUNNING", "STOPPING", "STOPPED"]


async def test_a_running_task_that_does_not_listen_is_stopped_after_the_grace() -> None:
    clock, held = JumpingClock(), Held()
    async with task_node(held, clock=clock) as node:
        await node.submit("echo", task_id="t")
        await node.reached("t", RUNNING)
        await node.service.tasks.stop(ACCOUNT, "echo", "t")
        await clock.advance(10.9)
        assert (await node.task("t")).state is TaskState.STOPPING
        await clock.advance(0.1)
        assert (await node.task("t")).state is STOPPED
        held.answer()


async def test_an_ended_or_unknown_task_cannot_be_stopped() -> None:
    async with task_node() as node:
        await node.submit("echo", task_id="t")
        await node.ended("t")
        with pytest.raises(errors.TaskEnded, match="succeeded"):
            await node.service.tasks.stop(ACCOUNT, "echo", "t")
        with pytest.raises(errors.TaskNotFound, match="missing"):
            await node.service.tasks.stop(ACCOUNT, "echo", "missing")


# --- lists, reruns ----------------------------------------------------------------------------------------------------


async def test_lists_filter_and_page_through_everything_once() -> None:
    async with task_node(lambda call: failed() if call.task_id.startswith("bad") else ok()) as node:
        await node.configure("echo", max_retries=0)
        for number in range(25):
            await node.submit("echo", task_id=f"{'bad' if number % 5 == 0 else 'good'}-{number:02}")
        for number in range(25):
            await node.ended(f"{'bad' if number % 5 == 0 else 'good'}-{number:02}")
        seen, token = [], ""
        while True:
            page = await node.service.tasks.list(ACCOUNT, "echo", Filter(limit=10, newest_first=False), token=token)
            seen += [task.task_id[-2:] for task in page.tasks]
            token = page.next_token
            if not token:
                break
            await node.submit("echo", task_id=f"good-x{len(seen)}")
        assert seen[:25] == [f"{number:02}" for number in range(25)]
        bad = await node.service.tasks.list(ACCOUNT, "echo", Filter(states=frozenset({FAILED})))
        assert len(bad.tasks) == 5
        assert bad.next_token == ""
        prefixed = await node.service.tasks.list(ACCOUNT, "echo", Filter(prefix="bad-1"))
        assert [task.task_id for task in prefixed.tasks] == ["bad-15", "bad-10"]
        for wrong in (0, 101):
            with pytest.raises(errors.InvalidArgument):
                await node.service.tasks.list(ACCOUNT, "echo", Filter(limit=wrong))
        with pytest.raises(errors.InvalidArgument):
            await node.service.tasks.list(ACCOUNT, "echo", Filter(), token="'; drop table")


async def test_an_ended_task_runs_again_as_a_new_one_with_an_edited_payload() -> None:
    async with task_node(lambda call: ok() if call.payload == b"right" else failed()) as node:
        await node.configure("echo", max_retries=0)
        await node.submit("echo", b"wrong", task_id="t")
        assert (await node.ended("t")).state is FAILED
        again = await node.service.tasks.rerun(ACCOUNT, "echo", "t", edit=Edit(payload=b"right"), new_id="t-2")
        assert (await node.ended(again.task_id)).state is SUCCEEDED
        assert (await node.task("t")).state is FAILED
        assert [call.payload for call in node.calls] == [b"wrong", b"right"]


async def test_all_dead_tasks_run_again_and_only_they() -> None:
    broken = True
    async with task_node(lambda call: failed() if broken and call.task_id != "good" else ok()) as node:
        await node.configure("echo", max_retries=0)
        for task_id in ("bad1", "good", "bad2"):
            await node.submit("echo", task_id=task_id)
            await node.ended(task_id)
        broken = False
        first = await node.service.tasks.rerun_many(ACCOUNT, "echo", Filter(limit=1))
        rest = await node.service.tasks.rerun_many(ACCOUNT, "echo", Filter(limit=1), token=first.next_token)
        assert (first.keys, rest.keys, rest.next_token) == (["bad1-again"], ["bad2-again"], "")
        for task_id in (*first.keys, *rest.keys):
            assert (await node.ended(task_id)).state is SUCCEEDED


async def test_a_running_task_says_how_far_it_is() -> None:
    held = Held()
    async with task_node(held) as node:
        await node.submit("echo", task_id="t")
        await node.reached("t", RUNNING)
        await node.service.tasks.progress(ACCOUNT, "echo", "t", '{"done": 0.5}')
        assert (await node.task("t")).progress == '{"done": 0.5}'
        held.answer()
        await node.ended("t")
        with pytest.raises(errors.TaskEnded):
            await node.service.tasks.progress(ACCOUNT, "echo", "t", "1")
        with pytest.raises(errors.EntityTooLarge):
            await node.service.tasks.progress(ACCOUNT, "echo", "t", "x" * 5000)


async def test_an_old_task_is_forgotten_with_its_blobs_and_its_id_is_free() -> None:
    clock, blob = JumpingClock(), MemoryBlob()
    slow = PumpConfig(lease_ms=21_600_000)  # so that a week has few heartbeats
    config = TaskConfig(pump=slow, deliveries=slow)
    async with running(blob), task_node(lambda _: ok(bytes(40_000)), clock=clock, blob=blob, config=config) as node:
        await node.submit("echo", bytes(40_000), task_id="t")
        await node.ended("t")
        assert len([key async for key in blob.list()]) == 2
        await clock.advance(7 * 86_400 + 10)
        with pytest.raises(errors.TaskNotFound):
            await node.task("t")
        assert [key async for key in blob.list()] == []
        await node.submit("echo", task_id="t")


# --- helpers ----------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def _node(
    back_end: str, folder: Path, behave: Behave = lambda _: ok(), *, clock: JumpingClock | None = None
) -> AsyncIterator[TaskNode]:
    clock = clock or JumpingClock()
    if back_end == "memory":
        async with task_node(behave, clock=clock) as node:
            yield node
        return
    async with (
        sqlite_queue(folder / "db", clock) as queue,
        task_node(behave, clock=clock, queue=queue) as node,
    ):
        yield node


async def _until(condition: Callable[[], bool]) -> None:
    """For queues with a thread: turns of the loop until it is so."""
    async with asyncio.timeout(20):
        while not condition():
            await _turn()


async def _until_ended(node: TaskNode, task_id: str, name: str = "echo") -> Task:
    async with asyncio.timeout(20):
        while True:
            task = await node.task(task_id, name)
            if task.ended_at_ms:
                return task
            await _turn()


async def _turn() -> None:
    """The other thread gets its turn too."""
    await asyncio.to_thread(lambda: None)
