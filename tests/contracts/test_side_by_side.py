"""Requests side by side on one Python instance, as threads and as coroutines: each has its own context and log."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from functory.sandbox.process import ProcessSandboxes
from functory.sandbox.safe import SafeSandboxes
from functory.testing.workshop import Workshop

COMMON = """
import contextvars, json, logging
mine = contextvars.ContextVar("mine", default="nobody")
"""
THREADS = (
    COMMON
    + """
import threading
everybody = threading.Barrier(SIZE)
def handler(event, context):
    seen = mine.get()
    mine.set(context.request_id)
    everybody.wait(30)
    print("printed by", context.request_id)
    logging.getLogger().warning("logged by %s", context.request_id)
    everybody.wait(30)
    return {"before": seen, "after": mine.get(), "request": context.request_id}
"""
)
COROUTINES = (
    COMMON
    + """
import asyncio
here, everybody = 0, asyncio.Event()
async def later(context):
    await asyncio.sleep(0)
    print("printed by", context.request_id)
async def handler(event, context):
    global here
    seen = mine.get()
    mine.set(context.request_id)
    here += 1
    if here == SIZE:
        everybody.set()
    await everybody.wait()
    await asyncio.create_task(later(context))
    logging.getLogger().warning("logged by %s", context.request_id)
    return {"before": seen, "after": mine.get(), "request": context.request_id}
"""
)


@pytest.fixture(scope="module")
def workshop() -> Iterator[Workshop]:
    with Workshop(SafeSandboxes(ProcessSandboxes())) as workshop:
        yield workshop


@pytest.mark.parametrize("size", [2, 200])
@pytest.mark.parametrize("source", [THREADS, COROUTINES], ids=["threads", "coroutines"])
def test_each_of_many_has_its_own_context_variables_and_log(workshop: Workshop, source: str, size: int) -> None:
    running = workshop.start(source.replace("SIZE", str(size)), concurrency=size, memory_mb=512)
    streams = {running.talk.send(b"", request_id=f"1-{number:03d}"): f"1-{number:03d}" for number in range(size)}
    for stream, request_id in streams.items():
        answer = running.talk.answer(stream)
        assert json.loads(answer.body) == {"before": "nobody", "after": request_id, "request": request_id}
        log = answer.log.decode()
        assert f"printed by {request_id}\n" in log
        assert f"logged by {request_id}" in log
        assert log.count(" by ") == 2, "lines of others are not among its own"


def test_threads_serve_no_more_at_once_than_the_concurrency(workshop: Workshop) -> None:
    source = """
import threading
now, most, lock, gate = 0, 0, threading.Lock(), threading.Event()
def handler(event, context):
    global now, most
    with lock:
        now += 1
        most = max(most, now)
        if now == 3: gate.set()
    gate.wait(30)
    with lock: now -= 1
    return str(most)
"""
    running = workshop.start(source, concurrency=3)
    streams = [running.talk.send(b"") for _ in range(9)]
    assert max(int(running.talk.answer(stream).body) for stream in streams) == 3
