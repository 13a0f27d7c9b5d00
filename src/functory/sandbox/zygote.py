"""The zygote: one warm interpreter that is forked for every instance.

Loaded by path under the interpreter of the functions, which may be older than ours: the standard library only, and as
little of it as possible, since every page it touches is a page fault in each child.

    spawner → zygote    {"op": "fork", "uid": int, "tmp": str, "hard": bool, "spec": {...}} with three descriptors
                        {"op": "kill", "id": str} · end of file: end all instances, then yourself
    zygote → spawner    {"op": "ready", "version": str, "drop": str} once; drop = what the given user id cannot use
                        {"op": "made", "id", "pid", "stayed": bool} | {"op": "failed", "id", "reason"} for each fork
                        {"op": "ended", "id", "status": wait status, "killed": bool}; its tree is gone

It is the subreaper of its instances: whoever outlives his instance falls to it, and is ended before the end is told.
"""

from __future__ import annotations

import _socket
import gc
import json
import os
import select
import struct
import sys

from . import confine, tree

TYPE_CHECKING = False  # importing typing would cost every instance some pages
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from . import hardened

    Run = Callable[[dict[str, Any]], int]
    """The language runtime: serves a spec on `REQUEST_FD` and `REPLY_FD`, answers the exit code."""

MESSAGE_BYTES = 1 << 18
"""The longest message either way."""
_FDS = 3
_UNMADE = 70
"""Exit code of a process that could not be turned into an instance; its log says why."""


class Zygote:
    """Forks, kills and buries instances until its control socket closes."""

    def __init__(self, control: _socket.socket, run: Run) -> None:
        self._control = control
        self._run = run
        self._poll = select.epoll()
        self._instances: dict[int, str] = {}
        """Instance ids by pid: all children that are meant to be there."""
        self._pids: dict[str, int] = {}
        self._pidfds: dict[int, int] = {}
        """Pids by pidfd."""
        self._uids: dict[int, int] = {}
        """By pid: the user id that only this instance has, if it has one."""
        self._killed: set[str] = set()
        self._hardening: hardened.Hardening | None = None

    def serve(self) -> None:
        """Returns when the control socket is closed and every instance has ended."""
        control_fd = self._control.fileno()
        self._poll.register(control_fd, select.EPOLLIN)
        try:
            while True:
                for fd, _ in self._poll.poll():
                    if fd != control_fd:
                        self._bury(fd)
                    elif not self._receive():
                        return
        except (BrokenPipeError, ConnectionResetError):
            return
        finally:
            self._end_all()

    def _receive(self) -> bool:
        data, ancillary, _, _ = self._control.recvmsg(MESSAGE_BYTES, _socket.CMSG_SPACE(_FDS * 4))
        if not data:
            return False
        fds = [fd for _, _, raw in ancillary for fd in struct.unpack(f"{len(raw) // 4}i", raw)]
        message = json.loads(data)
        if message["op"] == "fork":
            try:
                self._fork(message, fds)
            finally:
                for fd in fds:
                    os.close(fd)
        elif message["op"] == "kill":
            self._kill(message["id"])
        return True

    def _say(self, **message: object) -> None:
        self._control.sendall(json.dumps(message).encode())

    def _fork(self, message: dict[str, Any], fds: list[int]) -> None:
        spec = message["spec"]
        name = spec["instance_id"]
        stayed = False
        try:
            os.stat(spec["code_dir"])
            if message["uid"] and confine.unreadable_for(message["uid"], [spec["code_dir"], *spec["layer_dirs"]]):
                message["uid"], stayed = 0, True
            if message["hard"] and self._hardening is None:
                self._hardening = _hardening()
            me = os.getpid()
            pid = os.fork()
        except OSError as failure:
            self._say(op="failed", id=name, reason=str(failure))
            return
        if pid == 0:
            self._become(message, fds, me)
        pidfd = os.pidfd_open(pid)
        self._instances[pid] = name
        self._pids[name] = pid
        self._pidfds[pidfd] = pid
        self._uids[pid] = message["uid"]
        self._poll.register(pidfd, select.EPOLLIN)
        self._say(op="made", id=name, pid=pid, stayed=stayed)

    def _become(self, message: dict[str, Any], fds: list[int], parent: int) -> None:
        """The child: locks itself in, runs the language runtime, never returns."""
        status = _UNMADE
        try:
            _lock_in(message, fds, parent, self._hardening)
            status = self._run(message["spec"])
        except (OSError, ValueError) as failure:
            os.write(2, f"the process could not be made an instance: {failure}\n".encode())
        finally:
            os._exit(status)

    def _kill(self, name: str) -> None:
        pid = self._pids.get(name)
        if pid is not None:
            self._killed.add(name)
            self._end_tree(pid)

    def _end_tree(self, pid: int) -> None:
        if self._uids[pid] and tree.children(pid):
            confine.end_all_of(self._uids[pid])
        else:
            tree.end(pid)

    def _bury(self, pidfd: int) -> None:
        """An instance's main process has ended: ends what it left behind, then says so."""
        pid = self._pidfds.pop(pidfd)
        name = self._instances.pop(pid)
        self._poll.unregister(pidfd)
        os.close(pidfd)
        del self._pids[name]
        _, status = os.waitpid(pid, 0)
        uid = self._uids.pop(pid)
        if uid and len(tree.children(os.getpid())) > len(self._instances):
            confine.end_all_of(uid)
        tree.end_strangers(self._instances)
        killed = name in self._killed
        self._killed.discard(name)
        self._say(op="ended", id=name, status=status, killed=killed)

    def _end_all(self) -> None:
        for pid in self._instances:
            self._end_tree(pid)
        for pid in self._instances:
            tree.wait_for_death(pid, tree.DEATH_WAIT_MS)
        tree.end_strangers(())


