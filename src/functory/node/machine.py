"""How much memory there is for the node: the machine's, or less where its own control group is bounded."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_BOUNDS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Of the group that a container sees as its root; elsewhere these files are not there, or hold no bound."""


def memory_bytes() -> int:
    """The least of all bounds."""
    found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    for path in _BOUNDS:
        with contextlib.suppress(OSError, ValueError):
            found.append(int(Path(path).read_text(encoding="ascii")))
    return min(found)
