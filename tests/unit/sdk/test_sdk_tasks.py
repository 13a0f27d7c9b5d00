"""Waiting for a task: what is asked, how often, and what comes of it."""

from __future__ import annotations

from typing import Any

import pytest

from functory.sdk import task_waits, tasks
from functory.sdk.credentials import Credentials
from functory.sdk.task_answers import AsyncTask
from functory.sdk.task_waits import TaskFailed, TaskNotEnded
from functory.sdk.tasks import Tasks
from functory.sdk.transport import Transport

KEYS = Credentials(endpoint="http://127.0.0.1:1", access_key_id="a", access_key_secret="b")


class Scripted(Tasks):
    """Answers one state after the other, the last for ever."""

    def __init__(self, *statuses: str) -> None:
        self.pauses: list[float] = []
        super().__init__(Transport(KEYS), pause=self.pauses.append)
        self._statuses = list(statuses)

    def get(self, function: str, task_id: str) -> AsyncTask:
        status = self._statuses.pop(0) if len(self._statuses) > 1 else self._statuses[0]
        return AsyncTask(task_id=task_id, status=status, task_error_message="why" if status == "Failed" else "")

    def result(self, function: str, task_id: str) -> bytes:
        return b"answer"


def submitted(scripted: Scripted) -> Any:
    return tasks.Submitted(scripted, "f", "t", "r")


def test_a_result_is_asked_for_with_growing_pauses() -> None:
    scripted = Scripted(*["Running"] * 20, "Succeeded")
    assert submitted(scripted).result() == b"answer"
    assert scripted.pauses[0] == task_waits.FIRST_PAUSE_S
    assert scripted.pauses == sorted(scripted.pauses)
    assert scripted.pauses[-1] == task_waits.LONGEST_PAUSE_S


@pytest.mark.parametrize("status", ["Failed", "Expired", "Stopped"])
def test_an_end_without_an_answer_is_raised_with_its_task(status: str) -> None:
    with pytest.raises(TaskFailed, match=f"task 't' ended {status}") as failed:
        submitted(Scripted("Retrying", status)).result()
    assert failed.value.task.status == status
    assert submitted(Scripted(status)).wait().status == status, "wait answers any end"


def test_a_wait_ends_after_its_time_and_the_task_goes_on() -> None:
    scripted = Scripted("Enqueued")
    with pytest.raises(TaskNotEnded, match="is Enqueued after 0 s") as over:
        submitted(scripted).result(wait_s=0)
    assert over.value.task.status == "Enqueued"
    assert scripted.pauses == []
