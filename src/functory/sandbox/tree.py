"""Process trees: who descends from whom, and how to end all of them.

Runs in the spawner and, loaded by path, in every zygote (also under older interpreters): the standard library only.

A hostile tree forks while it is being killed, leaves its session and ignores SIGTERM. So it is first stopped from the
top, pass after pass until a pass finds nobody new, and only then killed: a stopped process cannot fork. What slips
through (a fork that was already inside the kernel) becomes an orphan, is handed to the nearest subreaper above, and
falls there to `end_strangers`. Processes are addressed by pidfd, checked to still hang in the tree after the descriptor
was opened, so that a reused number never hits somebody else.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal

_PASSES = 64
"""Bound of the passes over one tree: a process may be continued by its siblings for ever."""
_ROUNDS = 200
"""Bound of the rounds over orphans."""
DEATH_WAIT_MS = 1000
"""How long to wait for one killed process: it may hang in the kernel, in a file system that does not answer."""


def children(pid: int) -> list[int]:
    """The direct children of `pid`, of all its threads; empty if it is gone."""
    found: list[int] = []
    try:
        for task in os.listdir(f"/proc/{pid}/task"):
            with open(f"/proc/{pid}/task/{task}/children", "rb", buffering=0) as listing:
                while chunk := listing.read(65536):
                    found += map(int, chunk.split())
    except FileNotFoundError:
        if os.path.isdir(f"/proc/{pid}") and not os.path.exists(f"/proc/{pid}/task/{pid}/children"):
            return _children_by_scan(pid)
    except (ProcessLookupError, ValueError):
        pass
    return found


def _children_by_scan(pid: int) -> list[int]:
    """The same on kernels without lists of children."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and parent(int(name)) == pid]


def parent(pid: int) -> int:
    """The parent of `pid`, or 0 if it is gone."""
    try:
        with open(f"/proc/{pid}/stat", "rb", buffering=0) as stat:
            # The name may hold anything, parentheses too: what counts stands behind the last one.
            return int(stat.read(4096).rpartition(b")")[2].split()[1])
    except (OSError, ValueError, IndexError):
        return 0


def child_known_as(root: int, number: int) -> int:
    """The child of `root` that calls itself `number`, in a process namespace of its own perhaps; 0 if there is none."""
    for pid in children(root):
        with contextlib.suppress(OSError, ValueError), open(f"/proc/{pid}/status", "rb", buffering=0) as status:
            own = status.read(4096).partition(b"\nNSpid:")[2].partition(b"\n")[0].split() or [b"%d" % pid]
            if int(own[-1]) == number:
                return pid
    return 0


def end(root: int) -> None:
    """Stops and kills `root`, a child of the caller, and all that descends from it. Reaps nobody."""
    held: dict[int, int] = {}
    try:
        if not _hold(root, {os.getpid()}, held):
            return
        for _ in range(_PASSES):
            if not _hold_descendants(held):
                break
        for pidfd in held.values():
            _send(pidfd, signal.SIGKILL)
    finally:
        for pidfd in held.values():
            os.close(pidfd)


def _hold_descendants(held: dict[int, int]) -> bool:
    news = False
    for pid in list(held):
        for child in children(pid):
            if child not in held and _hold(child, held.keys(), held):
                news = True
    return news


def _hold(pid: int, parents: object, held: dict[int, int]) -> bool:
    """Opens and stops `pid` if its parent is one of `parents`."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return False
    if parent(pid) not in parents:  # type: ignore[operator]
        os.close(pidfd)
        return False
    held[pid] = pidfd
    _send(pidfd, signal.SIGSTOP)
    return True


def _send(pidfd: int, number: int) -> None:
    # Gone already, or it runs a program that changed its user: PR_SET_NO_NEW_PRIVS rules the latter out.
    with contextlib.suppress(ProcessLookupError, PermissionError):
        signal.pidfd_send_signal(pidfd, number)


def wait_for_death(pid: int, limit_ms: int) -> bool:
    """Reaps `pid`, a killed child of the caller; false if it does not die in time."""
    try:
        pidfd = os.pidfd_open(pid)
    except OSError:
        return True
    try:
        poller = select.poll()
        poller.register(pidfd, select.POLLIN)
        if not poller.poll(limit_ms):
            return False
        os.waitpid(pid, 0)
    except ChildProcessError:
        pass
    finally:
        os.close(pidfd)
    return True


def end_strangers(known: object) -> bool:
    """Ends and reaps every child of the caller (a subreaper) whose pid is not in `known`: orphans of dead trees.

    False if one of them does not die.
    """
    me = os.getpid()
    for _ in range(_ROUNDS):
        strangers = [pid for pid in children(me) if pid not in known]  # type: ignore[operator]
        if not strangers:
            return True
        for pid in strangers:
            end(pid)
        if not all(wait_for_death(pid, DEATH_WAIT_MS) for pid in strangers):
            return False
    return False
