"""Which pages a first request writes to: learnt from one copy, made ready in those that wait for theirs.

A copy shares its template's memory until it writes: each first write to a page costs it a page fault, some hundred of
them for a first request. So the copy that has answered the first request of all looks, once it is idle, which pages
have become its own, and notes them in memory that all copies share. A copy that waits for its first request, or for
being an instance at all, takes those pages then.
"""

from __future__ import annotations

import os
import select
import struct
from array import array

from . import heap

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SHARED_BYTES = 1 << 16
_RANGES_MAX = _SHARED_BYTES // 16 - 1
_PAGES_MAX = 2048
"""More than this is not what one request touches."""
_MAPS_BYTES = 1 << 20
_MADV_POPULATE_WRITE = 23
_OWN = 1 << 63 | 1 << 56
"""In a page's entry: it is there, and nobody else has it."""
_PAGE = os.sysconf("SC_PAGE_SIZE")
WAIT_S = 0.003
"""A request that comes sooner does not wait for us."""
LEARN_S = 0.05
"""So long without another request is idle enough to look at all pages, which takes some milliseconds, once."""


class Touched:
    """What is known of one template's copies. Made in the template, before the first copy."""

    def __init__(self) -> None:
        import ctypes
        import mmap

        self._shared = mmap.mmap(-1, _SHARED_BYTES)
        self._advise: Any = ctypes.CDLL(None).madvise
        self._advise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
        self._writable = _writable()
        self._ready = False

    @property
    def known(self) -> bool:
        """Whether some copy has learnt it."""
        return self._shared[:8] != bytes(8)

    def make_ready(self) -> None:
        """Takes the pages that a first request will need; harmless twice."""
        if self._ready or not self.known:
            return
        self._ready = True
        (count,) = struct.unpack_from("=Q", self._shared)
        for number in range(1, min(count, _RANGES_MAX) + 1):
            start, size = struct.unpack_from("=QQ", self._shared, 16 * number)
            if size <= _PAGES_MAX * _PAGE:
                self._advise(start, size, _MADV_POPULATE_WRITE)

    def make_ready_if_idle(self, fd: int) -> None:
        """The same, unless something comes at once."""
        if not self._ready and self.known and not select.select([fd], [], [], WAIT_S)[0]:
            self.make_ready()

    def learn(self) -> None:
        """Notes which pages have become this process's own."""
        if self.known:
            return
        found: list[tuple[int, int]] = []
        try:
            pagemap = os.open("/proc/self/pagemap", os.O_RDONLY)
        except OSError:
            return  # not every kernel has it; nothing is made ready then
        try:
            for low, high in self._writable:
                found += _own_ranges(pagemap, low, high)
        finally:
            os.close(pagemap)
        if found and sum(size for _, size in found) <= _PAGES_MAX * _PAGE:
            del found[_RANGES_MAX:]
            for number, (start, size) in enumerate(found, 1):
                struct.pack_into("=QQ", self._shared, 16 * number, start, size)
            struct.pack_into("=Q", self._shared, 0, len(found))


class FirstRequest(heap.Heap):
    """Stands in for the heap's watch: what reads requests asks it before it waits, at no cost to any other request."""

    def __init__(self, touched: Touched) -> None:
        super().__init__()
        self.grown = True
        self._touched = touched
        self._waited = False
        self._large = False

    def note(self, size: int) -> bool:
        """As for any heap."""
        self._large = self._large or size >= heap.LARGE_BYTES
        return super().note(size)

    def shrink_if_idle(self, read_fd: int) -> None:
        """Before the first request: is made ready for it. After it: what it touched is learnt."""
        if not self._waited:
            self._waited = True
            self._touched.make_ready_if_idle(read_fd)
            return
        wait_s = heap.IDLE_MS / 1000 if self._large else LEARN_S
        if (self._large or not self._touched.known) and select.select([read_fd], [], [], wait_s)[0]:
            return
        self._touched.learn()
        self.grown = False
        if self._large:
            self._large = False
            self.shrink()


def _writable() -> list[tuple[int, int]]:
    """The private writable ranges of this process."""
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        lines = [line.split(None, 2) for line in file.read(_MAPS_BYTES).splitlines()]
    ends = [parts[0].split("-") for parts in lines if len(parts) > 1 and parts[1] == "rw-p"]
    return [(int(low, 16), int(high, 16)) for low, high in ends]


def _own_ranges(pagemap: int, low: int, high: int) -> list[tuple[int, int]]:
    entries = array("Q")
    data = os.pread(pagemap, (high - low) // _PAGE * 8, low // _PAGE * 8)
    entries.frombytes(data[: len(data) // 8 * 8])
    found: list[tuple[int, int]] = []
    for number, entry in enumerate(entries):
        if entry & _OWN == _OWN:
            start = low + number * _PAGE
            if found and sum(found[-1]) == start:
                found[-1] = (found[-1][0], found[-1][1] + _PAGE)
            else:
                found.append((start, _PAGE))
    return found
