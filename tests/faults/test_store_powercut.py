"""Power cuts: whatever the disk had not been told to keep may be gone, in any mixture. What was acknowledged is there.

The disk is `forgetful.Disk`. What a cut leaves is opened with the ordinary file layer.
"""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import NamedTuple

import apsw
import pytest

from faults.forgetful import Disk, ForgetfulLayer
from functory.clock import SystemClock
from functory.lifecycle import running
from functory.store import cipher
from functory.store.sqlite import SqliteStore, connect
from functory.testing.checks import samples

CUTS = 250
WRITERS = 12


class Cut(NamedTuple):
    """The files as they may be after the power went, and what had been acknowledged before."""

    files: dict[str, bytes]
    acknowledged: list[str]


async def write_until_cut(disk: Disk, folder: Path, seed: int) -> list[Cut]:
    """Write with many writers; cut the power at random moments, in between and within."""
    chance = random.Random(seed)
    acknowledged: list[str] = []
    cuts: list[Cut] = []

    def maybe_cut() -> None:
        if len(cuts) < CUTS and acknowledged and chance.random() < 0.4:
            cuts.append(Cut(disk.after_a_cut(chance), list(acknowledged)))

    store = SqliteStore(
        folder / "x.db", clock=SystemClock(), cipher=cipher.AesCipher(bytes(32)), vfs=ForgetfulLayer.NAME
    )
    async with running(store):
        disk.on_change = maybe_cut

        async def write(writer: int) -> None:
            number = 0
            while len(cuts) < CUTS:
                number += 1
                name = f"f{writer}_{number}"
                await store.functions.create(samples.function(name))
                acknowledged.append(name)
                if number > 6:
                    await store.functions.delete(samples.ACCOUNT, f"f{writer}_{number - 6}")
                    acknowledged.append(f"-f{writer}_{number - 6}")

        await asyncio.gather(*map(write, range(WRITERS)))
        disk.on_change = lambda: None
    return cuts


def lost(cut: Cut, folder: Path) -> str:
    """What is wrong after this cut; empty if all is as it was acknowledged."""
    folder.mkdir()
    for name, data in cut.files.items():
        if not name.endswith("-shm"):
            (folder / name).write_bytes(data)
    try:
        connection = apsw.Connection(str(folder / "x.db"))
        if connection.pragma("integrity_check") != "ok":
            return "the database is damaged"
        there = {name for (name,) in connection.execute("SELECT name FROM functions")}
        connection.close()
    except apsw.Error as failure:
        return str(failure)
    gone = {name[1:] for name in cut.acknowledged if name.startswith("-")}
    kept = {name for name in cut.acknowledged if not name.startswith("-")} - gone
    # A writer deletes its oldest soon: what is missing may have been deleted by a write not yet acknowledged.
    open_deletes = {oldest for writer in range(WRITERS) if (oldest := _oldest(kept, writer))}
    missing = kept - there - open_deletes
    return f"missing {sorted(missing)}, still there {sorted(gone & there)}" if missing or gone & there else ""


def _oldest(names: set[str], writer: int) -> str:
    own = sorted((int(name.split("_")[1]), name) for name in names if name.startswith(f"f{writer}_"))
    return own[0][1] if len(own) > 6 else ""


@pytest.mark.parametrize("seed", [1, 2])
async def test_what_was_acknowledged_outlives_a_power_cut(disk: Disk, tmp_path: Path, seed: int) -> None:
    cuts = await write_until_cut(disk, tmp_path, seed)
    assert len(cuts) == CUTS
    found = [(number, wrong) for number, cut in enumerate(cuts) if (wrong := lost(cut, tmp_path / f"cut{number}"))]
    assert found == []


async def test_the_same_cuts_do_lose_what_is_not_synced(
    disk: Disk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connect, "WRITER", connect.WRITER.replace("synchronous = FULL", "synchronous = NORMAL"))
    cuts = await write_until_cut(disk, tmp_path, 1)
    assert any(lost(cut, tmp_path / f"cut{number}") for number, cut in enumerate(cuts))
