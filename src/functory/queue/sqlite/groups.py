"""The numbers of groups: given on the loop, written with the first row that needs them."""

from __future__ import annotations

from collections.abc import Iterable

import apsw

from functory.model import errors
from functory.queue.base import Group
from functory.queue.sqlite.rows import SQL


class Groups:
    """All groups by number and back. Held in memory: as many as functions and destinations."""

    def __init__(self) -> None:
        self._ids: dict[Group, int] = {}
        self._groups: dict[int, Group] = {}
        self._unsaved: set[Group] = set()
        self._last = 0

    def load(self, rows: Iterable[tuple[int, int, str, str]]) -> None:
        """What is stored."""
        for id_, lane, account_id, name in rows:
            group = Group(lane, account_id, name)
            self._ids[group] = id_
            self._groups[id_] = group
            self._last = max(self._last, id_)
        self._unsaved.clear()

    def id_of(self, group: Group) -> int:
        """Its number; a new one if it has none."""
        id_ = self._ids.get(group)
        if id_ is None:
            # Not their count: a number whose first row was never stored leaves a gap.
            self._last += 1
            id_ = self._ids[group] = self._last
            self._groups[id_] = group
            self._unsaved.add(group)
        return id_

    def known(self, group: Group) -> int:
        """Its number; 0, which no group has, if it has none."""
        return self._ids.get(group, 0)

    def by_id(self, id_: int) -> Group:
        """The group of a number."""
        return self._groups[id_]

    def of(self, lane: int, account_id: str = "") -> list[Group]:
        """The groups of a lane, and of an account if one is named."""
        return sorted(group for group in self._ids if group.lane == lane and account_id in ("", group.account_id))

    def unsaved(self, groups: Iterable[Group]) -> list[tuple[int, int, str, str]]:
        """Rows to write before these groups' first rows."""
        if not self._unsaved:
            return []
        return [(self._ids[group], *group) for group in sorted(set(groups) & self._unsaved)]

    def saved(self, rows: Iterable[tuple[int, int, str, str]]) -> None:
        """These rows are durable."""
        for _, lane, account_id, name in rows:
            self._unsaved.discard(Group(lane, account_id, name))


def save(connection: apsw.Connection, rows: Iterable[tuple[int, int, str, str]]) -> None:
    """Write groups; harmless for those that are there.

    `Unavailable` if a group has another number: then another process works on this database, and rows of ours would
    land in its groups.
    """
    for row in rows:
        connection.execute(SQL["add_group"], row)
        if connection.execute(SQL["group_id"], row[1:]).fetchone() != (row[0],):
            raise errors.Unavailable(f"another process gave the work of '{row[3]}' a number of its own")
