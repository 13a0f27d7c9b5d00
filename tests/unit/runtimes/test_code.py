"""The code store: by content, whole or not at all."""

from __future__ import annotations

import asyncio
import hashlib
import io
import os
import stat
import subprocess
import zipfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from functory.blob.file import FileBlob
from functory.blob.memory import MemoryBlob
from functory.lifecycle import running
from functory.model import errors
from functory.runtimes import archive
from functory.runtimes.code import CodeLimits, CodeStore


def zipped(**files: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for name, text in files.items():
            made.writestr(f"{name}.py", text)
    return file.getvalue()


ZIP = zipped(index="def handler(event, context): return event\n")
DIGEST = hashlib.sha256(ZIP).hexdigest()


@pytest.fixture
async def blob() -> AsyncIterator[MemoryBlob]:
    async with running(blob := MemoryBlob()):
        yield blob


@pytest.fixture
async def store(blob: MemoryBlob, tmp_path: Path) -> AsyncIterator[CodeStore]:
    async with running(store := CodeStore(blob, tmp_path / "code", CodeLimits())):
        yield store


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def test_added_code_can_be_opened_and_downloaded(store: CodeStore, tmp_path: Path) -> None:
    code = await store.add(ZIP)
    assert (code.digest, code.checksum, code.size_bytes) == (DIGEST, archive.crc64(ZIP), len(ZIP))
    path = await store.open(DIGEST)
    assert path == tmp_path / "code" / DIGEST
    assert (path / "index.py").read_text().startswith("def handler")
    assert await store.zip(DIGEST) == ZIP


async def test_the_same_zip_twice_is_one_also_at_once(store: CodeStore, blob: MemoryBlob, tmp_path: Path) -> None:
    codes = await asyncio.gather(*(store.add(ZIP) for _ in range(8)))
    assert {code.digest for code in codes} == {DIGEST}
    await store.add(ZIP)
    assert names(tmp_path / "code") == [DIGEST]
    assert [key async for key in blob.list()] == [f"code/{DIGEST}.zip"]


async def test_a_wrong_checksum_is_refused_and_nothing_kept(store: CodeStore, blob: MemoryBlob, tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidArgument, match="CRC-64"):
        await store.add(ZIP, checksum="123")
    assert names(tmp_path / "code") == []
    await store.add(ZIP, checksum=archive.crc64(ZIP))


async def test_a_refused_zip_leaves_nothing(store: CodeStore, blob: MemoryBlob, tmp_path: Path) -> None:
    with pytest.raises(errors.InvalidArgument):
        await store.add(zipped(index="x" * 100)[:-25])
    damaged = bytearray(zipped(index="x" * 100))
    damaged[60] ^= 1
    with pytest.raises(errors.InvalidArgument, match="broken"):
        await store.add(bytes(damaged))
    assert names(tmp_path / "code") == []
    assert [key async for key in blob.list()] == []


async def test_code_that_is_too_large_is_refused_before_anything_is_done(blob: MemoryBlob, tmp_path: Path) -> None:
    async with running(store := CodeStore(blob, tmp_path / "code", CodeLimits(zip_bytes=10))):
        with pytest.raises(errors.EntityTooLarge):
            await store.add(ZIP)


async def test_a_missing_folder_is_made_again_from_the_zip(store: CodeStore, tmp_path: Path) -> None:
    await store.add(ZIP)
    path = await store.open(DIGEST)
    (path / "index.py").unlink()
    path.rmdir()
    opened = await asyncio.gather(store.open(DIGEST), store.open(DIGEST))
    assert set(opened) == {path}
    assert (path / "index.py").read_text().startswith("def handler")


async def test_lost_and_damaged_code_is_said(store: CodeStore, blob: MemoryBlob) -> None:
    for call in (store.zip("0" * 64), store.open("0" * 64)):
        with pytest.raises(errors.StorageCorrupt, match="lost"):
            await call
    await blob.put(f"code/{DIGEST}.zip", ZIP + b"x")
    for call in (store.zip(DIGEST), store.open(DIGEST)):
        with pytest.raises(errors.StorageCorrupt, match="damaged"):
            await call


@pytest.mark.parametrize("digest", ["", "..", "../../etc", "0" * 63, "A" * 64, "0" * 64 + "\n", ".making-0"])
async def test_only_a_hash_can_be_part_of_a_path(store: CodeStore, digest: str) -> None:
    for call in (store.zip(digest), store.open(digest)):
        with pytest.raises(errors.InvalidArgument):
            await call


async def test_every_instance_may_read_code_and_none_may_write(store: CodeStore, tmp_path: Path) -> None:
    old = os.umask(0o077)
    try:
        await store.add(zipped(index="1", other="2"))
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "code").stat().st_mode) == 0o755
    for path in (tmp_path / "code").rglob("*"):
        assert stat.S_IMODE(path.stat().st_mode) == (0o755 if path.is_dir() else 0o644)


