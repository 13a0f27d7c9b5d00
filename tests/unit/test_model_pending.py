"""The waist: an outcome that is not there yet, and what a status means."""

from __future__ import annotations

import asyncio

import pytest

from functory.model import ids, invocation
from functory.model.invocation import FAULT, MAY_RETRY, Fault, Kind, Outcome, Pending, Status, resolved


def _ok(payload: bytes = b"") -> Outcome:
    return Outcome(status=Status.OK, payload=payload)


def test_callbacks_run_in_the_order_they_were_added() -> None:
    pending, seen = Pending(), list[int]()
    for number in range(3):
        pending.then(lambda _, number=number: seen.append(number))  # type: ignore[misc]
    assert seen == []
    pending.resolve(_ok())
    assert seen == [0, 1, 2]


def test_a_callback_added_afterwards_runs_at_once() -> None:
    pending, seen = Pending(), list[Outcome]()
    outcome = _ok()
    pending.resolve(outcome)
    pending.then(seen.append)
    assert seen == [outcome]


def test_a_callback_added_by_a_callback_runs_too() -> None:
    pending, seen = Pending(), list[str]()
    pending.then(lambda outcome: pending.then(lambda _: seen.append("inner")))
    pending.then(lambda _: seen.append("outer"))
    pending.resolve(_ok())
    assert sorted(seen) == ["inner", "outer"]


def test_the_first_outcome_stands() -> None:
    pending, seen = Pending(), list[Outcome]()
    pending.then(seen.append)
    first = _ok(b"first")
    pending.resolve(first)
    pending.resolve(_ok(b"second"))
    assert (pending.outcome, seen) == (first, [first])


async def test_a_pending_outcome_can_be_awaited_by_several() -> None:
    pending = Pending()

    async def wait() -> bytes:
        return (await pending).payload

    waiters = [asyncio.create_task(wait()) for _ in range(2)]
    await asyncio.sleep(0)
    pending.resolve(_ok(b"x"))
    assert await asyncio.gather(*waiters) == [b"x", b"x"]
    assert (await pending).payload == b"x"


async def test_an_awaiting_task_that_was_cancelled_does_not_disturb_the_outcome() -> None:
    pending, seen = Pending(), list[Outcome]()

    async def wait() -> Outcome:
        return await pending

    waiter = asyncio.create_task(wait())
    await asyncio.sleep(0)
    waiter.cancel()
    pending.then(seen.append)
    pending.resolve(_ok())
    with pytest.raises(asyncio.CancelledError):
        await waiter
    assert len(seen) == 1


async def test_a_resolved_pending_answers_without_a_loop_turn() -> None:
    pending = resolved(_ok(b"now"))
    with pytest.raises(StopIteration) as answered:
        next(pending.__await__())
    assert answered.value.value.payload == b"now"


def test_every_status_has_a_fault_and_only_our_own_troubles_are_worth_a_retry() -> None:
    assert set(FAULT) == set(Status)
    assert {status for status in Status if FAULT[status] in (Fault.LIMIT, Fault.SYSTEM)} == MAY_RETRY
    assert {status.value for status in Status} == set(range(len(Status))), "the numbers are stored: never reuse one"


def test_an_invocation_starts_without_a_function_and_with_the_latest_version() -> None:
    made = invocation.Invocation(request_id="r", account_id="1", function_name="f", accepted_ns=1)
    assert (made.function, made.qualifier, made.kind, made.attempt) == (None, ids.LATEST, Kind.SYNC, 1)
