"""Who listens on a port: only a server of this instance's own may be sent its requests."""

from __future__ import annotations

import os

_LISTEN = b"0A"
_TABLES = ("/proc/self/net/tcp", "/proc/self/net/tcp6")  # /proc/net is not there where /proc shows processes only
_PROCESSES = 4096
"""Bound of the search through an instance's tree."""


def is_ours(port: int, root: int) -> bool | None:
    """Whether a process below `root` listens on `port`; None where the kernel does not tell."""
    sockets = _listening(port)
    if not sockets:
        return None if sockets is None else False
    wanted = {f"socket:[{inode}]" for inode in sockets}
    for pid in _tree(root):
        try:
            for name in os.listdir(f"/proc/{pid}/fd"):
                if os.readlink(f"/proc/{pid}/fd/{name}") in wanted:
                    return True
        except OSError:
            continue  # it ended meanwhile, or it is not ours to look into
    return False


def is_taken(port: int) -> bool:
    """Whether anybody is known to listen on `port`."""
    return bool(_listening(port))


def _listening(port: int) -> set[str] | None:
    """The inodes of all sockets that listen on `port`; None where there are no lists of sockets."""
    found: set[str] | None = None
    end = b":%04X" % port
    for table in _TABLES:
        try:
            with open(table, "rb") as lines:
                found = found or set()
                next(lines)
                for line in lines:
                    words = line.split(None, 10)
                    if words[3] == _LISTEN and words[1].endswith(end):
                        found.add(words[9].decode())
        except OSError:
            continue  # no IPv6, or a /proc of processes only
    return found


def _tree(root: int) -> list[int]:
    found = [root]
    for pid in found:
        if len(found) > _PROCESSES:
            break
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                with open(f"/proc/{pid}/task/{task}/children", "rb") as children:
                    found += map(int, children.read().split())
        except OSError:
            continue
    return found
