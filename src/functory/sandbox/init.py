"""The first process of each instance's process namespace: it buries orphans, and its death is the death of all others.

It must not be the function itself, which could then neither kill itself nor be rid of zombies. As one more copy of the
interpreter it would cost 1.2 ms and half a megabyte, so it is a program of 200 bytes: it hides itself from its
neighbours, lets the kernel bury its children (SIGCHLD ignored), and sleeps for ever.
"""

from __future__ import annotations

import os
import struct

from . import syscalls

PLACE = "/run/functory/init"
_BASE = 0x400000
_HEADERS = 64 + 56


def program() -> bytes:
    """The program for this machine; empty where a copy of the interpreter has to serve."""
    if syscalls.MACHINE != "x86_64":
        return b""
    code = bytes.fromhex(
        "bf04000000"  # mov edi, PR_SET_DUMPABLE
        "31f6"  #       xor esi, esi
        "b89d000000"  # mov eax, prctl
        "0f05"  #       syscall
        "b80d000000"  # mov eax, rt_sigaction
        "bf11000000"  # mov edi, SIGCHLD
        "beAAAAAAAA"  # mov esi, action
        "31d2"  #       xor edx, edx
        "41ba08000000"  # mov r10d, 8
        "0f05"  #       syscall
        "b822000000"  # mov eax, pause
        "0f05"  #       syscall
        "ebf7"  #       jmp to the third last
    )
    code += bytes(-len(code) % 8)
    code = code.replace(b"\xaa\xaa\xaa\xaa", struct.pack("<I", _BASE + _HEADERS + len(code)))
    action = struct.pack("<QQQQ", 1, 0, 0, 0)  # SIG_IGN
    size = _HEADERS + len(code) + len(action)
    elf = struct.pack(
        "<4s5B7xHHIQQQIHHHHHH", b"\x7fELF", 2, 1, 1, 0, 0, 2, 62, 1, _BASE + _HEADERS, 64, 0, 0, 64, 56, 1, 0, 0, 0
    )
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, _BASE, _BASE, size, size, 4096)
    return elf + segment + code + action


class Inits:
    """Keeps process namespaces with a first process in stock: making one is off the way of a start."""

    def __init__(self, stock: int) -> None:
        self._stock = stock
        self._ready: list[tuple[int, int, int]] = []
        self._home = os.open("/proc/self/ns/pid", os.O_RDONLY | os.O_CLOEXEC)
        self._null = os.open("/dev/null", os.O_RDWR | os.O_CLOEXEC)

    @property
    def short(self) -> bool:
        """Whether `refill` has something to do."""
        return len(self._ready) < self._stock

    def refill(self) -> None:
        """Makes one more."""
        self._ready.append(self._make())

    def take(self) -> tuple[int, int, int]:
        """`(pid, pidfd, its namespace)` of one; all are the taker's."""
        return self._ready.pop() if self._ready else self._make()

    def enter(self, space: int) -> None:
        """The next child is born in this namespace; `leave` afterwards."""
        syscalls.setns(space, syscalls.NEWPID)

    def leave(self) -> None:
        """Children are born in our own again."""
        syscalls.setns(self._home, syscalls.NEWPID)

    def _make(self) -> tuple[int, int, int]:
        syscalls.unshare(syscalls.NEWPID)
        try:
            pid = start(self._null)
            # Not by the pidfd: the process hides itself, and a template may not look into what is hidden.
            space = os.open("/proc/self/ns/pid_for_children", os.O_RDONLY | os.O_CLOEXEC)
        finally:
            self.leave()
        return pid, os.pidfd_open(pid), space


def start(null: int = 0) -> int:
    """The next child, and so the first process of a namespace that was just made; `null`: /dev/null."""
    if not os.path.exists(PLACE):
        return _copy_of_ourselves()
    spread = [(os.POSIX_SPAWN_DUP2, null, number) for number in range(3)]
    return os.posix_spawn(PLACE, ["init"], {}, file_actions=spread)


def _copy_of_ourselves() -> int:
    import signal

    pid = os.fork()
    if pid:
        return pid
    try:
        syscalls.be_dumpable(False)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        os.closerange(3, 4096)
        while True:
            signal.pause()
    finally:
        os._exit(1)
