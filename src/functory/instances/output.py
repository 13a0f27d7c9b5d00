"""What an instance prints: LOG frames by request, and the raw descriptors 1 and 2 of its process tree."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Callable

from functory.instances.logbuffer import LogBuffer

READS_MAX = 16
"""Reads of the raw pipe in one turn: a flood must not hold the loop."""


class Output:
    """Sorts printed text to the requests it belongs to.

    Text of no request (printed while loading, or between requests) goes with the next one. The raw pipe is read at all
    times: a full one would hold the function up.
    """

    def __init__(self, limit_bytes: int, alone: Callable[[], LogBuffer | None]) -> None:
        self._limit = limit_bytes
        self._alone = alone
        """The log of the one request that runs; None if there is none, or several."""
        self._fd = -1
        self.early: LogBuffer | None = None

    def new_buffer(self) -> LogBuffer:
        """A log for one request."""
        return LogBuffer(self._limit)

    def open(self, fd: int) -> None:
        """Takes over the read end of the raw pipe."""
        self._fd = fd
        asyncio.get_running_loop().add_reader(fd, self.drain)

    def drain(self) -> None:
        """Reads what lies in the raw pipe now."""
        if self._fd < 0:
            return
        with contextlib.suppress(BlockingIOError):
            for _ in range(READS_MAX):
                text = os.read(self._fd, 65536)
                if not text:
                    self.close()
                    return
                self.add(self._alone(), text)

    def add(self, log: LogBuffer | None, text: bytes) -> None:
        """Text of a request, or of none."""
        if log is None:
            if self.early is None:
                self.early = self.new_buffer()
            log = self.early
        log.add(text)

    def take(self, log: LogBuffer | None) -> bytes:
        """A request's whole log, with what was printed before it."""
        early, self.early = self.early, None
        return b"".join(buffer.text() for buffer in (early, log) if buffer is not None)

    def close(self) -> None:
        """Gives the pipe back; harmless twice."""
        if self._fd >= 0:
            asyncio.get_running_loop().remove_reader(self._fd)
            os.close(self._fd)
            self._fd = -1
