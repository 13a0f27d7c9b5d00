"""kill -9 while code is uploaded: what was acknowledged is there, and no folder or zip is there by half."""

from __future__ import annotations

import asyncio
import io
import os
import random
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

from functory.blob.file import FileBlob
from functory.lifecycle import running
from functory.runtimes.code import CodeLimits, CodeStore

KILLS = 10
UPLOADERS = 3


def zipped(seed: int) -> bytes:
    """Code of many sizes."""
    chance = random.Random(seed)
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as made:
        for number in range(chance.choice([1, 3, 40])):
            made.writestr(f"pkg/m{number}.py", chance.randbytes(chance.choice([10, 50_000])))
    return file.getvalue()


async def upload_for_ever(folder: Path, life: int) -> None:
    """The child: uploads, and says on its standard output what was acknowledged."""
    blob = FileBlob(folder / "blob")
    async with running(blob, store := CodeStore(blob, folder / "code", CodeLimits())):

        async def upload(uploader: int) -> None:
            for number in range(10_000):
                code = await store.add(zipped(life * 1_000_000 + uploader * 10_000 + number))
                os.write(1, f"{code.digest}\n".encode())

        await asyncio.gather(*map(upload, range(UPLOADERS)))


def killed_after(folder: Path, life: int, lines: int) -> list[str]:
    """What a child had acknowledged when it was killed."""
    command = [sys.executable, __file__, str(folder), str(life)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        said = b"".join(child.stdout.readline() for _ in range(lines))
        child.send_signal(signal.SIGKILL)
        said += child.stdout.read()
    return said.decode().split()


def differs(folder: Path, zip_bytes: bytes) -> list[str]:
    """The files of the zip that are not there as they should be."""
    with zipfile.ZipFile(io.BytesIO(zip_bytes)) as made:
        wrong = [
            name
            for name in made.namelist()
            if not (folder / name).is_file() or (folder / name).read_bytes() != made.read(name)
        ]
    return wrong


async def test_uploaded_code_is_whole_after_kills(tmp_path: Path) -> None:
    chance = random.Random(3)
    acknowledged: set[str] = set()
    for life in range(KILLS):
        acknowledged |= set(await asyncio.to_thread(killed_after, tmp_path, life, chance.randrange(1, 15)))
    assert acknowledged
    blob = FileBlob(tmp_path / "blob")
    async with running(blob, store := CodeStore(blob, tmp_path / "code", CodeLimits())):
        there = set(os.listdir(tmp_path / "code"))
        assert acknowledged <= there
        for digest in there:
            assert differs(await store.open(digest), await store.zip(digest)) == []
        async for key in blob.list():
            await store.zip(key.removeprefix("code/").removesuffix(".zip"))


if __name__ == "__main__":
    asyncio.run(upload_for_ever(Path(sys.argv[1]), int(sys.argv[2])))
