"""The walls of one box: how a child of a zygote is furnished, limited and locked in before it runs a user's code.

    live: hear what to be ──→ furnish (network, /tmp, code, image) ──→ lock: limits, user, rights, filter ──→ run

Loaded by path under the interpreter of the functions: the standard library only, and little of it.
"""

from __future__ import annotations

import _socket
import json
import os
import struct

from . import confine, networks, seccomp, skeleton, syscalls, zygote

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

IMAGE_LAYERS = 128
"""Layers that an image may have; the kernel passes 253 descriptors at once."""
SPEC_FDS = 5 + IMAGE_LAYERS
SOCKET_FD, _SCOPES_FD, _FIRST_FREE = 5, 6, 7
"""Descriptors of a stem."""
INODES_PER_MB = 64
"""Files that a megabyte of /tmp may hold: an empty one costs the kernel a kilobyte that the size does not count."""


def hear(control: _socket.socket) -> tuple[bytes, list[Any]]:
    """A stem's next message and what came with it."""
    data, ancillary, _, _ = control.recvmsg(zygote.MESSAGE_BYTES, _socket.CMSG_SPACE(SPEC_FDS * 4))
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
        control = _socket.socket(fileno=SOCKET_FD)
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
        for place, one in zip((SOCKET_FD, _SCOPES_FD), high):  # noqa: B905 - not in Python 3.9
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
