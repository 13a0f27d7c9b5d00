"""The frame of a template: the box in which one function revision is loaded once, and forked for each instance.

    zygote ──clone3, user namespace──→ keeper ──new process namespace──→ template, pid 3 ──clone3──→ instances
                                          │ waits, ends as it ends           │ loads, initialises, is looked at
                                          └──────────── first, pid 1 ────────┘

A template has run the function's code and still has to make namespaces, so it is locked in differently from an
instance: it lives in a user namespace of its own that has one user, no further user or network namespace can be made
in it (the kernel's own limits say so), and it keeps one capability, which means nothing outside: to make process and
mount namespaces for its children, and to mount their /proc and /tmp. Its filter allows those calls with those arguments
only. What its children become has no capability and the filter of all instances on top.

It is pid 3 and its children are pid 2 of theirs: libraries that notice a fork by the process number, like OpenSSL,
would otherwise draw the same random numbers in all children. Standard library only, as little of it as possible.
"""

from __future__ import annotations

import _socket
import gc
import json
import os
import resource
import sys

from . import cells, confine, copyable, init, seccomp, syscalls, walls

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

_SOCKET_FD = 5
_STOCK = 1
"""Process namespaces with a first process that a template keeps ready."""
_LIMITS = ("max_user_namespaces", "max_net_namespaces")
_NOT_COPYABLE = 1
PROCESSES = 2048
"""Of a template and all its instances together: the kernel counts them by the frame's user namespace."""


def live(box: walls.Box, runtime: Any, uid: int) -> int:
    """The keeper's life: builds the frame, starts the template in it, ends as it ends."""
    os.setsid()
    control = _socket.socket(fileno=_SOCKET_FD)
    data, ancillary = walls.hear(control)
    if not data:
        return 0
    message = json.loads(data)
    fds = walls.received(ancillary)
    _close_ways_out()
    if not box.fixed_user:
        os.setresgid(uid, uid, uid)
        os.setresuid(uid, uid, uid)
    syscalls.be_dumpable(True)
    _new_processes()
    pid, _ = syscalls.clone3(0)
    if pid == 0:
        return _Template(box, runtime, control, message).live(uid, fds)
    confine.close_from(3)
    return _end_like(os.waitpid(pid, 0)[1])


def _close_ways_out() -> None:
    """No process of this user namespace makes another one, or a network: in those it would have all capabilities."""
    for name in _LIMITS:
        with open(f"/proc/sys/user/{name}", "w") as limit:
            limit.write("0")


def _new_processes() -> None:
    """The next child is the third process of a new namespace, whose first one buries orphans."""
    syscalls.unshare(syscalls.NEWPID)
    init.start()
    pid = os.fork()
    if pid == 0:
        os._exit(0)
    os.waitpid(pid, 0)


def _end_like(status: int) -> int:
    if os.WIFSIGNALED(status):
        os.kill(os.getpid(), os.WTERMSIG(status))
    return os.WEXITSTATUS(status)


class _Template:
    """Loads the function, then makes instances until its control socket closes."""

    def __init__(self, box: walls.Box, runtime: Any, control: _socket.socket, message: dict[str, Any]) -> None:
        self._box = box
        self._runtime = runtime
        self._control = control
        self._message = message
        self._spec = message["spec"]
        self._filter = syscalls.Filter(seccomp.build_for_templates(syscalls.MACHINE))

    def live(self, uid: int, fds: list[int]) -> int:
        """Its whole life; the exit code."""
        flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
        os.setsid()
        os.dup2(fds[2], 2)
        syscalls.mount("proc", "/proc", "proc", flags, "subset=pid")
        self._box.mount_own(self._message, uid, fds[3:])
        self._lock(fds)
        before = copyable.descriptors()
        snapshot = self._runtime.prepare(self._spec)
        if isinstance(snapshot, int):
            return snapshot
        kept = copyable.descriptors() - before
        reason = copyable.why_not(kept)
        if reason:
            snapshot.refuse(reason)
            return _NOT_COPYABLE
        self._settle()
        copies = cells.Cells(self._control, snapshot, Copies(self._box, self._spec, uid, kept), _STOCK)
        self._control.send(json.dumps({"op": "ready", "version": sys.version.split()[0], "drop": ""}).encode())
        snapshot.announce()
        copies.serve()
        return 0

    def _lock(self, fds: list[int]) -> None:
        keep = [self._control.fileno(), *self._box.scopes]
        if self._box.scopes:
            syscalls.landlock_restrict(self._box.scopes[0])
        confine.own_descriptors(fds[0], fds[1], fds[2], keep=keep)
        confine.let_signals_through()
        spec = self._spec
        memory_mb = spec["memory_mb"] + spec["reserve_mb"]
        confine.limit(memory_mb, spec["disk_mb"], spec["concurrency"], own_user=False)
        confine.lower(resource.RLIMIT_NPROC, PROCESSES)
        confine.name_process(spec["instance_id"])
        syscalls.drop_bounding_set()
        syscalls.keep_one_capability()
        walls.enter_code()
        walls.complete(spec["environment"])
        confine.set_environment(spec["environment"])
        self._filter.install()

    def _settle(self) -> None:
        """What children share is laid out for it: nothing of it is looked at by their garbage collectors."""
        gc.collect()
        copyable.use_huge_pages()
        gc.freeze()
        gc.disable()


class Copies(walls.Box):
    """How a template's child becomes an instance: code and layers are there, the rest is its own."""

    def __init__(self, box: walls.Box, spec: dict[str, Any], uid: int, kept: set[int]) -> None:
        """`kept`: what the function has opened to read, which every child gets for itself."""
        self.fixed_user = box.fixed_user
        self.scopes = box.scopes
        self._filter = syscalls.Filter(seccomp.build(syscalls.MACHINE))
        self._uid = uid
        self._kept = kept
        self._environment = spec["environment"]

    def live(self, runtime: Any, uid: int, fd: int) -> int:
        """A child's life as stem and instance; its exit code."""
        confine.close_all_but(confine.REPLY_FD + 1, (fd, *self.scopes, *self._kept))
        os.setsid()
        flags = syscalls.MS_NOSUID | syscalls.MS_NODEV | syscalls.MS_NOEXEC
        syscalls.mount("proc", "/proc", "proc", flags, "subset=pid")
        control = _socket.socket(fileno=fd)
        runtime.wait(fd)
        data, ancillary = walls.hear(control)
        if not data:
            return 0
        message = json.loads(data)
        fds = walls.received(ancillary)
        os.dup2(fds[2], 2)
        self.mount_own(message, self._uid, [])
        self._lock_child(message["spec"], fds)
        return int(runtime.run(message["spec"]))

    def _lock_child(self, spec: dict[str, Any], fds: list[int]) -> None:
        copyable.open_anew(self._kept)
        if self.scopes:
            syscalls.landlock_restrict(self.scopes[0])
        confine.own_descriptors(fds[0], fds[1], fds[2], keep=self._kept)
        confine.name_process(spec["instance_id"])
        syscalls.drop_capabilities()
        # What the function itself has changed in its environment stands, but for what is each instance's own.
        mine, own = self._environment, spec["environment"]
        confine.set_environment({name: text for name, text in own.items() if mine.get(name) != text})
        self._filter.install()
