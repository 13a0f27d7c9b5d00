"""The numbers of groups: given on the loop, written with the first row that needs them."""

from __future__ import annotations

from collections.abc import Iterable

import apsw

from functory.queue.base import Group
from functory.queue.sqlite.rows import SQL


class Groups:
    """All groups by number and back. Held in memory: as many as functions and destinations."""

    def __init__(self) -> None:
        self._ids: dict[Group, int] = {}
        self._groups: dict[int, Group] = {}
        self._unsaved: set[Group] = set()

    def load(self, rows: Iterable[tuple[int, int, str, str]]) -> None:
        """What is stored."""
        for id_, lane, account_id, name in rows:
            group = Group(lane, account_id, name)
            self._ids[group] = id_
            self._groups[id_] = group
        self._unsaved.clear()

    def id_of(self, group: Group) -> int:
        """Its number; a new one if it has none."""
        id_ = self._ids.get(group)
        if id_ is None:
            id_ = self._ids[group] = len(self._groups) + 1
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
        return [(self._ids[group], *group) for group in set(groups) & self._unsaved]

    def saved(self, rows: Iterable[tuple[int, int, str, str]]) -> None:
        """These rows are durable."""
        for _, lane, account_id, name in rows:
            self._unsaved.discard(Group(lane, account_id, name))


def save(connection: apsw.Connection, rows: Iterable[tuple[int, int, str, str]]) -> None:
    """Write groups; harmless for those that are there."""
    for row in rows:
        connection.execute(SQL["add_group"], row)
