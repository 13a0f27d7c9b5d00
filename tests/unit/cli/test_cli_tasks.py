"""How tasks are shown and followed."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

from rich.console import Console

from functory.cli import task_tables
from functory.cli.task_watch import watch
from functory.sdk.credentials import Credentials
from functory.sdk.errors import ApiError
from functory.sdk.task_answers import AsyncTask, Counts, TaskEvent, TaskPage
from functory.sdk.tasks import Tasks
from functory.sdk.transport import Transport

KEYS = Credentials(endpoint="http://127.0.0.1:1", access_key_id="a", access_key_secret="b")


def text(what: Any, width: int = 120) -> str:
    console = Console(width=width, record=True, file=None, force_terminal=False)
    with console.capture() as captured:
        console.print(what)
    return captured.get()


def task(task_id: str, status: str, **fields: Any) -> AsyncTask:
    return AsyncTask(task_id=task_id, status=status, events=[TaskEvent(status=status, timestamp=1)], **fields)


def test_a_summary_counts_by_state_and_sums_up_several_functions() -> None:
    one = Counts(function_name="a", counts={"Succeeded": 9998, "Expired": 2})
    alone = text(task_tables.summary([one]))
    assert alone.split() == [
        *("FUNCTION", "ENQUEUED", "RUNNING", "SUCCEEDED", "FAILED", "EXPIRED", "ALL"),
        *("a", "·", "·", "9,998", "·", "2", "10,000"),
    ]
    both = text(task_tables.summary([one, Counts(function_name="b", counts={"Running": 1})])).splitlines()
    assert both[-1].split() == ["all", "·", "1", "9,998", "·", "2", "10,001"]


def test_a_narrow_list_keeps_id_and_state() -> None:
    found = [task("nightly-7", "Failed", task_error_message="x" * 200, progress={"done": 1})]
    wide, narrow = (text(task_tables.listed(found, width), width) for width in (160, 30))
    assert "ERROR" in wide
    assert '{"done":1}' in wide
    for word in ("nightly-7", "Failed"):
        assert word in narrow
    assert "ERROR" not in narrow


def test_a_failure_of_a_function_reads_as_a_sentence() -> None:
    error = '{"errorMessage": "no luck", "errorType": "ValueError", "stackTrace": ["File index.py, line 7"]}'
    one = task("t", "Failed", task_error_message=error)
    assert "ValueError: no luck" in text(task_tables.listed([one], 160), 160)
    assert "stackTrace" not in text(task_tables.listed([one], 160), 160)
    assert text(task_tables.line(one)).rstrip().endswith("ValueError: no luck")
    shown = text(task_tables.details(one))
    assert "ValueError: no luck" in shown
    assert "File index.py, line 7" in shown
    for other in ("out of memory", "[1]", "{}", '{"errorMessage": 5}'):
        assert task_tables.explained(other) == other


def test_what_is_long_is_cut_and_said_to_be() -> None:
    shown = text(task_tables.details(task("t", "Succeeded", task_payload="p" * 3000)))
    assert "2.9 KB" in shown
    assert shown.count("p") < 1000


class Changing(Tasks):
    """A list of tasks that is another one at each look."""

    def __init__(self, *looks: Sequence[AsyncTask], others: dict[str, AsyncTask] | None = None) -> None:
        super().__init__(Transport(KEYS))
        self._looks = list(looks)
        self._others = others or {}

    def page(self, function: str, **_: Any) -> TaskPage:
        return TaskPage(tasks=list(self._looks.pop(0)))

    def get(self, function: str, task_id: str) -> AsyncTask:
        if task_id not in self._others:
            raise ApiError(404, "StatefulAsyncInvocationNotFound", "gone")
        return self._others[task_id]


class Enough(Exception):
    """The test has seen what it wants."""


def seen(tasks: Changing, looks: int) -> list[tuple[str, str]]:
    found = []
    left = [None] * (looks - 1)

    def pause(_: float) -> None:
        if not left:
            raise Enough
        left.pop()

    with contextlib.suppress(Enough):
        for one in watch(tasks, "f", every_s=1, pause=pause):
            found.append((one.task_id, one.status))
    return found


def test_each_change_is_told_once_oldest_first() -> None:
    first = [task("b", "Running"), task("a", "Running")]
    second = [task("b", "Running"), task("a", "Succeeded")]
    assert seen(Changing(first, first, second, second), 4) == [("a", "Running"), ("b", "Running"), ("a", "Succeeded")]


def test_one_that_has_left_the_newest_page_is_still_followed_to_its_end() -> None:
    others = {"old": task("old", "Failed")}
    looks = ([task("old", "Running"), task("gone", "Running")], [task("new", "Succeeded")], [task("new", "Succeeded")])
    assert seen(Changing(*looks, others=others), 3)[2:] == [("old", "Failed"), ("new", "Succeeded")]
