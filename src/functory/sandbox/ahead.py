"""A stem whose program runs already: for languages that take long to start and cannot be forked.

Loaded by path in the box, under the interpreter of the functions: the standard library only.

    stem ──split──→ program: locked in, replaced by the interpreter, waits on SPEC_FD
        └─fork twice─→ helper: keeps its rights and the socket to the spawner, and waits
    spawner ──assignment──→ helper: mounts, limits of the program; gives up its rights; the spec ──→ program
    program: takes the pipes out of the helper's hands, closes SPEC_FD ──→ helper ends; only then the code is loaded

The program is locked in before it runs. What it needs of the outside comes to it through the mounts that both see, and
through /proc, where it may look into the hands of a helper that has become as powerless as itself. No code of a user
runs until the helper has nothing left to do.
"""

from __future__ import annotations

import _socket
import json
import os
import struct

from . import confine, syscalls, walls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

_FREE_FROM = 16
"""Descriptors from here on are in nobody's way."""


def split(box: walls.Box, control: _socket.socket, uid: int) -> None:
    """Returns in the process that is to be the program: locked in, with a socket on the place of its spec."""
    program = os.getpid()
    ours, theirs = _socket.socketpair(_socket.AF_UNIX, _socket.SOCK_STREAM)
    # Before the two part: the kernel lets nobody look into the hands of a process that is less shut in than himself.
    box.shut_in()
    between = os.fork()
    if between == 0:
        # Orphaned at once: the box's first process buries the helper, the program never hears of it.
        if os.fork() == 0:
            theirs.close()
            _help(box, control, uid, program, ours)
        os._exit(0)
    os.waitpid(between, 0)
    _lock_in(box, uid, theirs)


def _lock_in(box: walls.Box, uid: int, spec_socket: _socket.socket) -> None:
    null, spec_fd = _away(os.open(os.devnull, os.O_RDWR)), _away(spec_socket.detach())
    confine.own_descriptors(null, null, null, spec_fd)
    confine.name_process("functory-ahead")
    box.renounce(uid)
    os.chdir("/")
    environment: dict[str, str] = {}
    walls.complete(environment)
    confine.set_environment(environment)
    box.filter()


def _away(fd: int) -> int:
    import fcntl

    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, _FREE_FROM)


def _help(box: walls.Box, control: _socket.socket, uid: int, program: int, to_program: _socket.socket) -> NoReturn:
    """The helper's life. If it cannot do its part, the program hears the end of its socket, and ends the box."""
    try:
        data, ancillary = walls.hear(control)
        if data:
            _hand_over(box, json.loads(data), walls.received(ancillary), uid, program, to_program)
    except (OSError, ValueError) as failure:
        os.write(2, f"the process could not be made an instance: {failure}\n".encode())
    finally:
        os._exit(0)


def _hand_over(
    box: walls.Box, message: dict[str, Any], fds: list[int], uid: int, program: int, to_program: _socket.socket
) -> None:
    spec = message["spec"]
    os.dup2(fds[2], 2)  # from here on, what goes wrong is told in the log
    box.furnish(message, uid, fds[3:])
    box.limit(spec, program)
    box.renounce(uid)
    syscalls.be_dumpable(True)  # or nobody could look into its hands
    walls.enter_code()
    box.filter()
    walls.complete(spec["environment"])
    spec["pipes"] = [f"/proc/{os.getpid()}/fd/{fd}" for fd in fds[:3]]
    text = json.dumps(spec).encode()
    to_program.sendall(struct.pack("<I", len(text)) + text)
    to_program.recv(1)  # it has taken them when it closes its end
