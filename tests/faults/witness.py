"""Looks at the tasks of a node from outside, in its file, and remembers: who was there, and how each one ended."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import apsw

from functory.model.task import ENDED, TaskState
from functory.queue.base import Lane
from functory.tasks import head

Found = dict[str, tuple[Any, ...]]
"""By task id: row, id, state, end, result, error type, history, rules."""
_ROWS = (
    "SELECT q.id, q.key, q.state, q.ended_ms, q.result, q.error_type, q.history, q.head"
    " FROM queue q JOIN queue_groups g ON g.id = q.group_id WHERE q.lane = ? AND g.name = ?"
)


class Witness:
    """Of one function's tasks."""

    def __init__(self, function: str) -> None:
        self._function = function
        self._ends: Found = {}

    def look(self, folder: Path, acknowledged: set[str]) -> Found:
        """All tasks, as they stand in a dead node's folder; fails if any is lost or an end has changed.

        It looks at a copy: to open the file would repair it before the node can.
        """
        copy = folder / "copy"
        copy.mkdir()
        for name in ("functory.db", "functory.db-wal"):
            if (folder / name).exists():
                shutil.copy(folder / name, copy)
        connection = apsw.Connection(str(copy / "functory.db"))
        rows = {row[1]: row for row in connection.execute(_ROWS, (int(Lane.TASK), self._function))}
        told = [key for (key,) in connection.execute("SELECT key FROM queue WHERE lane = ?", (int(Lane.DELIVERY),))]
        connection.close()
        shutil.rmtree(copy)
        self._compare(rows, acknowledged)
        _told_once(rows, told)
        return rows

    def _compare(self, rows: Found, acknowledged: set[str]) -> None:
        lost = acknowledged - rows.keys()
        assert not lost, f"of {len(acknowledged)} acknowledged tasks {len(lost)} are lost: {sorted(lost)[:5]}"
        changed = [(end, rows.get(id_)) for id_, end in self._ends.items() if rows.get(id_) != end]
        assert not changed, f"of {len(self._ends)} ends {len(changed)} are not what they were: {changed[:2]}"
        self._ends = {id_: row for id_, row in rows.items() if row[2] in ENDED}

    @property
    def ends(self) -> int:
        """How many ends it has seen."""
        return len(self._ends)


def _told_once(rows: Found, told: list[str]) -> None:
    """One record for every end that has a destination, and none for what has not ended."""
    due = set()
    for id_, _, state, *_, rules in rows.values():
        to = head.decode(rules)
        if state in ENDED and (to.on_success if state == TaskState.SUCCEEDED else to.on_failure):
            due.add(str(id_))
    assert len(set(told)) == len(told), "an end has two records"
    assert set(told) == due, f"{len(due)} ends are to be told, {len(told)} records are there"
