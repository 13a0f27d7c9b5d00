"""The code store: uploaded zips, and the read-only folders that instances see.

    add    verify → unpack under a name of its own → files durable, zip into the blob store → rename to <sha256>

A kill between any two steps leaves no folder, or the whole one; what lies about is removed at the next start. The
folder is a cache of the zip: it is made again from the blob store if it is missing. Everything heavy runs in threads.

Sources are not compiled ahead: the compiler holds the interpreter's lock for longer than a small import takes.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

from functory.blob import failures
from functory.blob.base import Blob
from functory.model import errors
from functory.runtimes import archive, folders
from functory.runtimes.archive import CodeLimits
from functory.runtimes.folders import HashedFolders
from functory.runtimes.shared import Shared

__all__ = ["Code", "CodeLimits", "CodeStore"]

T = TypeVar("T")

THREADS = 2
_PREFIX = "code/"
_SUFFIX = ".zip"


class Code(msgspec.Struct, frozen=True, kw_only=True):
    """Code that is stored."""

    digest: str
    """SHA-256 of the zip, in hexadecimal digits."""
    checksum: str
    """CRC-64/XZ of the zip as a decimal string."""
    size_bytes: int
    """The size of the zip."""


class CodeStore:
    """Keeps code by its hash: the same zip twice is one. A service; `blob` is started and stopped by its owner."""

    def __init__(self, blob: Blob, folder: Path, limits: CodeLimits) -> None:
        self._blob = blob
        self._folders = HashedFolders(folder)
        self._limits = limits
        self._pool: ThreadPoolExecutor | None = None
        self._unpacking: Shared[Path] = Shared()
        self._removing: Shared[None] = Shared()
        self._young: set[str] = set()

    async def start(self) -> None:
        """Make the folder, and remove what a killed process left half made."""
        self._pool = ThreadPoolExecutor(THREADS, thread_name_prefix="code")
        try:
            await self._run(self._folders.prepare)
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """Finish what runs."""
        await self._unpacking.finish()
        await self._removing.finish()
        pool, self._pool = self._pool, None
        if pool is not None:
            await asyncio.to_thread(pool.shutdown)

    async def add(self, zip_bytes: bytes, *, checksum: str | None = None) -> Code:
        """Keep this zip, durable and unpacked when it returns. `checksum`: the CRC-64 that the client computed.

        `InvalidArgument` or `EntityTooLarge` says what is wrong with it, `StorageFull` leaves nothing behind.
        """
        if len(zip_bytes) > self._limits.zip_bytes:
            raise errors.EntityTooLarge(f"the code has {len(zip_bytes)} bytes: {self._limits.zip_bytes} are allowed")
        code = await self._run(lambda: identify(zip_bytes))
        if checksum is not None and checksum != code.checksum:
            raise errors.InvalidArgument(
                f"the code's CRC-64 is {code.checksum}, but {checksum[:40]!r} was announced: it was changed on the way",
                hint="send it again",
            )
        self._young.add(code.digest)
        await self._removing.settled(code.digest)
        await self._unpacking.run(code.digest, lambda: self._keep(code.digest, zip_bytes))
        return code

    async def open(self, digest: str) -> Path:
        """The unpacked folder, read-only by custom. `StorageCorrupt` if the code is lost."""
        path = self._folders.path(digest)
        if await self._run(path.is_dir):
            return path
        return await self._unpacking.run(digest, lambda: self._restore(digest))

    async def zip(self, digest: str) -> bytes:
        """The zip as it was uploaded. `StorageCorrupt` if it is lost or damaged."""
        self._folders.path(digest)
        try:
            zip_bytes = await self._blob.get(_blob_key(digest))
        except KeyError:
            raise errors.StorageCorrupt(f"the code {digest[:16]}… is lost", hint="deploy the function again") from None
        if (await self._run(lambda: identify(zip_bytes))).digest != digest:
            raise errors.StorageCorrupt(f"the code {digest[:16]}… is damaged", hint="deploy the function again")
        return zip_bytes

    async def collect(self, keep: set[str]) -> int:
        """Remove all code but `keep`; how many were removed.

        Code added since the last collection is spared once: the function that needs it may not be stored yet.
        """
        spared = keep | self._young
        self._young = self._unpacking.keys()
        stored = {_digest(key) async for key in self._blob.list(_PREFIX)}
        removed = 0
        for digest in sorted((stored | await self._run(self._folders.digests)) - spared):
            if digest not in self._young:  # nobody added it meanwhile
                await self._removing.run(digest, partial(self._remove, digest))
                removed += 1
        return removed

    async def _remove(self, digest: str) -> None:
        # The folder first: a folder without its zip would be taken for code that is kept.
        await self._run(partial(self._folders.remove, digest))
        await self._blob.delete(_blob_key(digest))

    async def _keep(self, digest: str, zip_bytes: bytes) -> Path:
        path = self._folders.path(digest)
        if await self._run(path.is_dir) and await self._blob.exists(_blob_key(digest)):
            return path
        made = await self._run(lambda: self._unpack(zip_bytes))
        try:
            await asyncio.gather(
                self._blob.put(_blob_key(digest), zip_bytes), self._run(lambda: folders.sync_tree(made))
            )
            return await self._run(lambda: self._folders.publish(made, digest))
        except BaseException:
            await self._run(lambda: self._folders.drop(made))
            raise

    async def _restore(self, digest: str) -> Path:
        zip_bytes = await self.zip(digest)
        made = await self._run(lambda: self._unpack(zip_bytes))
        try:
            await self._run(lambda: folders.sync_tree(made))
            return await self._run(lambda: self._folders.publish(made, digest))
        except BaseException:
            await self._run(lambda: self._folders.drop(made))
            raise

    def _unpack(self, zip_bytes: bytes) -> Path:
        made = self._folders.new()
        try:
            archive.unpack(zip_bytes, made, self._limits)
        except BaseException:
            self._folders.drop(made)
            raise
        return made

    async def _run(self, work: Callable[[], T]) -> T:
        if self._pool is None:
            raise errors.Unavailable("the code store is not running")
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, work)
        except OSError as failure:
            raise failures.of_os(failure, "the code store") from failure


def identify(zip_bytes: bytes) -> Code:
    """Both names of a zip: the one it is stored by, and the one that clients know."""
    digest = hashlib.sha256(zip_bytes).hexdigest()
    return Code(digest=digest, checksum=archive.crc64(zip_bytes), size_bytes=len(zip_bytes))


def _blob_key(digest: str) -> str:
    return f"{_PREFIX}{digest}{_SUFFIX}"


def _digest(key: str) -> str:
    return key.removeprefix(_PREFIX).removesuffix(_SUFFIX)
