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

from . import confine, init, networks, seccomp, skeleton, syscalls, zygote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MESSAGE_BYTES = zygote.MESSAGE_BYTES
IMAGE_LAYERS = 128
"""Layers that an image may have; the kernel passes 253 descriptors at once."""
_STEM_FDS = 2
SPEC_FDS = 5 + IMAGE_LAYERS
_UNMADE = 70
INITS = 4
_SOCKET_FD, _SCOPES_FD, _FIRST_FREE = 5, 6, 7
"""Descriptors of a stem."""
INODES_PER_MB = 64
"""Files that a megabyte of /tmp may hold: an empty one costs the kernel a kilobyte that the size does not count."""


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

    def __init__(self, control: _socket.socket, runtime: Any, box: Box, inits: int = INITS) -> None:
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
        fds = received(ancillary)
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
                os.dup2(zygote.move_up(fd), _SOCKET_FD, inheritable=False)
                confine.close_from(_SOCKET_FD + 1)
                confine.name_process("functory-net")
                networks.serve(_socket.socket(fileno=_SOCKET_FD))
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


def hear(control: _socket.socket) -> tuple[bytes, list[Any]]:
    """A stem's next message and what came with it."""
    data, ancillary, _, _ = control.recvmsg(MESSAGE_BYTES, _socket.CMSG_SPACE(SPEC_FDS * 4))
    return data, ancillary


def received(ancillary: list[Any]) -> list[int]:
    """The descriptors that came with a message."""
    return [fd for _, _, raw in ancillary for fd in struct.unpack(f"{len(raw) // 4}i", raw)]


class Box:
    """How a child is locked in. What can stand ready in the zygote does."""

    def __init__(self, fixed_user: bool) -> None:
        """`fixed_user`: there is only one user in the box; it loses its rights instead of its number."""
        from . import frame

        self._frame = frame
        self.fixed_user = fixed_user
        self._filter = syscalls.Filter(seccomp.build(syscalls.MACHINE))
        self._scopes = syscalls.landlock_scopes()
        self.scopes = (_SCOPES_FD,) if self._scopes >= 0 else ()
        """Where a child finds its landlock rules."""

    def live(self, runtime: Any, uid: int, fd: int) -> int:
        """A child's life as stem and instance; its exit code."""
        self._keep_descriptors(fd)
        os.setsid()
        flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
        syscalls.mount("proc", "/proc", "proc", flags, "subset=pid")
        control = _socket.socket(fileno=_SOCKET_FD)
        data, ancillary = hear(control)
        if not data:
            return 0  # nobody needs it any more
        message = json.loads(data)
        if "ahead" in message:
            from . import ahead

            ahead.split(self, control, uid)  # whoever comes back from it is to be the program
            runtime.start_ahead(message["ahead"])
        fds = received(ancillary)
        control.detach()
        os.dup2(fds[2], 2)  # from here on, what goes wrong is told in the log
        self.furnish(message, uid, fds[3:])
        self.lock(message["spec"], uid, fds)
        return int(runtime.run(message["spec"]))

    def live_as_template(self, runtime: Any, uid: int, fd: int) -> int:
        """A child's life as the keeper of a template; its exit code."""
        self._keep_descriptors(fd)
        return self._frame.live(self, runtime, os.getuid() if self.fixed_user else uid)

    def map_user(self, pid: int, uid: int) -> None:
        """Gives a child's user namespace its only user."""
        own = os.getuid() if self.fixed_user else uid
        for name, text in (("setgroups", "deny"), ("uid_map", f"{own} {own} 1"), ("gid_map", f"{own} {own} 1")):
            with open(f"/proc/{pid}/{name}", "w") as file:
                file.write(text)

    def _keep_descriptors(self, fd: int) -> None:
        """Nothing of the zygote's may stay open: the end of its socket would not be seen."""
        keep = [fd, self._scopes]
        high = [zygote.move_up(one) if one >= 0 else -1 for one in keep]
        for place, one in zip((_SOCKET_FD, _SCOPES_FD), high):  # noqa: B905 - not in Python 3.9
            if one >= 0:
                os.dup2(one, place, inheritable=False)
        confine.close_from(_FIRST_FREE)

    def furnish(self, message: dict[str, Any], uid: int, mounts: list[int]) -> None:
        """The rest of the root: a /tmp of its own, code, layers, the network."""
        if message["network"] != "host":
            networks.enter(mounts.pop(0), message["rules"])
        self.mount_own(message, uid, mounts)

    def mount_own(self, message: dict[str, Any], uid: int, mounts: list[int]) -> None:
        """A /tmp of its own, code and layers; without `mounts`, the latter are there already."""
        spec = message["spec"]
        if spec["image"]:
            from . import container

            container.enter(spec, mounts)
            return
        size = f"size={spec['disk_mb']}m,nr_inodes={max(spec['disk_mb'] * INODES_PER_MB, 1024)},mode=700"
        owner = "" if self.fixed_user else f",uid={uid},gid={uid}"
        syscalls.mount("tmp", skeleton.TMP, "tmpfs", syscalls.MS_NOSUID | syscalls.MS_NODEV, size + owner)
        if mounts:
            syscalls.move_mount(mounts[0], skeleton.CODE)
            lay(mounts[1:], message["opt"])

    def lock(self, spec: dict[str, Any], uid: int, fds: list[int]) -> None:
        """Limits, then user, then rights; the filter last, since it forbids most of the rest."""
        self.shut_in()
        confine.own_descriptors(fds[0], fds[1], fds[2])
        if self.fixed_user:
            _be_counted_alone()
        self.limit(spec)
        confine.name_process(spec["instance_id"])
        self.renounce(uid)
        enter_code() if not spec["image"] else _enter_image(spec)
        complete(spec["environment"])
        confine.set_environment(spec["environment"])
        self.filter()

    def shut_in(self) -> None:
        """Signals and abstract sockets end at the box; signals from outside come through again."""
        if self._scopes >= 0:
            syscalls.landlock_restrict(_SCOPES_FD)
        confine.let_signals_through()

    def limit(self, spec: dict[str, Any], pid: int = 0) -> None:
        """The limits that each process has; `pid`: of another process than this one."""
        memory_mb = spec["memory_mb"] + spec["reserve_mb"]
        own_user = not self.fixed_user or pid == 0
        confine.limit(memory_mb, spec["disk_mb"], spec["concurrency"], own_user=own_user, pid=pid)

    def renounce(self, uid: int) -> None:
        """Becomes a user without any right."""
        if not self.fixed_user:
            os.setresgid(uid, uid, uid)
            os.setresuid(uid, uid, uid)
            syscalls.be_dumpable(True)
        syscalls.drop_capabilities()

    def filter(self) -> None:
        """From here on, most system calls are refused."""
        self._filter.install()


