"""How much memory and processor time an instance's process uses, as the kernel says.

The instance itself is not asked: it may lie. Processor time is read by the process's clock (0.7 µs, all threads; it
misses subprocesses). The peak of resident memory comes from /proc/PID/status, which costs 15-25 µs, so it is read only
after a call that took long enough to pay for it or when the last reading is old.
"""

from __future__ import annotations

import contextlib
import os
import time

_PEAK, _RESIDENT = b"VmHWM:", b"VmRSS:"
WORTH_READING_NS = 2_000_000
"""A call this long pays for a fresh reading."""
STALE_NS = 100_000_000
"""A reading older than this is repeated."""


class ProcessMeter:
    """Reads one process's usage. After the process is gone, the last readings stand."""

    __slots__ = ("_clock_id", "_fd", "_read_at_ns", "cpu_ns", "peak_bytes")

    def __init__(self, pid: int) -> None:
        # The kernel's encoding of "the processor-time clock of process PID, all threads".
        self._clock_id = (~pid << 3) | 2
        self._fd = -1
        with contextlib.suppress(OSError):
            self._fd = os.open(f"/proc/{pid}/status", os.O_RDONLY | os.O_CLOEXEC)
        self._read_at_ns = 0
        self.cpu_ns = 0
        self.peak_bytes = 0

    def cpu_delta_ns(self) -> int:
        """Processor time since the last call of this method."""
        try:
            now = time.clock_gettime_ns(self._clock_id)
        except OSError:
            return 0
        delta = now - self.cpu_ns
        self.cpu_ns = now
        return delta

    def note_peak(self, now_ns: int, lasted_ns: int) -> int:
        """The peak of resident memory in bytes, read anew where a call of `lasted_ns` pays for it."""
        if lasted_ns >= WORTH_READING_NS or now_ns - self._read_at_ns >= STALE_NS:
            self._read_at_ns = now_ns
            self._read_peak()
        return self.peak_bytes

    def read_cpu_ns(self) -> int:
        """Processor time so far."""
        try:
            return time.clock_gettime_ns(self._clock_id)
        except OSError:
            return self.cpu_ns

    def read_memory_bytes(self) -> int:
        """What is resident now."""
        return self._status(_RESIDENT)

    def _read_peak(self) -> None:
        self.peak_bytes = self._status(_PEAK) or self.peak_bytes

    def _status(self, field: bytes) -> int:
        if self._fd < 0:
            return 0
        try:
            status = os.pread(self._fd, 4096, 0)
        except OSError:
            return 0
        at = status.find(field)
        return int(status[at + len(field) : status.index(b"kB", at)]) * 1024 if at >= 0 else 0

    def close(self) -> None:
        """Gives the descriptor back; harmless twice."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
