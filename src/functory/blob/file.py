"""Blobs as files in a folder.

A part of the key that is a folder is written with a `+` behind it, so that `a` and `a/b` can both be there; a file
whose name begins with `+` is one that is still being written. Neither can be a key: keys hold no `+`.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from functory.blob import base, failures, ranges
from functory.model import errors

T = TypeVar("T")

THREADS = 4
_WRITING = "+writing-"


class FileBlob:
    """`blob.base.Blob` under `folder`, which it makes, private to its owner. One process at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pool: ThreadPoolExecutor | None = None
        self._number = itertools.count()

    async def start(self) -> None:
        """Make the folder, and remove what a killed process left half written."""
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="blob")
        try:
            await self._run(self._prepare)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Finish what runs."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await asyncio.to_thread(pool.shutdown)

    async def put(self, key: str, data: bytes) -> None:
        """Stores `data` under `key`; `StorageFull`."""
        path = self._path(key)
        await self._run(lambda: self._put(path, data))

    async def get(self, key: str, *, offset: int = 0, size: int | None = None) -> bytes:
        """The bytes from `offset`, all or `size` of them; `KeyError`."""
        path = self._path(key)
        ranges.check_range(offset, size)
        return await self._run(lambda: _read(key, path, offset, size))

    async def exists(self, key: str) -> bool:
        """Whether there is something under `key`."""
        return await self._run(self._path(key).is_file)

    async def delete(self, key: str) -> None:
        """Removes it."""
        path = self._path(key)
        await self._run(lambda: _delete(path))

    async def list(self, prefix: str = "") -> AsyncIterator[str]:
        """All keys that start with `prefix`, in order."""
        for key in await self._run(lambda: sorted(self._keys(prefix))):
            yield key

    def _path(self, key: str) -> Path:
        *folders, name = base.check_key(key).split("/")
        return self._folder.joinpath(*(f"{each}+" for each in folders), name)

    async def _run(self, work: Callable[[], T]) -> T:
        if self._pool is None:
            raise errors.Unavailable("the blob store is not running")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except OSError as failure:
            raise failures.of_os(failure, "the blob store") from failure

    def _prepare(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in self._folder.rglob(f"{_WRITING}*"):
            left.unlink()

    def _put(self, path: Path, data: bytes) -> None:
        self._make_folders(path.parent)
        new = path.with_name(f"{_WRITING}{next(self._number)}")
        try:
            _write(new, data)
            os.replace(new, path)
        except BaseException:
            with contextlib.suppress(OSError):
                new.unlink()
            raise
        _sync_folder(path.parent)

    def _make_folders(self, folder: Path) -> None:
        """Make it with its parents, each durable in the one above."""
        if not folder.is_dir():
            self._make_folders(folder.parent)
            folder.mkdir(exist_ok=True, mode=0o700)
            _sync_folder(folder.parent)

    def _keys(self, prefix: str) -> Iterator[str]:
        for folder, _, files in os.walk(self._folder):
            parts = Path(folder).relative_to(self._folder).parts
            above = "".join(f"{part.removesuffix('+')}/" for part in parts)
            yield from (above + name for name in files if "+" not in name and (above + name).startswith(prefix))


def _write(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(descriptor, rest) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _read(key: str, path: Path, offset: int, size: int | None) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read() if size is None else file.read(size)
    except FileNotFoundError:
        raise KeyError(key) from None


def _delete(path: Path) -> None:
    try:
        path.unlink()
    except FileNotFoundError:
        return
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Make the names in a folder durable."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
