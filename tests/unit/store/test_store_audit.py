"""The audit trail is bounded, and those who only look do not push out those who change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from functory.clock import SystemClock
from functory.lifecycle import running
from functory.store import audit, cipher
from functory.store.base import Store
from functory.store.memory import MemoryStore
from functory.store.sqlite import SqliteStore
from functory.store.sqlite import audit as sqlite_audit
from functory.testing.checks import samples
from functory.testing.checks.store_parts import event


def sqlite(folder: Path) -> Store:
    return SqliteStore(folder / "db", clock=SystemClock(), cipher=cipher.from_key_file(folder / "key"))


def memory(_: Path) -> Store:
    return MemoryStore()


@pytest.mark.parametrize("make", [sqlite, memory])
async def test_the_oldest_events_of_each_kind_go(
    make: Callable[[Path], Store], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(audit, "KEEP_CHANGES", 4)
    monkeypatch.setattr(audit, "KEEP_LOOKS", 2)
    monkeypatch.setattr(sqlite_audit, "TRIM_EVERY", 1)
    async with running(store := make(tmp_path)):
        await store.audit.append([event(n) for n in range(6)])
        await store.audit.append([event(n, changes=False) for n in range(6, 60)])
        found = [one.request_id for _, one in await store.audit.list(samples.ACCOUNT)]
    assert found == ["r59", "r58", "r5", "r4", "r3", "r2"]
