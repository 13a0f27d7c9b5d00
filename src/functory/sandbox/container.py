"""The root of a container's instance: the layers of its image, and a memory file system above them for what it writes.

Loaded by path in the box, under the interpreter of the functions: the standard library only. Runs in a stem that still
has its rights; afterwards nothing of the former root is in sight, not even the interpreter's own files, so whoever
calls this has loaded all that he needs.

    tmpfs, bounded ─┬─ upper, work      what the instance writes over its image
                    ├─ tmp              its /tmp, within the same bound
                    └─ root             the overlay: becomes /

The image is not to be trusted. What is mounted over it is mounted after its root has become ours, so that a link in it
leads nowhere but into the image itself.
"""

from __future__ import annotations

import contextlib
import os
import stat
import sys

from . import skeleton, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

PLACE = skeleton.IMAGE
HOME = "/root"
_INODES_PER_MB = 64
_FILES = ("/etc/resolv.conf", "/etc/hosts")
"""The box's own, whatever the image says."""
_FILE_BYTES = 1 << 16
_WITHOUT_FILES = ("BuiltinImporter", "FrozenImporter")
_FLAGS = syscalls.MS_NOSUID | syscalls.MS_NODEV


def enter(spec: dict[str, Any], layers: list[int]) -> None:
    """Makes the layers, the lowest first, the root of this process. OSError says what the kernel refuses."""
    disk_mb = spec["disk_mb"]
    bound = f"size={disk_mb}m,nr_inodes={max(disk_mb * _INODES_PER_MB, 1024)},mode=755"
    syscalls.mount("image", PLACE, "tmpfs", _FLAGS, bound)
    os.chdir(PLACE)
    for name, mode in (("upper", 0o777), ("work", 0o700), ("root", 0o755), ("tmp", 0o1777)):
        os.mkdir(name)
        os.chmod(name, mode)
    _lay(layers)
    over = {"/proc": syscalls.open_tree("/proc"), "/dev": syscalls.open_tree("/dev"), "/tmp": syscalls.open_tree("tmp")}
    texts = {path: _read(path) for path in _FILES}
    _load_no_more()
    os.chdir("root")
    syscalls.pivot_root(".", ".")
    syscalls.umount(".")
    os.chdir("/")
    for place, fd in over.items():
        _as_folder(place)
        syscalls.move_mount(fd, place)
        os.close(fd)
    _as_folder("/etc")
    for path, text in texts.items():
        _write(path, text)
    # As container engines do: a working folder that the image does not have is made.
    os.makedirs(spec["image"]["workdir"], mode=0o777, exist_ok=True)
    environment = spec["environment"]
    environment.setdefault("HOME", HOME if os.path.isdir(HOME) else skeleton.TMP)


def _load_no_more() -> None:
    """From here on files are the image's: what it calls a module of Python's must not run with our rights."""
    sys.path.clear()
    sys.meta_path[:] = [one for one in sys.meta_path if getattr(one, "__name__", "") in _WITHOUT_FILES]


def _lay(layers: list[int]) -> None:
    names = []
    for number, fd in enumerate(layers):
        os.mkdir(f"l{number}")
        syscalls.move_mount(fd, f"l{number}")
        names.append(f"l{number}")
    highest_first = ":".join(reversed(names))
    # The kernel keeps its marks in attributes that need no right; images are unpacked with the same ones.
    options = f"userxattr,lowerdir={highest_first},upperdir=upper,workdir=work"
    syscalls.mount("image", "root", "overlay", _FLAGS, options)


def _as_folder(path: str) -> None:
    """There is a folder of this name: whatever else the image has there gives way."""
    _give_way(path, stat.S_ISDIR)
    with contextlib.suppress(FileExistsError):
        os.mkdir(path)
        os.chmod(path, 0o755)


def _give_way(path: str, but: Callable[[int], bool]) -> None:
    with contextlib.suppress(FileNotFoundError):
        if not but(os.lstat(path).st_mode):
            os.unlink(path)


def _read(path: str) -> bytes:
    try:
        with open(path, "rb", buffering=0) as file:
            return file.read(_FILE_BYTES)
    except OSError:
        return b""  # not every system has every one


def _write(path: str, text: bytes) -> None:
    _give_way(path, stat.S_ISREG)
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o644)
    try:
        os.write(fd, text)
    finally:
        os.close(fd)


def work_in(folder: str) -> None:
    """The folder that the program starts in, as its user may enter it."""
    try:
        os.chdir(folder)
    except OSError as failure:
        raise PermissionError(
            13, f"the image's working folder {folder} cannot be entered: {failure.strerror}"
        ) from None
