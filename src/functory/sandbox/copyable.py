"""What of a running process a fork does not copy, or copies so that the copies get in each other's way.

Looked at once in every template, after the function's code and initializer have run. Standard library only.
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

HUGE_FROM_BYTES = 30 << 20
"""Below this, laying memory out in huge pages costs more than all forks will save."""
_HUGE = 2 << 20
_MADV_COLLAPSE = 25
_CURE = "open it in after_restore(context), close it in before_snapshot(context), or set FUNCTORY_SNAPSHOT=off"


def descriptors() -> set[int]:
    """The open descriptors."""
    listing = os.open("/proc/self/fd", os.O_RDONLY | os.O_DIRECTORY)
    try:
        return {int(name) for name in os.listdir(listing)} - {listing}
    finally:
        os.close(listing)


def why_not(opened: Iterable[int]) -> str:
    """Why this process cannot be a template, in a sentence; empty if it can. `opened`: what the function has opened."""
    return _threads() or _children() or _shared_memory() or _files_left() or _first_of(map(_descriptor, sorted(opened)))


def _first_of(reasons: Iterable[str]) -> str:
    return next(filter(None, reasons), "")


def _threads() -> str:
    count = len(os.listdir("/proc/self/task"))
    if count == 1:
        return ""
    import sys

    threading = sys.modules.get("threading")
    names = [] if threading is None else [one.name for one in threading.enumerate()[1:4]]
    called = f" ({', '.join(names)})" if names else ""
    return (
        f"{count - 1} threads were started while the code was loaded or initialised{called}: copies have none of them"
    )


def _children() -> str:
    while True:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return ""
        if pid == 0:
            return "a child process was started while the code was loaded or initialised: it belongs to no copy"


def _shared_memory() -> str:
    with open("/proc/self/maps", "rb", buffering=0) as file:
        text = b""
        while piece := file.read(65536):
            text += piece
    for line in text.splitlines():
        parts = line.split(None, 5)
        if parts[1][1:2] == b"w" and parts[1][3:4] == b"s":
            name = parts[5].decode("utf-8", "replace") if len(parts) > 5 else "no file"
            return f"memory is shared between processes ({name}): copies would write over each other's"
    return ""


def _files_left() -> str:
    left = os.listdir("/tmp")
    return f"there are files in /tmp ({', '.join(sorted(left)[:3])}): each copy has a /tmp of its own" if left else ""


def _descriptor(fd: int) -> str:
    try:
        mode = os.fstat(fd).st_mode
        target = os.readlink(f"/proc/self/fd/{fd}")
    except OSError:
        return ""  # closed meanwhile
    if stat.S_ISSOCK(mode):
        return f"a socket is open (descriptor {fd}): copies would share the connection; {_CURE}"
    if stat.S_ISFIFO(mode):
        return f"a pipe is open (descriptor {fd}): copies would share it; {_CURE}"
    if not target.startswith("/") or target.startswith("/memfd:"):
        return f"{target} is open (descriptor {fd}): copies would share it; {_CURE}"
    if _flags(fd) & os.O_ACCMODE != os.O_RDONLY:
        return f"{target} is open for writing (descriptor {fd}): copies would share it; {_CURE}"
    return ""


def _flags(fd: int) -> int:
    with open(f"/proc/self/fdinfo/{fd}", "rb", buffering=0) as facts:
        return int(facts.read(4096).partition(b"flags:")[2].split(None, 1)[0], 8)


def open_anew(kept: Iterable[int]) -> None:
    """Gives this process files of its own under the same numbers: copied ones share their places with all copies."""
    for fd in kept:
        new = os.open(os.readlink(f"/proc/self/fd/{fd}"), _flags(fd) & ~os.O_CREAT | os.O_CLOEXEC)
        if stat.S_ISREG(os.fstat(new).st_mode):
            os.lseek(new, os.lseek(fd, 0, os.SEEK_CUR), os.SEEK_SET)
        os.dup2(new, fd, inheritable=os.get_inheritable(fd))
        os.close(new)


def use_huge_pages() -> int:
    """Lays large private memory out in pages of 2 MB, as a fork copies the table of pages; how many ranges it was.

    Harmless where the kernel cannot do it (before 6.1, or transparent huge pages off).
    """
    with open("/proc/self/statm", "rb", buffering=0) as file:
        resident = int(file.read(200).split()[1]) * os.sysconf("SC_PAGE_SIZE")
    if resident < HUGE_FROM_BYTES:
        return 0
    import ctypes

    advise = ctypes.CDLL(None).madvise
    advise.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int]
    return sum(advise(start, size, _MADV_COLLAPSE) == 0 for start, size in _large_ranges())


def _large_ranges() -> list[tuple[int, int]]:
    found = []
    with open("/proc/self/maps", encoding="utf-8", errors="replace") as file:
        for line in file:
            parts = line.split(None, 5)
            private = parts[1] == "rw-p" and (len(parts) < 6 or parts[5].startswith("[heap]"))
            low, high = (int(end, 16) for end in parts[0].split("-"))
            low, high = (low + _HUGE - 1) & ~(_HUGE - 1), high & ~(_HUGE - 1)
            if private and high > low:
                found.append((low, high - low))
    return found
