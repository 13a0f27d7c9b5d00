"""A disk that forgets, when the power goes, whatever it had not been told to keep.

A file layer under SQLite remembers which writes were not yet synced. A cut keeps what was, and of the rest a random
part: some writes whole, some torn, some not at all. A folder does the same for the files of the blob store: what a file
holds is kept once the file was synced, its name once its folder was.
"""

from __future__ import annotations

import os
import random
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import apsw

SECTOR = 512


class Disk:
    """What is durable of each file, and what was written since, in order: (offset, data), or (size, None) to cut it."""

    def __init__(self) -> None:
        self.durable: dict[str, bytearray] = {}
        self.pending: dict[str, list[tuple[int, bytes | None]]] = {}
        self.on_change: Callable[[], None] = lambda: None

    def change(self, name: str, offset: int, data: bytes | None) -> None:
        self.pending.setdefault(name, []).append((offset, data))
        self.on_change()

    def sync(self, name: str) -> None:
        self.on_change()
        image = self.durable.setdefault(name, bytearray())
        for offset, data in self.pending.pop(name, []):
            apply(image, offset, data)

    def delete(self, name: str) -> None:
        self.durable.pop(name, None)
        self.pending.pop(name, None)

    def after_a_cut(self, chance: random.Random) -> dict[str, bytes]:
        """What the files may hold if the power goes now."""
        images: dict[str, bytes] = {}
        for name in self.durable.keys() | self.pending.keys():
            image = bytearray(self.durable.get(name, b""))
            luck = chance.choice([0.0, 0.1, 0.5, 0.9, 1.0])
            for offset, data in self.pending.get(name, []):
                if chance.random() < luck:
                    torn = data if data is None or chance.random() < 0.8 else data[: SECTOR * chance.randrange(9)]
                    apply(image, offset, torn)
            images[name] = bytes(image)
        return images


def apply(image: bytearray, offset: int, data: bytes | None) -> None:
    if data is None:
        del image[offset:]
        return
    if len(image) < offset:
        image.extend(bytes(offset - len(image)))
    image[offset : offset + len(data)] = data


class ForgetfulFile(apsw.VFSFile):
    def __init__(self, disk: Disk, name: str | apsw.URIFilename | None, flags: list[int]) -> None:
        super().__init__("", name, flags)
        self._disk = disk
        path = name.filename() if isinstance(name, apsw.URIFilename) else str(name)
        self._name = Path(path).name

    def xWrite(self, data: bytes, offset: int) -> None:
        super().xWrite(data, offset)
        self._disk.change(self._name, offset, bytes(data))

    def xTruncate(self, newsize: int) -> None:
        super().xTruncate(newsize)
        self._disk.change(self._name, newsize, None)

    def xSync(self, flags: int) -> None:
        super().xSync(flags)
        self._disk.sync(self._name)


class ForgetfulLayer(apsw.VFS):
    NAME = "forgetful"

    def __init__(self, disk: Disk) -> None:
        self._disk = disk
        super().__init__(self.NAME, "", iVersion=3)

    def xOpen(self, name: str | apsw.URIFilename | None, flags: list[int]) -> apsw.VFSFile:
        return ForgetfulFile(self._disk, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:
        super().xDelete(filename, syncdir)
        self._disk.delete(Path(filename).name)


class ForgetfulFolder:
    """Watches the `fsync`s of this process: `fsync` is to be put in the place of `os.fsync`."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._sync = os.fsync
        self._lock = threading.Lock()
        self._data: dict[int, bytes] = {}
        self._names: dict[Path, dict[str, int]] = {}

    def fsync(self, descriptor: int) -> None:
        """Syncs, and remembers what is durable from now on."""
        self._sync(descriptor)
        path = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        if not path.is_relative_to(self._root):
            return
        with self._lock:
            facts = os.fstat(descriptor)
            if stat.S_ISDIR(facts.st_mode):
                self._names[path] = {entry.name: entry.inode() for entry in os.scandir(descriptor)}
            else:
                self._data[facts.st_ino] = path.read_bytes()

    def after_a_cut(self, chance: random.Random) -> dict[str, bytes]:
        """The files that may be there if the power goes now."""
        with self._lock:
            found: dict[str, bytes] = {}
            self._walk(self._root, chance, found)
            return found

    def _walk(self, folder: Path, chance: random.Random, found: dict[str, bytes]) -> None:
        durable = self._names.get(folder, {})
        now = {entry.name: entry.inode() for entry in os.scandir(folder)} if folder.is_dir() else {}
        for name in sorted(durable.keys() | now.keys()):
            # What was done to a name since its folder was synced may have reached the disk by chance.
            by_chance = durable.get(name) != now.get(name) and chance.random() < 0.5
            inode = now.get(name) if by_chance else durable.get(name)
            path = folder / name
            if inode is None:
                continue
            if path in self._names or path.is_dir():
                self._walk(path, chance, found)
            else:
                found[str(path.relative_to(self._root))] = self._data.get(inode, b"")