def _lock_in(message: dict[str, Any], fds: list[int], parent: int, hardening: hardened.Hardening | None) -> None:
    spec = message["spec"]
    os.setsid()
    confine.own_descriptors(fds[0], fds[1], fds[2])
    confine.let_signals_through()
    memory_mb = spec["memory_mb"] + spec["reserve_mb"]
    confine.limit(memory_mb, spec["disk_mb"], spec["concurrency"], own_user=message["uid"] != 0)
    if message["uid"]:
        confine.drop_to(message["uid"])
    confine.become_subreaper()
    confine.die_with_parent(parent)
    confine.name_process(spec["instance_id"])
    if hardening is not None:
        _shut_in(hardening, spec, message["tmp"])
    os.chdir(spec["code_dir"])
    environment = spec["environment"]
    environment["TMPDIR"] = message["tmp"]
    environment.setdefault("HOME", message["tmp"])
    environment.setdefault("PATH", "/usr/local/bin:/usr/bin:/bin")
    confine.set_environment(environment)


def _hardening() -> hardened.Hardening:
    from . import hardened  # only where it is needed: every page counts in each child

    # Not by sys.argv, which functions see and so is emptied.
    return hardened.Hardening(sys.modules[__name__.rpartition(".")[0]].__path__)


def _shut_in(hardening: hardened.Hardening, spec: dict[str, Any], tmp: str) -> None:
    see = [spec["code_dir"], *spec["layer_dirs"]]
    if spec["argv"]:
        see.append(os.path.dirname(os.path.dirname(os.path.realpath(spec["argv"][0]))))
    hardening.restrict(spec, see, tmp)


def move_up(fd: int) -> int:
    """A copy of a descriptor out of the way of the numbers that instances use."""
    import fcntl

    return fcntl.fcntl(fd, fcntl.F_DUPFD_CLOEXEC, 10)


def settle_in(control_fd: int) -> _socket.socket:
    """Moves the control socket out of the way of the numbers that instances use."""
    high = move_up(control_fd)
    low = os.open(os.devnull, os.O_RDWR)
    null = move_up(low)
    os.close(low)
    for fd in (confine.REQUEST_FD, confine.REPLY_FD):
        os.dup2(null, fd, inheritable=False)
    os.close(null)
    return _socket.socket(fileno=high)


def yield_first_when_memory_is_short() -> None:
    """The kernel's out-of-memory killer shall take an instance, not the node."""
    try:
        with open("/proc/self/oom_score_adj", "w") as score:
            score.write("500")
    except OSError:
        pass


def main(control_fd: int, uid: int, warm: Callable[[], None], run: Run) -> None:
    """Warms up, says ready and serves. `uid`: a user id that instances may be given, to try it out; 0 = none.

    No parent-death signal here: when the spawner dies, the socket closes, and the trees are ended from below.
    """
    control = settle_in(control_fd)
    confine.hold_signals()
    confine.become_subreaper()
    confine.deny_new_privileges()
    confine.limit_all()
    os.umask(0o022)
    confine.name_process("functory-zygote")
    confine.keep_new_memory_off_mmap()
    yield_first_when_memory_is_short()
    if os.geteuid() == 0:
        os.setgroups([])
    warm()
    gc.collect()
    gc.freeze()
    gc.disable()
    zygote = Zygote(control, run)
    zygote._say(op="ready", version=".".join(map(str, sys.version_info[:3])), drop=_refusal(uid))
    zygote.serve()


def _refusal(uid: int) -> str:
    if not uid:
        return ""
    if not confine.can_become(uid):
        return f"the user id {uid}"
    return confine.unreadable_parts(uid)
