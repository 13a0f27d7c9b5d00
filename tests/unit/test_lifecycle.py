"""Services: started in order, stopped in reverse, whatever fails in between."""

from __future__ import annotations

import asyncio

import pytest

from functory import lifecycle


class Part:
    """A service that writes down what happens to it."""

    def __init__(self, name: str, story: list[str], *, start: str = "", stop: str = "") -> None:
        self._name = name
        self._story = story
        self._failures = {"start": start, "stop": stop}

    async def start(self) -> None:
        self._tell("start")

    async def stop(self) -> None:
        self._tell("stop")

    def _tell(self, what: str) -> None:
        self._story.append(f"{what} {self._name}")
        if self._failures[what]:
            raise OSError(self._failures[what])


async def test_parts_start_in_order_and_stop_in_reverse() -> None:
    story: list[str] = []
    async with lifecycle.running(Part("a", story), Part("b", story)):
        story.append("work")
    assert story == ["start a", "start b", "work", "stop b", "stop a"]


async def test_a_part_that_cannot_start_stops_those_that_stand_and_only_those() -> None:
    story: list[str] = []
    parts = [Part("a", story), Part("b", story), Part("c", story, start="port taken"), Part("d", story)]
    with pytest.raises(OSError, match="port taken"):
        await lifecycle.start_all(parts)
    assert story == ["start a", "start b", "start c", "stop b", "stop a"]


async def test_a_cancelled_start_stops_those_that_stand() -> None:
    story: list[str] = []
    reached = asyncio.Event()

    class Slow(Part):
        async def start(self) -> None:
            reached.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(lifecycle.start_all([Part("a", story), Slow("b", story)]))
    await reached.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert story == ["start a", "stop a"]


async def test_all_parts_are_stopped_though_some_fail_and_all_failures_are_told() -> None:
    story: list[str] = []
    parts = [Part("a", story, stop="one"), Part("b", story), Part("c", story, stop="two")]
    with pytest.raises(ExceptionGroup) as caught:
        await lifecycle.stop_all(parts)
    assert story == ["stop c", "stop b", "stop a"]
    assert [str(failure) for failure in caught.value.exceptions] == ["two", "one"]


async def test_the_parts_are_stopped_when_the_block_fails() -> None:
    story: list[str] = []
    with pytest.raises(LookupError):
        async with lifecycle.running(Part("a", story)):
            raise LookupError
    assert story == ["start a", "stop a"]
