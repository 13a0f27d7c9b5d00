"""The maker's hold on one boxed zygote: start its launcher, ask for stems, make stems instances, hear of ends."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from functory.model.instance import InstanceSpec, NetworkMode
from functory.sandbox import handle, syscalls
from functory.sandbox.base import SandboxError
from functory.sandbox.cgroups import Group
from functory.sandbox.netstock import NetStock

_LAUNCHER = Path(__file__).with_name("launcher.py")
_BOOTSTRAP = Path(__file__).parents[1] / "runtimes" / "bootstrap"
_READ_ONLY = syscalls.ATTR_RDONLY | syscalls.ATTR_NOSUID | syscalls.ATTR_NODEV


class StemDied(SandboxError):
    """A stem ended before it could be made an instance, with its zygote most likely: another one may do."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """How a box is built; `launcher.py` reads it."""

    bootstrap: str = str(_BOOTSTRAP)
    sandbox: str = str(_LAUNCHER.parent)
    uid_map: str
    """`inside outside count`."""
    uid: int
    """The user inside that the zygote becomes; -1 = there is but one."""
    preload: tuple[str, ...] = ()


class MakeStem(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="stem"):
    """Make a stem; a socket and perhaps a control group come with it."""

    id: str
    uid: int
    template: bool = False
    """It shall have a user namespace of its own, in which it makes instances."""


class MakeNetworks(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="networks"):
    """Start a helper that makes networks; a socket comes with it."""


class Assignment(msgspec.Struct, frozen=True, kw_only=True):
    """What makes a stem an instance; pipes, network, code and layers come with it."""

    spec: InstanceSpec
    network: NetworkMode
    rules: str = ""
    """Of the network: what it may reach, in base64."""
    opt: str
    """Where the layers are seen."""


class StartAhead(msgspec.Struct, frozen=True, kw_only=True):
    """Makes a stem start a program that will be an instance's, whosever; `Assignment` follows."""

    ahead: tuple[str, ...]


class Stem:
    """A process in namespaces of its own that waits for what it shall be."""

    def __init__(self, nest: StemMaker, name: str, pid: int, control: socket.socket, group: Group | None) -> None:
        self.nest = nest
        self.name = name
        self.pid = pid
        """As the host numbers it."""
        self.group = group
        self.first_fd = -1
        """The first process of its namespace, where it has to be killed past its maker; else -1."""
        self._control = control

    def start_ahead(self, argv: Sequence[str]) -> None:
        """Has it start this program now; `StemDied` if it has ended."""
        try:
            self._control.send(msgspec.json.encode(StartAhead(ahead=tuple(argv))))
        except OSError as failure:
            raise StemDied(f"the prepared process has died: {failure}") from failure

    def assign(self, assignment: Assignment, fds: Sequence[int]) -> None:
        """Makes it an instance; `StemDied` if it has ended. `fds`: pipes, the network, detached mounts."""
        try:
            self.become(assignment, fds)
        finally:
            self._control.close()

    def become(self, assignment: msgspec.Struct, fds: Sequence[int]) -> socket.socket:
        """The same for a process that is spoken to afterwards too: the socket."""
        data = msgspec.json.encode(assignment)
        if len(data) > handle.MESSAGE_BYTES:
            raise SandboxError(f"the specification has {len(data)} bytes, the limit is {handle.MESSAGE_BYTES}")
        try:
            socket.send_fds(self._control, [data], fds)
        except OSError as failure:
            raise StemDied(f"the prepared process has died: {failure}") from failure
        return self._control

    def let_go(self) -> None:
        """Closes our end; a stem that was not assigned ends itself."""
        self._control.close()
        if self.first_fd >= 0:
            os.close(self.first_fd)
            self.first_fd = -1


class StemMaker(handle.Forker):
    """What makes stems: a boxed zygote, or a template."""

    _fds: tuple[int, ...] = ()
    """What came with its last answer: the process, and the first of its namespace."""

    def stem(self, name: str, uid: int, group: Group | None, *, template: bool = False) -> Stem:
        """A new stem; `SandboxError` if it cannot be made. `template`: what it shall be is a template."""
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * handle.MESSAGE_BYTES)
        fds = [theirs.fileno()]
        if group is not None and group.fd >= 0:
            fds.append(group.fd)
        try:
            self._ask(name, msgspec.json.encode(MakeStem(id=name, uid=uid, template=template)), fds)
            pid = _host_pid(self._fds[0]) if self._fds else 0
            first_fd = self._keep_first()
        except BaseException:
            ours.close()
            raise
        finally:
            theirs.close()
            self._drop_fds()
        made = Stem(self, name, pid, ours, group)
        made.first_fd = first_fd
        if pid <= 0:
            made.let_go()
            raise SandboxError("the process died as soon as it was made")
        return made

    def _keep_first(self) -> int:
        """A descriptor to kill by, if it is needed; the caller's."""
        return -1

    def _take(self, flags: int) -> bytes:
        data, ancillary, _, _ = self._socket.recvmsg(handle.MESSAGE_BYTES, socket.CMSG_SPACE(8), flags)
        for _, _, raw in ancillary:
            self._drop_fds()
            self._fds = struct.unpack(f"{len(raw) // 4}i", raw[: len(raw) // 4 * 4])
        return data

    def _drop_fds(self) -> None:
        fds, self._fds = self._fds, ()
        for fd in fds:
            os.close(fd)


class Nest(StemMaker, handle.Zygote):
    """One boxed zygote."""

    def __init__(
        self, interpreter: str, plan: Plan, lifeline: int = -1, on_ending: Callable[[str], None] | None = None
    ) -> None:
        """`on_ending`: told the name of a stem whose main process has ended and whose others are being killed."""
        self._plan = plan
        self._told_ending = on_ending
        self.networks = NetStock(self._start_networks)
        super().__init__(interpreter, 0, plan.preload, lifeline)

    def _arguments(self, try_uid: int, preload: Sequence[str]) -> list[str]:
        return [str(_LAUNCHER), msgspec.json.encode(self._plan).decode()]

    def _start_networks(self, control: socket.socket) -> None:
        socket.send_fds(self._socket, [msgspec.json.encode(MakeNetworks())], [control.fileno()])

    def end(self, limit_s: float = handle.END_LIMIT_S) -> None:
        """Ends it and all that was made ahead."""
        self.networks.close()
        super().end(limit_s)

    def _on_ending(self, name: str) -> None:
        if self._told_ending is not None:
            self._told_ending(name)


def open_mounts(spec: InstanceSpec) -> list[int]:
    """Code and layers, or an image's, as detached read-only mounts; `SandboxError` names the folder that is missing."""
    fds: list[int] = []
    folders = (spec.code_dir, *spec.layer_dirs) if spec.image is None else spec.image.layers
    try:
        for folder in folders:
            fds.append(syscalls.open_tree(folder, _READ_ONLY))
    except OSError as failure:
        for fd in fds:
            os.close(fd)
        raise SandboxError(str(failure)) from failure
    return fds


def _host_pid(pidfd: int) -> int:
    """The number that we know the process by."""
    try:
        with open(f"/proc/self/fdinfo/{pidfd}", "rb", buffering=0) as facts:
            _, _, rest = facts.read(4096).partition(b"\nPid:")
        return int(rest.split(None, 1)[0])
    except (OSError, ValueError, IndexError):
        return 0  # what came is no process
