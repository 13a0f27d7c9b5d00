"""The zygote inside the box: its children are instances in namespaces of their own.

Loaded by path under the interpreter of the functions: the standard library only, and little of it.

    spawner → zygote    {"op": "stem", "id", "uid", "template"} with a socket, and the group to be born in if there is
                        one; a template is made of it in a frame of its own (`frame.py`)
                        {"op": "networks"} with a socket: start a helper that makes networks (`networks.py`)
                        {"op": "kill", "id"} · end of file: end everything
    zygote → spawner    {"op": "ready", "version", "drop"} once · {"op": "made", "id", "pid": 0} with two pidfds,
                        or {"op": "failed", "id", "reason"}, for each stem · {"op": "ended", "id", "status", "killed"},
                        and before it {"op": "ending", "id"} if it ended by itself and others may be left
    spawner → stem      {"spec", "network", "rules", "opt": place of the layers} on its own socket, with descriptors:
                        request, reply, log, the network unless it is the host's, code, layer …; before it perhaps
                        {"ahead": program}, see `ahead.py`

A stem has its namespaces and waits; the message makes it an instance. So nothing that can be done before the function
is known is on the way of a start: also not the slow moves between control groups, which the spawner makes meanwhile.

    zygote ──clone3──→ stem ──message──→ mounts, limits ──→ no rights, landlock, seccomp ──→ user code

The end of an instance's main process is the end of its pid 1 (`init.py`), and with it of all others; only then its end
is told.
"""

from __future__ import annotations

import _socket
import contextlib
import gc
import json
import os
import select
import signal
import struct
import sys

from . import confine, init, networks, syscalls, walls, zygote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MESSAGE_BYTES = zygote.MESSAGE_BYTES
_STEM_FDS = 2
_UNMADE = 70
INITS = 4


class Child:
    """An instance or stem as its zygote knows it."""

    __slots__ = ("first", "killed", "name", "pid", "status")

    def __init__(self, name: str, pid: int, first: int) -> None:
        self.name = name
        self.pid = pid
        self.first = first
        """Pid of its namespace's first process."""
        self.status = -1
        """How the main process ended, -1 while it runs."""
        self.killed = False


