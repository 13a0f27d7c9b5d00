"""Reads of more than one condition."""

from __future__ import annotations

from typing import Any

import apsw

from functory.model.task import TaskState
from functory.queue.base import MAX_AHEAD, Query, Row
from functory.queue.sqlite import rows
from functory.queue.sqlite.rows import SQL, FindGroup


def page(query: Query, group_id: int) -> tuple[str, dict[str, Any]]:
    """The SQL of a page, and its values. Only what is asked for stands in it, so that an index serves it."""
    bound: dict[str, Any] = {"group_id": group_id, "limit": query.limit}
    where: list[str] = []
    if query.states:
        where.append(f"state IN ({', '.join(str(int(state)) for state in sorted(query.states))})")
        if min(query.states) > TaskState.SUCCEEDED:
            where.append("state > 10")  # said again so that SQLite sees the partial index
    if query.key_prefix:
        where.append("substr(key, 1, length(:prefix)) = :prefix")
        bound["prefix"] = query.key_prefix
    if query.qualifier:
        where.append("qualifier = :qualifier")
        bound["qualifier"] = query.qualifier
    if query.created_from_ms:
        where.append("created_ms >= :from_ms")
        bound["from_ms"] = query.created_from_ms
    if query.created_to_ms:
        where.append("created_ms <= :to_ms")
        bound["to_ms"] = query.created_to_ms
    if query.after_id:
        where.append("id < :after_id" if query.newest_first else "id > :after_id")
        bound["after_id"] = query.after_id
    order = "DESC" if query.newest_first else "ASC"
    conditions = "".join(f" AND {condition}" for condition in where)
    return SQL["list"].replace("{where}", conditions).replace("{order}", order), bound


def place(connection: apsw.Connection, group_id: int, key: str, find: FindGroup) -> tuple[Row, int, int] | None:
    """A row, how many stand before it, and how many slots its group holds."""
    values = connection.execute(SQL["get"], (group_id, key)).fetchone()
    if values is None:
        return None
    row = rows.to_row(values, find)
    ahead = 0
    if row.rank is not None:
        bound = {"group_id": group_id, "rank": row.rank, "id": row.id, "limit": MAX_AHEAD}
        ahead = _number(connection, "ahead", bound)
    return row, ahead, _number(connection, "slots", (group_id,))


def _number(connection: apsw.Connection, query: str, bound: Any) -> int:
    row = connection.execute(SQL[query], bound).fetchone()
    return int(row[0]) if row else 0
