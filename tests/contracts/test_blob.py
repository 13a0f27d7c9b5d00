"""Every blob store keeps the promises of `blob.base`."""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from functory.blob.file import FileBlob
from functory.blob.memory import MemoryBlob
from functory.testing import checks
from functory.testing.checks import blob as promises

MAKERS: dict[str, Callable[[Path], promises.MakeBlob]] = {
    "memory": lambda _: MemoryBlob,
    "file": lambda folder: lambda: FileBlob(folder / "blobs"),
}


@pytest.mark.parametrize("back_end", MAKERS)
@pytest.mark.parametrize("check", promises.CHECKS, ids=checks.name)
async def test_every_blob_store_keeps_its_promise(check: promises.Check, back_end: str, tmp_path: Path) -> None:
    await check(MAKERS[back_end](tmp_path))


@pytest.mark.parametrize("check", promises.DURABLE_CHECKS, ids=checks.name)
async def test_the_file_blob_outlives_its_process(check: promises.Check, tmp_path: Path) -> None:
    await check(MAKERS["file"](tmp_path))


async def test_a_full_memory_blob_says_so_and_keeps_nothing_of_it() -> None:
    await promises.a_full_disk_is_said_and_leaves_nothing(lambda: MemoryBlob(room_bytes=1_000_000))


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder with room for 1 MB: a file system of its own where that may be mounted, else a limit on file sizes."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() == 0 and subprocess.run(mount, check=False, capture_output=True).returncode == 0:
        yield folder
        subprocess.run(["umount", str(folder)], check=True)
        return
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    yield folder
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


async def test_a_full_disk_is_said_and_keeps_nothing_of_it(small_disk: Path) -> None:
    await promises.a_full_disk_is_said_and_leaves_nothing(lambda: FileBlob(small_disk / "blobs"))
    left = sorted(path.name for path in small_disk.rglob("*") if path.is_file())  # noqa: ASYNC240 - a test may block
    assert left == ["after", "small"]
