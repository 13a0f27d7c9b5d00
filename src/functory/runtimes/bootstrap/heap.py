"""Memory that a large payload leaves on the heap is kept for the next one, and given back when none comes."""

from __future__ import annotations

import select

LARGE_BYTES = 256 << 10
"""A request or an answer from this size on counts."""
IDLE_MS = 200


class Heap:
    """Whether the heap has grown, and how it shrinks."""

    def __init__(self) -> None:
        self.grown = False

    def note(self, size: int) -> bool:
        """A payload of this size was held; true if the heap has grown just by that."""
        if size < LARGE_BYTES or self.grown:
            return False
        self.grown = True
        return True

    def shrink_if_idle(self, read_fd: int) -> None:
        """Waits a moment for the next request; if none comes, shrinks."""
        if not select.select([read_fd], [], [], IDLE_MS / 1000)[0]:
            self.shrink()

    def shrink(self) -> None:
        """Gives free pages back to the system."""
        import ctypes

        self.grown = False
        trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # musl has none, and keeps little
        if trim is not None:
            trim(0)
