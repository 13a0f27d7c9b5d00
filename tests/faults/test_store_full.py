"""A full disk: it is said, what was acknowledged stays, and work goes on once there is room."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from functory.clock import SystemClock
from functory.lifecycle import running
from functory.model import errors
from functory.store import cipher
from functory.store.sqlite import SqliteStore
from functory.testing.checks import samples


class SmallDisk(NamedTuple):
    """A folder with little room."""

    folder: Path
    make_room: Callable[[], None]


def _mounted(folder: Path) -> bool:
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)]
    return os.geteuid() == 0 and subprocess.run(mount, check=False, capture_output=True).returncode == 0


@pytest.fixture(params=["disk", "file size"])
def small_disk(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[SmallDisk]:
    """A file system of 3 MB, half of it taken, where one may be mounted; or a limit of 1 MB on the size of files."""
    if request.param == "disk":
        if not _mounted(tmp_path):
            pytest.skip("only root can mount a small disk; the limit on file sizes is tested everywhere")
        (tmp_path / "filler").write_bytes(bytes(1_500_000))
        yield SmallDisk(tmp_path, (tmp_path / "filler").unlink)
        subprocess.run(["umount", str(tmp_path)], check=True)
        return
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    yield SmallDisk(tmp_path, lambda: resource.setrlimit(resource.RLIMIT_FSIZE, before))
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def fill(store: SqliteStore, kept: list[str]) -> None:
    for number in range(1000):
        name = f"f{number}"
        await store.functions.create(samples.function(name, description="x" * 50_000))
        kept.append(name)


async def test_a_full_disk_is_said_and_passes(small_disk: SmallDisk) -> None:
    path = small_disk.folder / "x.db"
    async with running(store := SqliteStore(path, clock=SystemClock(), cipher=cipher.AesCipher(bytes(32)))):
        kept: list[str] = []
        with pytest.raises(errors.StorageFull, match="disk is full"):
            await fill(store, kept)
        assert kept
        assert sorted(each.name for each in await store.functions.all()) == sorted(kept)
        with pytest.raises(errors.StorageFull):
            await store.requests.append([samples.record(1)], [samples.log(1, text=b"x" * 2_000_000)])
        small_disk.make_room()
        await store.functions.create(samples.function("after", description="x" * 50_000))
        kept.append("after")
    async with running(again := SqliteStore(path, clock=SystemClock(), cipher=cipher.AesCipher(bytes(32)))):
        assert sorted(each.name for each in await again.functions.all()) == sorted(kept)
        assert list(await again.requests.list(samples.ACCOUNT)) == []
