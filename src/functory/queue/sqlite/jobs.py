"""What the writer's thread does for the queue: each function is one transaction's worth of work.

Batches are written in one go and looked at row by row only if some of them turn out to be duplicates or fenced, which
is rare: then what was written is taken back and each row is tried for itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import apsw

from functory.model.task import TaskState
from functory.queue.base import Leased, Move, Moved, Ref, Want
from functory.queue.sqlite import groups, rows
from functory.queue.sqlite.rows import SQL, FindGroup

Values = tuple[Any, ...]
GroupRows = Sequence[tuple[int, int, str, str]]


class Change(NamedTuple):
    """One move, ready to be written."""

    move: Move
    query: str
    values: Values
    puts: Sequence[Values]


def put(connection: apsw.Connection, new_groups: GroupRows, items: Sequence[Values]) -> list[bool]:
    """Stores items; False for each whose key is taken."""
    groups.save(connection, new_groups)
    if len(items) > 1:
        connection.execute("SAVEPOINT batch")
        if _all_changed(connection, SQL["put"], items):
            connection.execute("RELEASE batch")
            return [True] * len(items)
        connection.execute("ROLLBACK TO batch; RELEASE batch")
    return [_changed(connection, SQL["put"], values) for values in items]


def settle(connection: apsw.Connection, new_groups: GroupRows, changes: Sequence[Change]) -> list[Moved]:
    """Makes moves, each for itself fenced. What is fenced leaves no trace, not even a new group."""
    if len(changes) > 1:
        connection.execute("SAVEPOINT batch")
        if _all_moved(connection, new_groups, changes):
            connection.execute("RELEASE batch")
            return [Moved.DONE] * len(changes)
        connection.execute("ROLLBACK TO batch; RELEASE batch")
    return [_settle_one(connection, new_groups, change) for change in changes]


def _all_moved(connection: apsw.Connection, new_groups: GroupRows, changes: Sequence[Change]) -> bool:
    by_query: dict[str, list[Values]] = {}
    puts: list[Values] = []
    for change in changes:
        by_query.setdefault(change.query, []).append(change.values)
        puts += change.puts
    if not all(_all_changed(connection, SQL[query], batch) for query, batch in by_query.items()):
        return False
    if puts:
        groups.save(connection, new_groups)
        connection.executemany(SQL["put"], puts)
    return True


def _settle_one(connection: apsw.Connection, new_groups: GroupRows, change: Change) -> Moved:
    if not _changed(connection, SQL[change.query], change.values):
        id_, epoch = change.move.ref
        now = connection.execute(SQL["state_of"], (id_,)).fetchone()
        stopping = now == (TaskState.STOPPING, epoch) and change.move.to is not TaskState.STOPPING
        return Moved.STOPPING if stopping else Moved.FENCED
    if change.puts:
        groups.save(connection, new_groups)
    for item in change.puts:
        connection.execute(SQL["put"], item)
    return Moved.DONE


def lease(
    connection: apsw.Connection, wants: Sequence[tuple[int, Want]], owner: str, now_ms: int, until_ms: int,
    find: FindGroup,
) -> tuple[list[Leased], list[int]]:  # fmt: skip
    """Gives out the first of each line within the limits; also the groups with nothing left."""
    held: Any = connection.execute(SQL["held"]).fetchall()
    slots: dict[int, int] = dict(held)
    accounts: dict[tuple[int, str], int] = {}
    for group_id, count in slots.items():
        group = find(group_id)
        key = (group.lane, group.account_id)
        accounts[key] = accounts.get(key, 0) + count
    given: list[Leased] = []
    empty: list[int] = []
    event = rows.event(TaskState.RUNNING, now_ms)
    for group_id, want in wants:
        key = (want.group.lane, want.group.account_id)
        room = min(
            want.rows,
            want.concurrency - slots.get(group_id, 0),
            want.account_concurrency - accounts.get(key, 0),
        )
        if room <= 0:
            continue
        values = {
            "owner": owner, "until": until_ms, "now": now_ms, "event": event, "group_id": group_id, "count": room,
        }  # fmt: skip
        taken = [rows.to_leased(row, find) for row in connection.execute(SQL["lease"], values).fetchall()]
        taken.sort(key=lambda leased: (leased.due_ms + leased.priority * 60_000, leased.id))
        given += taken
        slots[group_id] = slots.get(group_id, 0) + len(taken)
        accounts[key] = accounts.get(key, 0) + len(taken)
        if len(taken) < room:
            empty.append(group_id)
    return given, empty


def extend(connection: apsw.Connection, refs: Sequence[Ref], until_ms: int) -> list[TaskState | None]:
    """Keeps leases; None where one is lost."""
    connection.executemany(SQL["extend"], [(until_ms, *ref) for ref in refs])
    states: list[TaskState | None] = []
    for ref in refs:
        row = connection.execute(SQL["lease_state"], ref).fetchone()
        states.append(TaskState(row[0]) if row else None)
    return states


def sweep(
    connection: apsw.Connection, lane: int, now_ms: int, limit: int, after: tuple[int, int]
) -> tuple[list[int], list[Values], list[Values], int]:
    """Groups that came into line (once per row), overdue rows, references of purged rows, the next time to look."""
    bound = {"lane": lane, "now": now_ms, "limit": limit}
    ready: Any = [group_id for (group_id,) in connection.execute(SQL["promote"], bound).fetchall()]
    purged: Any = connection.execute(SQL["purge"], bound).fetchall()
    overdue: Any = connection.execute(SQL["overdue"], {**bound, "after_ms": after[0], "after_id": after[1]}).fetchall()
    next_row: Any = connection.execute(SQL["next_wake"], (lane, now_ms)).fetchone()
    return ready, overdue, purged, next_row[0] or 0


def _changed(connection: apsw.Connection, sql: str, values: Values) -> bool:
    connection.execute(sql, values)
    return connection.changes() > 0


def _all_changed(connection: apsw.Connection, sql: str, batch: Iterable[Values]) -> bool:
    before = connection.total_changes()
    batch = list(batch)
    connection.executemany(sql, batch)
    return connection.total_changes() - before == len(batch)
