"""Tier C: what the kernel shuts off without namespaces, by landlock and a filter of system calls.

Files: programs and libraries, the function's code, and its own folder for temporary files; nothing else, no /proc, and
not the /tmp that all share. Signals and abstract sockets end at the instance (Linux 6.12). A function without internet
access gets no socket but a unix one: landlock alone knows nothing of UDP.

Runs in zygotes, loaded by path: the standard library only. Rules are made in the child, since its folders are its own.
"""

from __future__ import annotations

import contextlib
import os

from . import seccomp, skeleton, syscalls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_EXECUTE, _WRITE, _READ, _LIST = 1, 2, 4, 8
_SEE = _EXECUTE | _READ | _LIST
_DEVICES_AND_BLOCKS = 1 << 6 | 1 << 11
_OF_FILES = _EXECUTE | _WRITE | _READ | 1 << 14 | 1 << 15
"""Rights that a file may be given; the others are a folder's."""
_KNOWN = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 4: (1 << 15) - 1, 5: (1 << 16) - 1}
"""What each version of landlock can bound; later ones the same as 5."""
_SCOPES_FROM = 6
_SYSTEM = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")


class Hardening:
    """What stands ready in a zygote. ValueError or OSError where this machine has neither."""

    def __init__(self, own: Iterable[str]) -> None:
        """`own`: folders of the runtime."""
        self._version = syscalls.landlock_version()
        if not self._version:
            raise OSError(38, "the kernel has no landlock")
        self._all = _KNOWN[min(self._version, 5)]
        self._filters = {
            network: syscalls.Filter(seccomp.build(syscalls.MACHINE, network=network)) for network in (True, False)
        }
        self._see = [*_SYSTEM, *skeleton.interpreter_folders(), *own, *_configuration()]

    def restrict(self, spec: dict[str, object], see: Iterable[str], own: str) -> None:
        """This process and all it starts are shut in from here on. `see`: more folders to read; `own`: to write."""
        scopes = syscalls.SCOPE_ABSTRACT_SOCKET | syscalls.SCOPE_SIGNAL if self._version >= _SCOPES_FROM else 0
        rules = syscalls.landlock_rules(self._all, scopes)
        try:
            for path in (*self._see, *see):
                self._allow(rules, path, _SEE)
            for name in skeleton.DEVICES:
                self._allow(rules, f"/dev/{name}", _READ | _WRITE)
            self._allow(rules, own, self._all & ~_DEVICES_AND_BLOCKS)
            syscalls.landlock_restrict(rules)
        finally:
            os.close(rules)
        self._filters[spec["network"] != "none"].install()

    def _allow(self, rules: int, path: str, rights: int) -> None:
        with contextlib.suppress(FileNotFoundError):
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
            try:
                rights &= self._all
                syscalls.landlock_allow(rules, fd, rights if os.path.isdir(path) else rights & _OF_FILES)
            finally:
                os.close(fd)


def _configuration() -> Iterator[str]:
    """What programs read of /etc: names, certificates, time; links lead to other folders on some systems."""
    for name in (*skeleton.COPIED, *skeleton.SHARED, "passwd", "group"):
        path = f"/etc/{name}"
        yield path
        if os.path.islink(path):
            yield os.path.realpath(path)


def find() -> str:
    """Why it does not work here, found out by a child that really does it; empty if it does."""
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        os._exit(_try_out(tell))
    os.close(tell)
    with os.fdopen(told, "rb") as said:
        reason = said.read().decode(errors="replace")
    status = os.waitpid(pid, 0)[1]
    return reason or ("" if status == 0 else f"the trial ended with status {status}")


def _try_out(tell: int) -> int:
    from . import confine

    try:
        confine.deny_new_privileges()
        Hardening(()).restrict({"network": "none"}, (), "/nowhere")
        try:
            os.listdir("/var")
        except PermissionError:
            return 0
        os.write(tell, b"files can still be read")
    except (OSError, ValueError) as failure:
        os.write(tell, str(failure).encode()[:1000] or b"?")
    return 1
