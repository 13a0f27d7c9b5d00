"""Folders named by the hash of what they hold: there whole or not at all, and never changed afterwards. Synchronous.

A folder is made under a name that begins with a dot, made durable, and renamed. What a killed process leaves under such
a name is removed at the next start.
"""

from __future__ import annotations

import ctypes
import errno
import itertools
import os
import re
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

from functory.model import errors

DIGEST = re.compile(r"[0-9a-f]{64}")
_MAKING = ".making-"
_SYNC_EACH = 16


class HashedFolders:
    """The folders in one folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._number = itertools.count()

    def prepare(self) -> None:
        """Make the folder, readable for all (instances run as other users), and remove what was left half made."""
        self._folder.mkdir(parents=True, exist_ok=True)
        self._folder.chmod(0o755)
        for left in self._folder.glob(f"{_MAKING}*"):
            shutil.rmtree(left)

    def path(self, digest: str) -> Path:
        """Where the folder of this hash is, if it is there; only a hash can be part of a path."""
        if not DIGEST.fullmatch(digest):
            raise errors.InvalidArgument(f"{digest[:80]!r} is not a SHA-256 in hexadecimal digits")
        return self._folder / digest

    def new(self) -> Path:
        """An empty folder to fill, then to `publish` or `drop`."""
        path = self._folder / f"{_MAKING}{next(self._number)}"
        path.mkdir()
        path.chmod(0o755)
        return path

    def publish(self, made: Path, digest: str) -> Path:
        """Give `made`, which is durable, its name. If that is taken, the other is as good and `made` is removed."""
        path = self.path(digest)
        try:
            made.rename(path)
        except OSError as failure:
            if failure.errno not in (errno.EEXIST, errno.ENOTEMPTY):
                raise
            shutil.rmtree(made)
        _sync(self._folder)
        return path

    def drop(self, made: Path) -> None:
        """Remove what shall not be published."""
        shutil.rmtree(made, ignore_errors=True)

    def remove(self, digest: str) -> None:
        """Remove a folder: out of sight at once, then file by file."""
        going = self._folder / f"{_MAKING}{next(self._number)}"
        try:
            self.path(digest).rename(going)
        except FileNotFoundError:
            return
        shutil.rmtree(going)

    def digests(self) -> set[str]:
        """The hashes that are there."""
        return {entry.name for entry in self._folder.iterdir() if DIGEST.fullmatch(entry.name)}


def size_bytes(folder: Path) -> int:
    """The size of all files in a folder."""
    return sum(path.lstat().st_size for path in _files(folder))


def make_readable(folder: Path) -> None:
    """Folders and programs 0755, other files 0644: readable for every instance, changed by none."""
    folder.chmod(0o755)
    for above, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(above, name)
            mode = path.lstat().st_mode
            if not stat.S_ISLNK(mode):
                path.chmod(0o755 if stat.S_ISDIR(mode) or mode & 0o111 else 0o644)


def sync_tree(folder: Path) -> None:
    """Make a folder and all in it durable. Many files are quicker with one order for the whole file system."""
    files = list(itertools.islice(_files(folder), _SYNC_EACH + 1))
    if len(files) > _SYNC_EACH:
        _sync_file_system(folder)
        return
    for path in files:
        if not path.is_symlink():
            _sync(path)
    for above, _, _ in os.walk(folder):
        _sync(Path(above))


def sync_tree_at_once(folder: str) -> None:
    """The same with one order for the whole file system, without looking how many files there are."""
    _sync_file_system(Path(folder))


def write_durably(path: Path, data: bytes) -> None:
    """A small file, whole or not at all."""
    made = path.with_name(f".{path.name}.new")
    with made.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    made.rename(path)
    _sync(path.parent)


def _files(folder: Path) -> Iterator[Path]:
    for above, _, files in os.walk(folder):
        yield from (Path(above, name) for name in files)


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _sync_file_system(folder: Path) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        if libc.syncfs(descriptor) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code))
    finally:
        os.close(descriptor)
