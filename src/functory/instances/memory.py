"""How much memory and processor time an instance's process uses, as the kernel says, where it has no control group.

The instance itself is not asked: it may lie. Processor time is read by the process's clock (0.7 µs, all threads; it
misses subprocesses). Those it has waited for are added from /proc/PID/stat, in steps of 10 ms; that costs 6 µs, so it
is done only after a call that took long enough to have run any. The peak of resident memory comes from
/proc/PID/status (15-25 µs) likewise, or when the last reading is old; it is the highest of the process's life.
"""

from __future__ import annotations

import contextlib
import os
import time
from typing import Protocol

from functory.model.instance import GroupFiles
from functory.sandbox import tree

_PEAK, _RESIDENT = b"VmHWM:", b"VmRSS:"
WORTH_READING_NS = 2_000_000
"""A call this long pays for a fresh reading."""
STALE_NS = 100_000_000
"""A reading older than this is repeated."""
_TICK_NS = 1_000_000_000 // os.sysconf("SC_CLK_TCK")


class Meter(Protocol):
    """What is read of an instance's usage: of its control group, or of its process."""

    cpu_ns: int
    peak_bytes: int

    def begin(self) -> None:
        """A call begins and no other runs."""

    def cpu_delta_ns(self, lasted_ns: int) -> int:
        """Processor time since the last call of this method; `lasted_ns`: how long ago that was."""

    def note_peak(self, now_ns: int, lasted_ns: int) -> int:
        """The peak of memory in bytes, as a call of `lasted_ns` ends."""

    def read_cpu_ns(self) -> int:
        """Processor time so far."""

    def read_memory_bytes(self) -> int:
        """What is held now."""

    def read_kills(self) -> int:
        """How many processes the kernel has killed for want of memory so far, as far as that is known."""

    def close(self) -> None:
        """Gives descriptors back; harmless twice."""


def clock_of(pid: int) -> int:
    """The kernel's name of the processor-time clock of process `pid`, all its threads."""
    return (~pid << 3) | 2


def held_bytes(pid: int, files: GroupFiles) -> int:
    """What it holds: its group's word (10 µs), or its processes' proportional share (0.25 ms each, for a thread)."""
    try:
        if files.memory:
            with open(files.memory, "rb", buffering=0) as counter:
                return int(counter.read(64))
        return _share(pid) + sum(held_bytes(child, files) for child in tree.children(pid))
    except (OSError, ValueError, IndexError):
        return 0  # it is gone, or not ours to look at


def _share(pid: int) -> int:
    with open(f"/proc/{pid}/smaps_rollup", "rb", buffering=0) as rollup:
        return int(rollup.read(8192).partition(b"\nPss:")[2].split(None, 1)[0]) * 1024


class ProcessMeter:
    """Reads one process's usage. After the process is gone, the last readings stand."""

    __slots__ = ("_children_ns", "_clock_id", "_fd", "_read_at_ns", "_stat", "cpu_ns", "peak_bytes")

    def __init__(self, pid: int) -> None:
        self._clock_id = clock_of(pid)
        self._fd = self._stat = -1
        with contextlib.suppress(OSError):
            self._fd = os.open(f"/proc/{pid}/status", os.O_RDONLY | os.O_CLOEXEC)
            self._stat = os.open(f"/proc/{pid}/stat", os.O_RDONLY | os.O_CLOEXEC)
        self._read_at_ns = 0
        self._children_ns = 0
        self.cpu_ns = 0
        self.peak_bytes = 0

    def begin(self) -> None:
        """Nothing can be set back here."""

    def cpu_delta_ns(self, lasted_ns: int) -> int:
        """Processor time since the last call of this method."""
        if lasted_ns >= WORTH_READING_NS:
            self._children_ns = self._waited_for_ns()
        now = self.read_cpu_ns()
        delta = now - self.cpu_ns
        self.cpu_ns = now
        return delta if delta > 0 else 0

    def note_peak(self, now_ns: int, lasted_ns: int) -> int:
        """The peak of resident memory in bytes, read anew where a call of `lasted_ns` pays for it."""
        if lasted_ns >= WORTH_READING_NS or now_ns - self._read_at_ns >= STALE_NS:
            self._read_at_ns = now_ns
            self.peak_bytes = self._status(_PEAK) or self.peak_bytes
        return self.peak_bytes

    def read_cpu_ns(self) -> int:
        """Processor time so far; that of subprocesses as of the last look at them."""
        try:
            return time.clock_gettime_ns(self._clock_id) + self._children_ns
        except OSError:
            return self.cpu_ns

    def read_memory_bytes(self) -> int:
        """What is resident now."""
        return self._status(_RESIDENT)

    def read_kills(self) -> int:
        """Not known."""
        return 0

    def _waited_for_ns(self) -> int:
        if self._stat < 0:
            return 0
        try:
            fields = os.pread(self._stat, 1024, 0).rpartition(b")")[2].split()
        except OSError:
            return self._children_ns
        return (int(fields[13]) + int(fields[14])) * _TICK_NS

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
        """Gives the descriptors back; harmless twice."""
        for fd in (self._fd, self._stat):
            if fd >= 0:
                os.close(fd)
        self._fd = self._stat = -1