class Cells:
    """Makes, kills and buries until its control socket closes."""

    def __init__(self, control: _socket.socket, runtime: Any, box: walls.Box, inits: int = INITS) -> None:
        self._control = control
        self._runtime = runtime
        self._box = box
        self._inits = init.Inits(inits)
        self._poll = select.epoll()
        self._children: dict[str, Child] = {}
        self._mains: dict[int, Child] = {}
        """By pidfd of the main process."""
        self._firsts: dict[int, Child] = {}
        """By pidfd of the namespace's first process."""
        self._pidfds: dict[str, int] = {}
        self._helpers: dict[int, int] = {}
        """Pids by pidfd of those who make networks."""

    def serve(self) -> None:
        """Returns when the control socket is closed; what is left dies with our own namespace."""
        control_fd = self._control.fileno()
        self._poll.register(control_fd, select.EPOLLIN)
        try:
            while True:
                events = self._poll.poll(0 if self._inits.short else None)
                if not events:
                    self._inits.refill()
                for fd, _ in events:
                    if fd in self._mains:
                        self._main_ended(fd)
                    elif fd in self._firsts:
                        self._bury(fd)
                    elif fd in self._helpers:
                        self._helper_ended(fd)
                    elif not self._receive():
                        return
        except (BrokenPipeError, ConnectionResetError):
            return

    def _receive(self) -> bool:
        data, ancillary, _, _ = self._control.recvmsg(MESSAGE_BYTES, _socket.CMSG_SPACE(_STEM_FDS * 4))
        if not data:
            return False
        fds = walls.received(ancillary)
        try:
            message = json.loads(data)
            if message["op"] == "stem":
                self._make(message, fds)
            elif message["op"] == "kill":
                self._kill(message["id"])
            elif message["op"] == "networks":
                self._start_helper(fds[0])
        finally:
            for fd in fds:
                os.close(fd)
        return True

    def _make(self, message: dict[str, Any], fds: list[int]) -> None:
        name = message["id"]
        try:
            first, first_fd, space = self._inits.take()
            self._inits.enter(space)
            try:
                spaces = syscalls.NEWNS | syscalls.NEWIPC | syscalls.NEWUTS
                spaces |= syscalls.NEWUSER if message["template"] else 0
                pid, pidfd = syscalls.clone3(spaces, fds[1] if len(fds) > 1 else -1)
                if pid == 0:
                    self._be_stem(message, fds[0])
            finally:
                self._inits.leave()
                os.close(space)
            if message["template"]:
                self._box.map_user(pid, message["uid"])
        except OSError as failure:
            self._say(op="failed", id=name, reason=str(failure))
            return
        child = self._children[name] = Child(name, pid, first)
        self._mains[pidfd] = self._firsts[first_fd] = child
        self._pidfds[name] = first_fd
        self._poll.register(pidfd, select.EPOLLIN)
        self._poll.register(first_fd, select.EPOLLIN)
        rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, struct.pack("ii", pidfd, first_fd))]
        self._control.sendmsg([json.dumps({"op": "made", "id": name, "pid": 0}).encode()], rights)

    def _be_stem(self, message: dict[str, Any], fd: int) -> None:
        """The child; never returns."""
        status = _UNMADE
        try:
            live = self._box.live_as_template if message["template"] else self._box.live
            status = live(self._runtime, message["uid"], fd)
        except (OSError, ValueError) as failure:
            os.write(2, f"the process could not be made an instance: {failure}\n".encode())
        finally:
            os._exit(status)

    def _start_helper(self, fd: int) -> None:
        """Who makes networks leaves ours for good, so it is a process of its own."""
        pid = os.fork()
        if pid == 0:
            try:
                os.dup2(zygote.move_up(fd), walls.SOCKET_FD, inheritable=False)
                confine.close_from(walls.SOCKET_FD + 1)
                confine.name_process("functory-net")
                networks.serve(_socket.socket(fileno=walls.SOCKET_FD))
            finally:
                os._exit(0)
        pidfd = os.pidfd_open(pid)
        self._helpers[pidfd] = pid
        self._poll.register(pidfd, select.EPOLLIN)

    def _helper_ended(self, pidfd: int) -> None:
        self._poll.unregister(pidfd)
        os.close(pidfd)
        os.waitpid(self._helpers.pop(pidfd), 0)

    def _kill(self, name: str) -> None:
        child = self._children.get(name)
        if child is not None:
            child.killed = True
            _kill_by(self._pidfds[name])

    def _main_ended(self, pidfd: int) -> None:
        """The main process has ended: so do all others of its namespace."""
        child = self._mains.pop(pidfd)
        self._poll.unregister(pidfd)
        os.close(pidfd)
        # First the status, or the namespace's first process would wait for us.
        _, child.status = os.waitpid(child.pid, 0)
        if child.name not in self._pidfds:
            self._gone(child)
            return
        if not child.killed:
            self._say(op="ending", id=child.name)
        _kill_by(self._pidfds[child.name])

    def _bury(self, pidfd: int) -> None:
        """The first process is gone, and with it everything in its namespace but perhaps the main one's corpse."""
        child = self._firsts.pop(pidfd)
        self._poll.unregister(pidfd)
        os.close(pidfd)
        os.waitpid(child.first, 0)
        del self._pidfds[child.name]
        if child.status >= 0:
            self._gone(child)

    def _gone(self, child: Child) -> None:
        del self._children[child.name]
        self._say(op="ended", id=child.name, status=child.status, killed=child.killed)

    def _say(self, **message: object) -> None:
        self._control.sendall(json.dumps(message).encode())


def _kill_by(pidfd: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)


def main(control_fd: int, runtime: Any, fixed_user: bool) -> None:
    """Warms up, says ready and serves. In the box, as pid 2."""
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    os.close(null)
    control = zygote.settle_in(control_fd)
    confine.hold_signals()
    confine.deny_new_privileges()
    confine.limit_all()
    os.umask(0o022)
    _socket.sethostname("functory")
    confine.name_process("functory-zygote")
    confine.keep_new_memory_off_mmap()
    zygote.yield_first_when_memory_is_short()
    syscalls.drop_bounding_set()
    runtime.warm()
    cells = Cells(control, runtime, walls.Box(fixed_user))
    gc.collect()
    gc.freeze()
    gc.disable()
    cells._say(op="ready", version=".".join(map(str, sys.version_info[:3])), drop="")
    cells.serve()
