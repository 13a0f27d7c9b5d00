"""Holding an instance's whole tree still and letting it go on, in the node: a call that finds it frozen must not wait
for another process.

    group of version 2   one write to `cgroup.freeze`: some 20 µs; what it holds can be killed
    group of version 1   one write to `freezer.state`: some 160 µs; what it holds dies only when it is thawed
    neither              SIGSTOP and SIGCONT, process by process. Who has left the tree runs on
"""

from __future__ import annotations

import contextlib
import os
import signal
from typing import Protocol

from functory.model.instance import GroupFiles
from functory.sandbox import cgroupfs, tree

_MOST_STOPPED = 256
"""Processes of one tree that are stopped; more than that and it is left running."""


class Freezer(Protocol):
    """Freezes one tree. A request that is written meanwhile waits in its pipe."""

    def freeze(self) -> bool:
        """Holds all of it still; False if that cannot be done (any more): it runs on."""

    def thaw(self) -> None:
        """Lets it go on; harmless if it is not frozen, or gone."""

    def close(self) -> None:
        """Gives back what it keeps open; harmless twice."""


class GroupFreezer:
    """By one write to a file of the tree's control group, which stays open."""

    def __init__(self, path: str) -> None:
        """OSError if the file cannot be opened."""
        self._fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
        old = path.endswith(cgroupfs.FREEZER_1)
        self._frozen, self._thawed = (cgroupfs.FROZEN_1.encode(), cgroupfs.THAWED_1.encode()) if old else (b"1", b"0")

    def freeze(self) -> bool:
        """Holds all of it still."""
        return self._write(self._frozen)

    def thaw(self) -> None:
        """Lets it go on."""
        self._write(self._thawed)

    def _write(self, word: bytes) -> bool:
        try:
            os.pwrite(self._fd, word, 0)
        except OSError:  # the group is gone, and with it the tree; or it was closed
            return False
        return True

    def close(self) -> None:
        """Closes the file."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1


class StopFreezer:
    """By signals. Those that stood still already are left alone, so that thawing does not start them."""

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._held: dict[int, int] = {}
        """Pidfds of what was stopped, by pid."""

    def freeze(self) -> bool:
        """Stops the tree from the top, until a pass finds nobody new: a stopped process cannot fork."""
        self._stop(self._pid, 0)
        news = bool(self._held)
        while news and len(self._held) < _MOST_STOPPED:
            news = False
            for pid in list(self._held):
                for child in tree.children(pid):
                    news |= child not in self._held and self._stop(child, pid)
        if news:
            self.thaw()
        return bool(self._held)

    def _stop(self, pid: int, parent: int) -> bool:
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            return False
        if (parent and tree.parent(pid) != parent) or _stands_still(pid):
            os.close(pidfd)
            return False
        self._held[pid] = pidfd
        _send(pidfd, signal.SIGSTOP)
        return True

    def thaw(self) -> None:
        """Continues what was stopped here."""
        held, self._held = self._held, {}
        for pidfd in held.values():
            _send(pidfd, signal.SIGCONT)
            os.close(pidfd)

    def close(self) -> None:
        """Closes what is held, without a signal."""
        held, self._held = self._held, {}
        for pidfd in held.values():
            os.close(pidfd)


def of(pid: int, files: GroupFiles) -> Freezer:
    """The best freezer for the instance whose main process is `pid`."""
    if files.freeze:
        with contextlib.suppress(OSError):
            return GroupFreezer(files.freeze)
    return StopFreezer(pid)


def _send(pidfd: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        signal.pidfd_send_signal(pidfd, number)


def _stands_still(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as stat:
            return stat.read(4096).rpartition(b")")[2].split()[0] in (b"T", b"Z", b"X")
    except (OSError, IndexError):
        return True
