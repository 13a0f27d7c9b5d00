"""A request body: in memory while it is small, in a file when it is large.

The whole body is taken before an instance is: a slow upload never holds one. The file has no name (O_TMPFILE where the
file system can), so that nothing is left behind by a crash. All buffered bodies together have a budget; beyond it even
small ones go to files.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import tempfile
from pathlib import Path

import msgspec

from functory.model import errors
from functory.model.pieces import Pieces

SMALL_BYTES = 64 * 1024
"""Spilled at once when the budget is used up."""


class BodyConfig(msgspec.Struct, frozen=True, kw_only=True):
    """Where and when bodies go to files."""

    folder: str
    spill_bytes: int = 2 * 1024 * 1024
    memory_bytes: int = 256 * 1024 * 1024
    """All buffered bodies together."""
    file_bytes: int = 8 * 1024 * 1024 * 1024
    """All bodies in files together: they lie beside the database, and clients need no key to send one."""


class BodyBudget:
    """How much memory, and how much of the disk, all bodies hold together."""

    def __init__(self, config: BodyConfig) -> None:
        self.config = config
        self.used_bytes = 0
        self.file_bytes = 0

    def grow_files(self, more_bytes: int) -> None:
        """Files have so much more, or less; `Unavailable` if that is too much."""
        if more_bytes > 0 and self.file_bytes + more_bytes > self.config.file_bytes:
            raise errors.Unavailable(
                f"the bodies of requests under way fill {self.file_bytes} bytes of files already, of "
                f"{self.config.file_bytes} that they may",
                hint="send it again later; the setting is body_file_bytes",
            )
        self.file_bytes += more_bytes

    def spill_at(self) -> int:
        """From which size a body goes to a file now."""
        return self.config.spill_bytes if self.used_bytes < self.config.memory_bytes else SMALL_BYTES


class FileBody:
    """A body in a nameless file. Implements `model.invocation.Body`."""

    def __init__(self, fd: int, budget: BodyBudget | None = None) -> None:
        """`budget`: what counts its bytes, until it is closed."""
        self._fd = fd
        self._size = 0
        self._budget = budget
        self._counted = 0

    @property
    def size_bytes(self) -> int:
        return self._size

    def append(self, data: bytes | bytearray) -> None:
        """Adds to the end; `StorageFull` when the disk is full."""
        view = memoryview(data)
        if self._budget is not None:
            self._budget.grow_files(len(data))
            self._counted += len(data)
        try:
            while view:
                written = os.write(self._fd, view)
                self._size += written
                view = view[written:]
        except OSError as error:
            if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
                raise errors.StorageFull("the disk is full: the request's body could not be kept") from error
            raise errors.Unavailable(f"the request's body could not be kept: {error.strerror}") from error

    def read_at(self, offset: int, size: int) -> bytes:
        return os.pread(self._fd, size, offset)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
            if self._budget is not None:
                self._budget.grow_files(-self._counted)


def _nameless(folder: str) -> int:
    with contextlib.suppress(OSError, AttributeError):
        return os.open(folder, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    Path(folder).mkdir(parents=True, exist_ok=True)
    fd, name = tempfile.mkstemp(dir=folder)
    os.unlink(name)
    return fd


def new_file(folder: str) -> FileBody:
    """An empty body in a nameless file."""
    return FileBody(_nameless(folder))


class Collected(msgspec.Struct):
    """A whole body."""

    payload: bytes
    body: FileBody | None
    sha256: str
    """Hex digest, if it was asked for."""


class BodyCollector:
    """Takes a body piece by piece."""

    def __init__(self, budget: BodyBudget, *, limit_bytes: int, hashed: bool) -> None:
        self._budget = budget
        self._limit = limit_bytes
        self._hash = hashlib.sha256() if hashed else None
        self._pieces = Pieces()
        self._file: FileBody | None = None
        self.size_bytes = 0

    def add(self, piece: bytes) -> None:
        """One more piece; `EntityTooLarge` beyond the limit, `StorageFull` if it cannot be kept."""
        self.size_bytes += len(piece)
        if self.size_bytes > self._limit:
            raise too_large(self._limit)
        if self._hash is not None:
            self._hash.update(piece)
        if self._file is not None:
            self._file.append(piece)
            return
        self._pieces.add(piece)
        self._budget.used_bytes += len(piece)
        if self.size_bytes > self._budget.spill_at():
            self._spill()

    def _spill(self) -> None:
        self._file = FileBody(_nameless(self._budget.config.folder), self._budget)
        for piece in self._forget():
            self._file.append(piece)

    def _forget(self) -> list[bytes | bytearray]:
        self._budget.used_bytes -= self._pieces.size_bytes
        return self._pieces.take()

    def finish(self) -> Collected:
        """The whole body. The collector is empty afterwards."""
        digest = self._hash.hexdigest() if self._hash is not None else ""
        body, self._file = self._file, None
        return Collected(b"".join(self._forget()), body, digest)

    def drop(self) -> None:
        """The client went away."""
        self._forget()
        if self._file is not None:
            self._file.close()
            self._file = None


def too_large(limit_bytes: int) -> errors.EntityTooLarge:
    """The error for a body over its limit."""
    return errors.EntityTooLarge(f"the body is larger than {limit_bytes} bytes, the limit of this call")