async def test_collecting_spares_what_is_kept_and_what_is_young(
    store: CodeStore, blob: MemoryBlob, tmp_path: Path
) -> None:
    old, kept = [(await store.add(zipped(index=text))).digest for text in ("old", "kept")]
    assert await store.collect({kept}) == 0  # both are young
    young = (await store.add(zipped(index="young"))).digest
    assert await store.collect({kept}) == 1
    assert names(tmp_path / "code") == sorted([kept, young])
    assert [key async for key in blob.list()] == sorted(f"code/{digest}.zip" for digest in (kept, young))
    assert await store.collect({kept}) == 1
    with pytest.raises(errors.StorageCorrupt):
        await store.open(old)
    assert await store.collect(set()) == 1


async def test_what_a_kill_left_is_removed_at_the_start_and_by_collecting(blob: MemoryBlob, tmp_path: Path) -> None:
    half = tmp_path / "code" / ".making-0"
    half.mkdir(parents=True)
    (half / "index.py").write_text("ha")
    await blob.put(f"code/{DIGEST}.zip", ZIP)  # killed after the zip, before the rename
    async with running(store := CodeStore(blob, tmp_path / "code", CodeLimits())):
        assert names(tmp_path / "code") == []
        assert await store.collect(set()) == 1
        assert [key async for key in blob.list()] == []


async def test_a_caller_who_goes_away_leaves_whole_code(store: CodeStore, tmp_path: Path) -> None:
    adding = asyncio.ensure_future(store.add(ZIP))
    others = asyncio.ensure_future(store.add(ZIP))
    await asyncio.sleep(0)
    adding.cancel()
    await others
    assert names(tmp_path / "code") == [DIGEST]


async def test_it_refuses_when_it_does_not_run(blob: MemoryBlob, tmp_path: Path) -> None:
    store = CodeStore(blob, tmp_path / "code", CodeLimits())
    await store.stop()
    with pytest.raises(errors.Unavailable):
        await store.add(ZIP)


async def test_a_full_blob_store_leaves_nothing(tmp_path: Path) -> None:
    async with running(full := MemoryBlob(room_bytes=10), store := CodeStore(full, tmp_path / "code", CodeLimits())):
        with pytest.raises(errors.StorageFull):
            await store.add(ZIP)
    assert names(tmp_path / "code") == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 1 MB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("a disk of 1 MB can only be made by root")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


async def test_a_full_disk_leaves_nothing(small_disk: Path, blob: MemoryBlob) -> None:
    large = zipped(a=os.urandom(500_000).hex(), b=os.urandom(500_000).hex())
    async with running(store := CodeStore(blob, small_disk / "code", CodeLimits())):
        with pytest.raises(errors.StorageFull):
            await store.add(large)
        assert names(small_disk / "code") == []
        assert [key async for key in blob.list()] == []
        await store.add(ZIP)


async def test_code_outlives_the_process(tmp_path: Path) -> None:
    for _ in range(2):
        blob = FileBlob(tmp_path / "blob")
        async with running(blob, store := CodeStore(blob, tmp_path / "code", CodeLimits())):
            await store.add(ZIP)
            assert await store.zip(DIGEST) == ZIP
