"""Every store keeps the promises of `store.base`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from functory.clock import SystemClock
from functory.store import cipher
from functory.store.memory import MemoryStore
from functory.store.sqlite import SqliteStore
from functory.testing import checks
from functory.testing.checks import samples
from functory.testing.checks import store as promises


def sqlite_maker(folder: Path) -> samples.MakeStore:
    secrets = cipher.from_key_file(folder / "data.key")
    return lambda: SqliteStore(folder / "functory.db", clock=SystemClock(), cipher=secrets)


def memory_maker(_: Path) -> samples.MakeStore:
    return MemoryStore


MAKERS: dict[str, Callable[[Path], samples.MakeStore]] = {"memory": memory_maker, "sqlite": sqlite_maker}


@pytest.mark.parametrize("back_end", MAKERS)
@pytest.mark.parametrize("check", promises.CHECKS, ids=checks.name)
async def test_every_store_keeps_its_promise(check: samples.Check, back_end: str, tmp_path: Path) -> None:
    await check(MAKERS[back_end](tmp_path))


@pytest.mark.parametrize("check", promises.DURABLE_CHECKS, ids=checks.name)
async def test_the_sqlite_store_outlives_its_process(check: samples.Check, tmp_path: Path) -> None:
    await check(sqlite_maker(tmp_path))
