"""What instances have sent and received, in memory that node and relay share: a call reads it without asking anybody.

The relay adds, the node reads. Each instance has a place of three numbers; what a place has counted before belongs to
whoever had it.
"""

from __future__ import annotations

import mmap
import os

PLACES = 16_384
IN, OUT, DENIED = 0, 1, 2
_NUMBERS = 3
_BYTES = PLACES * _NUMBERS * 8


class Counters:
    """The numbers."""

    def __init__(self, fd: int = -1) -> None:
        """`fd`: those of another process; else new ones."""
        self.fd = fd if fd >= 0 else os.memfd_create("functory-network", os.MFD_CLOEXEC)
        if fd < 0:
            os.ftruncate(self.fd, _BYTES)
        self._memory = mmap.mmap(self.fd, _BYTES)
        self.numbers = memoryview(self._memory).cast("Q")
        self._free = list(range(PLACES - 1, -1, -1))

    def take(self) -> int:
        """A free place: where its first number stands. IndexError if there is none."""
        return self._free.pop() * _NUMBERS

    def give_back(self, at: int) -> None:
        """Nobody counts there any more."""
        self._free.append(at // _NUMBERS)

    def close(self) -> None:
        """Gives the memory back."""
        self.numbers.release()
        self._memory.close()
        os.close(self.fd)
