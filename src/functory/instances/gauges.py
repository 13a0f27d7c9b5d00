"""How much an instance's whole tree uses, by its control group: what the function's own subprocesses use counts too.

A reading is one `pread` of a file that stays open: processor time 1.4 µs (2.5 with version 2), the peak of memory 1.1,
setting the peak back 0.8. So a call is measured by itself: nothing of the one before it is in its numbers. What counts
as memory is what the bound counts: pages of its own, files in its `/tmp`, and the page cache of files that it was the
first to read. With version 2 a peak can be set back from Linux 6.12 on; before, it is that of the instance's life.
"""

from __future__ import annotations

import contextlib
import os
import time

from functory.instances.memory import clock_of
from functory.model.instance import Gauges


class GroupMeter:
    """Reads one group's usage. After the group is gone, the last readings stand."""

    __slots__ = (
        "_cpu",
        "_kills",
        "_now",
        "_peak",
        "_read_at_ns",
        "_scale",
        "_supervisor",
        "_supervisor_ns",
        "cpu_ns",
        "peak_bytes",
    )

    def __init__(self, gauges: Gauges, supervisor: int = 0) -> None:
        """`supervisor`: a process in the group whose processor time is not the function's. OSError: no such group."""
        self._cpu = self._peak = self._kills = self._now = -1
        self._scale = 1 if gauges.cpu_unit == "ns" else 1000
        self._supervisor = clock_of(supervisor) if supervisor else 0
        self._supervisor_ns = 0
        self._read_at_ns = -1
        self.cpu_ns = 0
        self.peak_bytes = 0
        try:
            self._cpu = os.open(gauges.cpu, os.O_RDONLY | os.O_CLOEXEC)
            self._now = os.open(gauges.memory, os.O_RDONLY | os.O_CLOEXEC)
            self._kills = os.open(gauges.kills, os.O_RDONLY | os.O_CLOEXEC)
            try:
                self._peak = os.open(gauges.peak, os.O_RDWR | os.O_CLOEXEC)
            except PermissionError:
                self._peak = os.open(gauges.peak, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            self.close()
            raise

    def begin(self) -> None:
        """A call begins and no other runs: the peak shall be its own."""
        try:  # noqa: SIM105 - half the price of suppress, and paid by every call
            os.pwrite(self._peak, b"0", 0)
        except OSError:
            pass  # an older kernel: the peak since the instance was made

    def cpu_delta_ns(self, _lasted_ns: int = 0) -> int:
        """Processor time since the last call of this method."""
        now = self.read_cpu_ns()
        delta = now - self.cpu_ns
        self.cpu_ns = now
        return delta if delta > 0 else 0

    def note_peak(self, now_ns: int, _lasted_ns: int) -> int:
        """The peak of memory in bytes since `begin`; read once for all calls that end at one moment."""
        if now_ns == self._read_at_ns:
            return self.peak_bytes
        self._read_at_ns = now_ns
        try:  # noqa: SIM105 - as above
            self.peak_bytes = int(os.pread(self._peak, 32, 0))
        except (OSError, ValueError):
            pass
        return self.peak_bytes

    def read_cpu_ns(self) -> int:
        """Processor time so far."""
        try:
            data = os.pread(self._cpu, 48, 0)
            total = int(data if self._scale == 1 else data[data.index(b" ") : data.index(b"\n")]) * self._scale
        except (OSError, ValueError):
            return self.cpu_ns
        if self._supervisor:
            with contextlib.suppress(OSError):
                self._supervisor_ns = time.clock_gettime_ns(self._supervisor)
            total -= self._supervisor_ns
        return total

    def read_memory_bytes(self) -> int:
        """What it holds now."""
        try:
            return int(os.pread(self._now, 32, 0))
        except (OSError, ValueError):
            return 0

    def read_kills(self) -> int:
        """How many of its processes the kernel has killed for want of memory so far."""
        try:
            data = os.pread(self._kills, 512, 0)
        except OSError:
            return 0
        _, found, rest = data.partition(b"oom_kill ")
        return int(rest.split(None, 1)[0]) if found else 0

    def close(self) -> None:
        """Gives the descriptors back; harmless twice."""
        for fd in (self._cpu, self._peak, self._kills, self._now):
            if fd >= 0:
                os.close(fd)
        self._cpu = self._peak = self._kills = self._now = -1
