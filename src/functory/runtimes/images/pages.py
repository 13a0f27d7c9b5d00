"""Which parts of an image's files a start reads, and having the kernel read them ahead at later starts. Synchronous.

Layers are let go of from memory when they have been unpacked. What is in memory after the first start is therefore what
that start has touched (and what the kernel read around it): `record` asks the kernel for it, `ask` has it read again
while a later start is under way, in the order of the files on the disk as far as folders show it.

Recording looks at every file of the layers, for a second if they are many, and so is a process of its own:
`python -m functory.runtimes.images.pages FILE LAYER …` writes what it finds into FILE.

The list is bounded, and only a hint: what cannot be read any more is passed over.
"""

from __future__ import annotations

import contextlib
import ctypes
import mmap
import os
import stat
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import msgspec

from functory.runtimes import folders
from functory.sandbox import confine

FILES_MAX = 20_000
BYTES_MAX = 1 << 30
_RUN_GAP = 8
"""Pages between two runs that are read along: one order is cheaper than two."""
_libc = ctypes.CDLL(None, use_errno=True)
_PAGE = mmap.PAGESIZE


class Touched(msgspec.Struct, frozen=True, array_like=True):
    """One file of which something was read."""

    layer: int
    """Which of the image's layers, from the lowest."""
    path: str
    runs: tuple[tuple[int, int], ...]
    """Byte ranges: where, how long."""


class Recording(msgspec.Struct, frozen=True, kw_only=True):
    """What a start of an image reads."""

    files: tuple[Touched, ...]

    @property
    def size_bytes(self) -> int:
        """All of it."""
        return sum(length for one in self.files for _, length in one.runs)


def let_go(folder: str) -> None:
    """What lies below `folder`, written and durable, is taken out of memory."""
    for path in _files(folder):
        with _opened(path) as fd:
            if fd >= 0:
                os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_DONTNEED)


def record(layers: Sequence[str]) -> Recording:
    """What of the layers is in memory now."""
    found: list[Touched] = []
    total = 0
    for number, folder in enumerate(layers):
        for path in _files(folder):
            runs = _resident(path)
            total += sum(length for _, length in runs)
            if len(found) >= FILES_MAX or total > BYTES_MAX:
                return Recording(files=tuple(found))
            if runs:
                found.append(Touched(number, os.path.relpath(path, folder), runs))
    return Recording(files=tuple(found))


def ask(layers: Sequence[str], recording: Recording) -> int:
    """Has the kernel read what was recorded; how many bytes were asked for. Returns before they are read."""
    asked = 0
    for one in recording.files:
        if not 0 <= one.layer < len(layers):
            continue
        with _opened(os.path.join(layers[one.layer], one.path)) as fd:
            if fd < 0:
                continue
            for start, length in one.runs:
                os.posix_fadvise(fd, start, length, os.POSIX_FADV_WILLNEED)
                asked += length
    return asked


def _files(folder: str) -> Iterator[str]:
    for above, _, names in os.walk(folder):
        for name in sorted(names):
            path = os.path.join(above, name)
            with contextlib.suppress(OSError):
                if stat.S_ISREG(os.lstat(path).st_mode):
                    yield path


@contextlib.contextmanager
def _opened(path: str) -> Iterator[int]:
    """The file, or -1."""
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK)
    except OSError:
        yield -1
        return
    try:
        yield fd
    finally:
        os.close(fd)


def _resident(path: str) -> tuple[tuple[int, int], ...]:
    """The runs of pages that are in memory."""
    with _opened(path) as fd:
        size = os.fstat(fd).st_size if fd >= 0 else 0
        if not size:
            return ()
        with mmap.mmap(fd, size, flags=mmap.MAP_PRIVATE, prot=mmap.PROT_READ | mmap.PROT_WRITE) as mapped:
            pages = (size + _PAGE - 1) // _PAGE
            vector = ctypes.create_string_buffer(pages)
            at = ctypes.c_char.from_buffer(mapped)
            try:
                if _libc.mincore(ctypes.c_void_p(ctypes.addressof(at)), ctypes.c_size_t(size), vector) != 0:
                    return ()
            finally:
                del at
    return _runs(bytes(byte & 1 for byte in vector.raw[:pages]))


def _runs(pages: bytes) -> tuple[tuple[int, int], ...]:
    """Runs of ones in bytes of the file, those with little between them as one."""
    runs: list[tuple[int, int]] = []
    at = pages.find(1)
    while at >= 0:
        end = pages.find(0, at)
        end = len(pages) if end < 0 else end
        if runs and at - sum(runs[-1]) <= _RUN_GAP:
            runs[-1] = (runs[-1][0], end - runs[-1][0])
        else:
            runs.append((at, end - at))
        at = pages.find(1, end)
    return tuple((start * _PAGE, length * _PAGE) for start, length in runs)


def main(file: str, *layers: str) -> None:
    """Records into a file."""
    confine.die_with_parent(0)
    os.nice(10)
    folders.write_durably(Path(file), msgspec.json.encode(record(layers)))


if __name__ == "__main__":
    main(*sys.argv[1:])
