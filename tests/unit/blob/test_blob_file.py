"""The file blob beside its contract: what a killed process leaves, and who may read."""

from __future__ import annotations

import stat
from pathlib import Path

from functory.blob.file import FileBlob
from functory.lifecycle import running


async def test_what_a_killed_process_left_half_written_is_removed_at_the_start(tmp_path: Path) -> None:
    folder = tmp_path / "blobs"
    async with running(blob := FileBlob(folder)):
        await blob.put("code/x", b"whole")
    (folder / "code+" / "+writing-7").write_bytes(b"ha")
    (folder / "+writing-0").write_bytes(b"")
    async with running(blob := FileBlob(folder)):
        assert [key async for key in blob.list()] == ["code/x"]
        assert sorted(path.name for path in folder.rglob("*")) == ["code+", "x"]
        await blob.put("y", b"")  # begins to number anew


async def test_only_the_owner_may_read_blobs(tmp_path: Path) -> None:
    folder = tmp_path / "blobs"
    async with running(blob := FileBlob(folder)):
        await blob.put("code/x", b"1")
    for path in (folder, *folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
