"""Rows of functions and accounts in memory: `store.parts.Rows` and `Runs`, and audit events."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

from functory.model.audit import AuditEvent
from functory.store import audit, parts, rules

T = TypeVar("T")

Key = tuple[str, str, str, str]


class MemoryRows:
    """All rows; also its own `Runs`. `bodies`: the functions, by account and name."""

    def __init__(self, check: Callable[[], None], bodies: dict[tuple[str, str], bytes]) -> None:
        self._check = check
        self._bodies = bodies
        self._rows: dict[Key, bytes] = {}
        self._counters: dict[tuple[str, str], int] = {}

    async def change(self, work: Callable[[parts.Rows], T]) -> T:
        """Nothing of it is there if it raises."""
        self._check()
        rows, counters = dict(self._rows), dict(self._counters)
        try:
            return work(self)
        except BaseException:
            self._rows, self._counters = rows, counters
            raise

    async def look(self, work: Callable[[parts.Rows], T]) -> T:
        self._check()
        return work(self)

    def drop(self, account_id: str, name: str) -> None:
        """The function is gone, and all of this with it."""
        self._counters.pop((account_id, name), None)
        for key in [key for key in self._rows if key[1:3] == (account_id, name) and key[0] not in parts.FREE]:
            del self._rows[key]

    def function(self, account_id: str, name: str) -> bytes | None:
        return self._bodies.get((account_id, name))

    def next_version(self, account_id: str, name: str) -> int:
        self._counters[account_id, name] = self._counters.get((account_id, name), 0) + 1
        return self._counters[account_id, name]

    def get(self, kind: str, account_id: str, function: str, key: str) -> bytes | None:
        return self._rows.get((kind, account_id, function, key))

    def put(self, kind: str, account_id: str, function: str, key: str, body: bytes) -> None:
        self._rows[kind, account_id, function, key] = body

    def delete(self, kind: str, account_id: str, function: str, key: str) -> None:
        self._rows.pop((kind, account_id, function, key), None)

    def page(
        self, kind: str, account_id: str, function: str, after: tuple[str, str], limit: int, *, backwards: bool = False
    ) -> Iterable[bytes]:
        fits = [
            key
            for key in sorted(self._rows, reverse=backwards)
            if key[:2] == (kind, account_id)
            and function in ("", key[2])
            and (key[2:] > after if not backwards else not after[0] or key[2:] < after)
        ]
        return [self._rows[key] for key in fits[:limit]]

    def count(self, kind: str, account_id: str, function: str) -> int:
        return sum(key[:3] == (kind, account_id, function) for key in self._rows)

    def every(self, kind: str) -> Iterable[bytes]:
        return [body for key, body in sorted(self._rows.items()) if key[0] == kind]


class MemoryAudit:
    """`store.base.Audit`."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._events: list[tuple[int, AuditEvent]] = []
        self._last = 0

    async def append(self, events: Sequence[AuditEvent]) -> None:
        """Adds a batch; what is too much goes."""
        self._check()
        for event in events:
            self._last += 1
            self._events.append((self._last, event))
        for changes, keep in ((False, audit.KEEP_LOOKS), (True, audit.KEEP_CHANGES)):
            of_kind = [row for row, event in self._events if event.changes is changes]
            if len(of_kind) > keep:
                gone = set(of_kind[:-keep])
                self._events = [entry for entry in self._events if entry[0] not in gone]

    async def list(
        self, account_id: str, *, before: int = 0, changes_only: bool = False, limit: int = 100
    ) -> Sequence[tuple[int, AuditEvent]]:
        """Newest first."""
        rules.check_text("accountId", account_id)
        rules.check_limit(limit)
        self._check()
        return [
            entry
            for entry in reversed(self._events)
            if entry[1].account_id == account_id
            and entry[0] < (before or rules.END)
            and (entry[1].changes or not changes_only)
        ][:limit]
