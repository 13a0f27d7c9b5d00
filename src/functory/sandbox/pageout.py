"""Moving the memory of a frozen tree to swap: what it holds shrinks to a tenth, and comes back page by page.

With version 2 groups the kernel is asked by `memory.reclaim`, which an owner of a delegated group may; otherwise by
`process_madvise(MADV_PAGEOUT)` over its own writable memory, which takes CAP_SYS_NICE in the initial namespace. Costs
5 to 120 ms of processor time, so it belongs on a thread. Without swap nothing can go anywhere, and nothing is tried.
"""

from __future__ import annotations

import ctypes
import os
import struct
from collections.abc import Iterable, Iterator

from functory.model.instance import GroupFiles
from functory.sandbox import tree

_PROCESS_MADVISE = 440
_MADV_PAGEOUT = 21
_CAP_SYS_NICE = 23
_VECTORS = 512
"""Pieces of memory per call; the kernel allows 1024."""
_RECLAIM = "memory.reclaim"
_SWAP_MAX = "memory.swap.max"
# Unlike the sandbox's own binding, this one lets the interpreter's lock go: it runs beside the loop.
_libc = ctypes.CDLL(None, use_errno=True)


def why_not() -> str:
    """Why nothing can be paged out here, as a sentence; empty if it can."""
    if not _has_swap():
        return "there is no swap: add zram or a swap file, and instances on standby shrink to a tenth"
    if not _may_advise() and not os.path.exists("/sys/fs/cgroup/cgroup.controllers"):
        return "the node has not CAP_SYS_NICE, and there are no control groups of version 2: run it as root"
    return ""


def _has_swap() -> bool:
    try:
        with open("/proc/swaps", "rb", buffering=0) as swaps:
            return any(int(line.split()[-3]) > 0 for line in swaps.read(65536).splitlines()[1:])
    except (OSError, ValueError, IndexError):
        return False


def _may_advise() -> bool:
    try:
        with open("/proc/self/status", "rb", buffering=0) as status:
            _, _, rest = status.read(8192).partition(b"CapEff:")
        return bool(int(rest.split(None, 1)[0], 16) >> _CAP_SYS_NICE & 1)
    except (OSError, ValueError, IndexError):
        return False


def page_out(pid: int, files: GroupFiles) -> bool:
    """Moves what the tree of `pid` holds to swap, as far as it goes; False if nothing could be asked for.

    For a thread: it takes milliseconds.
    """
    if files.memory.endswith("memory.current"):
        return _reclaim(os.path.dirname(files.memory), files.memory)
    return _advise(_whole_tree(pid))


def _reclaim(folder: str, current: str) -> bool:
    """The group may use swap just for this: what runs shall not."""
    try:
        with open(current, encoding="ascii") as file:
            held = int(file.read())
        _write(f"{folder}/{_SWAP_MAX}", "max")
        try:
            _write(f"{folder}/{_RECLAIM}", str(held))
        except BlockingIOError:
            pass  # less than asked for could be moved: that is as far as it goes
        finally:
            _write(f"{folder}/{_SWAP_MAX}", "0")
    except (OSError, ValueError):
        return False
    return True


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)


def _whole_tree(pid: int) -> Iterator[int]:
    yield pid
    for child in tree.children(pid):
        yield from _whole_tree(child)


def _advise(pids: Iterable[int]) -> bool:
    done = False
    for pid in pids:
        try:
            pidfd = os.pidfd_open(pid)
        except OSError:
            continue
        try:
            pieces = own_memory(pid)
            for start in range(0, len(pieces), _VECTORS):
                done |= _advise_pieces(pidfd, pieces[start : start + _VECTORS])
        finally:
            os.close(pidfd)
    return done


def _advise_pieces(pidfd: int, pieces: list[tuple[int, int]]) -> bool:
    vector = ctypes.create_string_buffer(b"".join(struct.pack("@PN", start, size) for start, size in pieces))
    moved = _libc.syscall(
        ctypes.c_long(_PROCESS_MADVISE),
        ctypes.c_long(pidfd),
        vector,
        ctypes.c_long(len(pieces)),
        ctypes.c_long(_MADV_PAGEOUT),
        ctypes.c_long(0),
    )
    return int(moved) >= 0


def own_memory(pid: int) -> list[tuple[int, int]]:
    """Start and size of the private writable memory of a process; empty if it is gone or hides it."""
    found = []
    try:
        with open(f"/proc/{pid}/maps", encoding="utf-8", errors="replace") as maps:
            for line in maps:
                place, rights, *_ = line.split(None, 2)
                if rights.startswith("rw") and rights.endswith("p"):
                    start, _, end = place.partition("-")
                    found.append((int(start, 16), int(end, 16) - int(start, 16)))
    except OSError:
        return []
    return found
