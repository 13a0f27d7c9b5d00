"""Random sequences: the SQLite store and its in-memory twin give the same answers, errors included."""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeAlias

from hypothesis import given, settings
from hypothesis import strategies as st

from functory.clock import SystemClock
from functory.lifecycle import running
from functory.model import errors
from functory.model.invocation import Status
from functory.model.record import Record
from functory.store import cipher
from functory.store.base import Store
from functory.store.memory import MemoryStore
from functory.store.sqlite import SqliteStore
from functory.testing.checks import samples

Step: TypeAlias = Callable[[Store], Awaitable[Any]]

names = st.sampled_from(["a", "a_", "a_b", "aXb", "b", "B", "_", "1x"])
prefixes = st.sampled_from(["", "a", "a_", "%", "b", "_"])
limits = st.integers(0, 4)
seconds = st.sampled_from([-90_000, -61, -60, -1, 0, 1, 59, 60, 3600])
numbers = st.integers(0, 3)
request_ids = st.builds(samples.request_id, seconds, numbers) | st.just("bad")
cursors = st.just("") | request_ids


def create(name: str, epoch: int) -> Step:
    return lambda store: store.functions.create(samples.function(name, epoch=epoch))


def replace(name: str, epoch: int, text: str) -> Step:
    return lambda store: store.functions.replace(samples.function(name, epoch=epoch, description=text))


def delete(name: str) -> Step:
    return lambda store: store.functions.delete(samples.ACCOUNT, name)


def get(name: str) -> Step:
    return lambda store: store.functions.get(samples.ACCOUNT, name)


def page(prefix: str, after: str, limit: int) -> Step:
    return lambda store: store.functions.list(samples.ACCOUNT, prefix=prefix, after=after, limit=limit)


FUNCTION_STEPS = st.one_of(
    st.builds(create, names, st.integers(0, 2)),
    st.builds(replace, names, st.integers(1, 4), st.text(max_size=3)),
    st.builds(delete, names),
    st.builds(get, names),
    st.builds(page, prefixes, names | st.just(""), limits),
)


def record(second: int, number: int) -> Record:
    """Always the same for one request: a fact is never written twice with another content."""
    return samples.record(second, number, name=("hello", "other")[number % 2], status=Status((second + number) % 9))


def append(batch: list[tuple[int, int]], logs: list[tuple[int, int, int]]) -> Step:
    records = [record(second, number) for second, number in batch]
    lines = [samples.log(second, number, b"%d" % at_ms, at_ms=at_ms) for second, number, at_ms in logs]
    return lambda store: store.requests.append(records, lines)


def newest(function: str, failed_only: bool, before: str, limit: int) -> Step:
    return lambda store: store.requests.list(
        samples.ACCOUNT, function=function, failed_only=failed_only, before=before, limit=limit
    )


def one(request_id: str) -> Step:
    return lambda store: store.requests.get(samples.ACCOUNT, request_id)


def logs(request_id: str) -> Step:
    return lambda store: store.requests.logs(request_id)


def function_logs(after: str, before: str, limit: int) -> Step:
    return lambda store: store.requests.function_logs(samples.ACCOUNT, "hello", after=after, before=before, limit=limit)


def drop(day: str) -> Step:
    return lambda store: store.requests.drop_before(day)


functions = st.sampled_from(["hello", "other"])
REQUEST_STEPS = st.one_of(
    st.builds(
        append,
        st.lists(st.tuples(seconds, numbers), max_size=6),
        st.lists(st.tuples(seconds, numbers, st.integers(0, 2)), max_size=4),
    ),
    st.builds(newest, functions | st.just(""), st.booleans(), cursors, st.integers(1, 6)),
    st.builds(one, request_ids),
    st.builds(logs, request_ids),
    st.builds(function_logs, cursors, cursors, st.integers(1, 5)),
    st.builds(drop, st.sampled_from(["20251231", "20260101", "20260102", "x"])),
)


async def answer(store: Store, step: Step) -> Any:
    """What it answers: the value, or the kind of error and its words."""
    try:
        value = await step(store)
    except errors.FunctoryError as error:
        return type(error), str(error)
    return list(value) if isinstance(value, list | tuple) else value


async def compare(steps: list[Step]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        sqlite = SqliteStore(Path(folder, "x.db"), clock=SystemClock(), cipher=cipher.AesCipher(bytes(32)))
        async with running(sqlite, memory := MemoryStore()):
            for number, step in enumerate(steps):
                answers = [await answer(store, step) for store in (sqlite, memory)]
                assert answers[0] == answers[1], f"step {number}"


@settings(max_examples=40, deadline=None)
@given(st.lists(FUNCTION_STEPS, max_size=25))
def test_functions_are_the_same_in_both(steps: list[Step]) -> None:
    asyncio.run(compare(steps))


@settings(max_examples=60, deadline=None)
@given(st.lists(REQUEST_STEPS, max_size=20))
def test_requests_are_the_same_in_both(steps: list[Step]) -> None:
    asyncio.run(compare(steps))
