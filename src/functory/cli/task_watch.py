"""Following tasks as they move on."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

from functory.sdk.errors import ApiError
from functory.sdk.task_answers import AsyncTask
from functory.sdk.tasks import Tasks

OPEN_MAX = 100
"""Older tasks that have not ended are asked for one by one: so many at most."""


def watch(
    tasks: Tasks, function: str, *, every_s: float, pause: Callable[[float], None] = time.sleep
) -> Iterator[AsyncTask]:
    """The newest tasks of a function, then each again whenever its state or progress has changed, for ever."""
    seen: dict[str, tuple[str, object]] = {}
    while True:
        newest = tasks.page(function).tasks
        listed = {one.task_id for one in newest}
        older = [id_ for id_, (status, _) in seen.items() if status and id_ not in listed][-OPEN_MAX:]
        for one in [*_again(tasks, function, older), *reversed(newest)]:
            state = (one.status, one.progress)
            if seen.get(one.task_id) not in (state, ("", None)):
                yield one
            seen[one.task_id] = ("", None) if one.ended else state
        for id_ in [id_ for id_, (status, _) in seen.items() if not status and id_ not in listed]:
            del seen[id_]
        pause(every_s)


def _again(tasks: Tasks, function: str, ids: list[str]) -> Iterator[AsyncTask]:
    for task_id in ids:
        try:
            yield tasks.get(function, task_id)
        except ApiError as refusal:
            if refusal.status != 404:
                raise
