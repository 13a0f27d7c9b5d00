"""The root that functions see: the system's programs and libraries read-only, four devices, and nothing of the host.

    /usr /bin /lib*       of the host, read-only                /etc    a few harmless files of the host, copied
    the interpreter's     own folder, where it lies elsewhere    /proc   the instance's own processes only
    /code /opt            the function and its layers, mounted   /tmp    the instance's own
                          by each instance, read-only            /dev    null, zero, random, urandom

Sources are opened by whoever may read them, before the namespaces exist, as detached mounts; the root is put together
inside, where nothing of the host can be reached any more. Runs in launchers: the standard library only.
"""

from __future__ import annotations

import os
import sys

from . import syscalls

CODE, LAYERS, TMP = "/code", "/opt", "/tmp"
OWN = "/run/functory"
"""Where the runtime and this package lie inside."""
IMAGE = f"{OWN}/image"
"""Where a container's instance puts its root together."""
LAYER_PLACES = 16
"""Folders on which layers are mounted before they are laid over each other; more layers than this are refused."""
_SYSTEM = ("usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32")
COPIED = (
    "hosts", "resolv.conf", "nsswitch.conf", "host.conf", "gai.conf", "ld.so.cache", "localtime", "timezone",
    "mime.types", "services", "protocols", "os-release", "ssl/openssl.cnf",
)  # fmt: skip
SHARED = ("ssl/certs", "ca-certificates", "pki/tls/certs", "pki/ca-trust/extracted", "alternatives", "fonts")
DEVICES = ("null", "zero", "random", "urandom", "full")
_LINKS = {
    "/dev/fd": "/proc/self/fd",
    "/dev/stdin": "/proc/self/fd/0",
    "/dev/stdout": "/proc/self/fd/1",
    "/dev/stderr": "/proc/self/fd/2",
    "/dev/shm": "/tmp",  # semaphores and shared memory count as temporary files
    "/var/tmp": "/tmp",
    "/etc/mtab": "/proc/self/mounts",
}
_FOLDERS = (CODE, LAYERS, TMP, "/proc", "/dev", "/etc", "/var", "/home", OWN, IMAGE)
_READ_ONLY = syscalls.ATTR_RDONLY | syscalls.ATTR_NOSUID | syscalls.ATTR_NODEV
_COPY_BYTES = 1 << 20


def layers_place() -> str:
    """Where layers are mounted: `/opt`, unless the interpreter itself lies there."""
    return f"{OWN}/opt" if any(folder.startswith("/opt/") for folder in interpreter_folders()) else LAYERS


def interpreter_folders() -> list[str]:
    """Where the interpreter lies, if not among the system's programs."""
    folders = {
        sys.base_prefix,
        sys.base_exec_prefix,
        os.path.dirname(os.path.dirname(os.path.realpath(sys.executable))),
    }
    return sorted(folder for folder in folders if folder not in ("/", "/usr") and not folder.startswith("/usr/"))


class Skeleton:
    """What the root is made of, opened outside."""

    def __init__(self, own: dict[str, str]) -> None:
        """`own`: folders of this package by their name below OWN. OSError if a source cannot be opened."""
        self._links = dict(_LINKS)
        self._mounts: list[tuple[str, int, bool]] = []
        """Place, detached mount, whether it is a folder."""
        self._files: dict[str, bytes] = {}
        for name in _SYSTEM:
            self._system("/" + name)
        for folder in interpreter_folders():
            self._bind(folder, folder)
        for name, folder in own.items():
            self._bind(folder, f"{OWN}/{name}")
        for name in DEVICES:
            self._mounts.append((f"/dev/{name}", syscalls.open_tree(f"/dev/{name}", syscalls.ATTR_NOSUID), False))
        for name in SHARED:
            if os.path.isdir(f"/etc/{name}"):
                self._bind(os.path.realpath(f"/etc/{name}"), f"/etc/{name}")
        self._copy()

    def _system(self, path: str) -> None:
        if os.path.islink(path):
            self._links[path] = os.readlink(path)
        elif os.path.isdir(path):
            self._bind(path, path)

    def _bind(self, source: str, place: str) -> None:
        self._mounts.append((place, syscalls.open_tree(source, _READ_ONLY), True))

    def _copy(self) -> None:
        for name in COPIED:
            try:
                with open(f"/etc/{name}", "rb") as file:
                    self._files[f"/etc/{name}"] = file.read(_COPY_BYTES)
            except OSError:
                continue  # not every system has every one
        self._files["/etc/passwd"] = b"root:x:0:0:root:/:/usr/sbin/nologin\nfunction:x:1000:1000::/tmp:/bin/sh\n"
        self._files["/etc/group"] = b"root:x:0:\nfunction:x:1000:\n"

    def add_file(self, place: str, content: bytes) -> None:
        """One more file, executable by all."""
        self._files[place] = content

    def build(self) -> None:
        """Puts it together and makes it the root. In new namespaces, with all capabilities in them."""
        syscalls.mount("", "/", "", syscalls.MS_REC | syscalls.MS_PRIVATE)
        # Any folder serves for the moment; /tmp is there on every system.
        syscalls.mount("root", TMP, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, "size=16m,mode=755")
        os.chdir(TMP)
        for folder in (*_FOLDERS, *(f"{OWN}/layers/{number}" for number in range(LAYER_PLACES)), f"{OWN}/opt"):
            os.makedirs("." + folder, exist_ok=True)
        for place, fd, is_folder in self._mounts:
            self._place(place, fd, is_folder)
        for place, target in self._links.items():
            os.makedirs("." + os.path.dirname(place), exist_ok=True)
            os.symlink(target, "." + place)
        for place, content in self._files.items():
            _write("." + place, content)
        # While the host's is still in sight: the kernel gives a new one only to those who see a complete one.
        syscalls.mount("proc", "./proc", "proc", syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC)
        syscalls.pivot_root(".", ".")
        syscalls.umount(".")
        os.chdir("/")
        flags = syscalls.MS_REMOUNT | syscalls.MS_BIND | syscalls.MS_RDONLY | syscalls.MS_NOSUID | syscalls.MS_NODEV
        syscalls.mount("", "/", "", flags)

    def _place(self, place: str, fd: int, is_folder: bool) -> None:
        where = "." + place
        if is_folder:
            os.makedirs(where, exist_ok=True)
        else:
            _write(where, b"")
        syscalls.move_mount(fd, where)
        os.close(fd)


def _write(path: str, content: bytes) -> None:
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(content)
    os.chmod(path, 0o755 if content.startswith(b"\x7fELF") else 0o644)
