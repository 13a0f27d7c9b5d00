"""What one invocation printed, bounded: the head and the tail are kept, the middle is counted."""

from __future__ import annotations

from collections import deque

from functory.model.pieces import Pieces

_JOINED_BYTES = 1024
"""Pieces of the tail are joined up to this length."""


class LogBuffer:
    """Collects text up to `limit` bytes; beyond that the first half and the last half stay."""

    __slots__ = ("_head", "_limit", "_tail", "_tail_bytes", "dropped_bytes", "kept_bytes")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._head = Pieces()
        self._tail: deque[bytes] = deque()
        self._tail_bytes = 0
        self.kept_bytes = 0
        self.dropped_bytes = 0

    def add(self, text: bytes) -> None:
        """One more piece. Small and empty ones without end take no more room than their bytes."""
        half = self._limit // 2
        if self.kept_bytes + len(text) <= half and not self._tail_bytes:
            self._head.add(text)
            self.kept_bytes += len(text)
            return
        if len(text) > half:
            self.dropped_bytes += len(text) - half
            text = text[-half:]
        if self._tail and len(self._tail[-1]) + len(text) <= _JOINED_BYTES:
            self._tail[-1] += text
        elif text:
            self._tail.append(text)
        self._tail_bytes += len(text)
        while self._tail_bytes > half:
            old = self._tail.popleft()
            excess = min(len(old), self._tail_bytes - half)
            if excess < len(old):
                self._tail.appendleft(old[excess:])
            self._tail_bytes -= excess
            self.dropped_bytes += excess

    def text(self) -> bytes:
        """What was kept, with a line that names what was not."""
        if not self.dropped_bytes:
            return b"".join((self._head.joined(), *self._tail))
        note = b"\n[... %d bytes of output dropped: the limit per request is %d bytes ...]\n" % (
            self.dropped_bytes,
            self._limit,
        )
        return b"".join((self._head.joined(), note, *self._tail))