def _be_counted_alone() -> None:
    """A user namespace of its own: the kernel counts processes per user and namespace, and the user is everybody's.

    Without control groups it is the one bound that a fork bomb has. A program that was started ahead has to look into
    its helper, which it could not from a namespace of its own: it goes without.
    """
    user, group = os.getuid(), os.getgid()
    syscalls.unshare(syscalls.NEWUSER)
    syscalls.be_dumpable(True)
    for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
        with open(f"/proc/self/{name}", "w") as file:
            file.write(text)
    syscalls.drop_bounding_set()  # a new namespace begins with all


def lay(mounts: list[int], place: str) -> None:
    """Layers at one place; where two hold the same path, the first wins."""
    if len(mounts) == 1:
        syscalls.move_mount(mounts[0], place)
    elif mounts:
        lower = [f"{skeleton.OWN}/layers/{number}" for number in range(len(mounts))]
        for fd, where in zip(mounts, lower):  # noqa: B905 - not in Python 3.9
            syscalls.move_mount(fd, where)
        options = "userxattr,lowerdir=" + ":".join(lower)
        syscalls.mount("layers", place, "overlay", syscalls.MS_RDONLY | syscalls.MS_NOSUID | syscalls.MS_NODEV, options)


def enter_code() -> None:
    """The working folder of every instance."""
    os.chdir(skeleton.CODE)
    if not os.access(skeleton.CODE, os.R_OK | os.X_OK):
        raise PermissionError(13, "the code cannot be read by other users")


def _enter_image(spec: dict[str, Any]) -> None:
    from . import container

    container.work_in(spec["image"]["workdir"])


def complete(environment: dict[str, str]) -> None:
    """Adds what is the same in every box."""
    environment["TMPDIR"] = skeleton.TMP
    environment.setdefault("HOME", skeleton.TMP)
    environment.setdefault("PATH", "/usr/local/bin:/usr/bin:/bin")


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
    cells = Cells(control, runtime, Box(fixed_user))
    gc.collect()
    gc.freeze()
    gc.disable()
    cells._say(op="ready", version=".".join(map(str, sys.version_info[:3])), drop="")
    cells.serve()
