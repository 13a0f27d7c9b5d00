"""Control groups: a bound on what an instance's whole tree may take, and the kernel's word on why it ended.

Version 2 is preferred: an instance is born in its group, at no cost. With version 1 a process is moved, which takes the
kernel 5-13 ms after a quiet time, so only stems are moved, before anybody waits for them. Groups are made below the one
that the node itself is in, never beside it, and never used twice: after one `cgroup.kill` the kernel kills whatever is
born into the same group later.
"""

from __future__ import annotations

import contextlib
import os
from typing import Literal, Protocol

from functory.model.instance import Gauges, GroupFiles
from functory.sandbox import cgroupfs

PERIOD_US = 100_000
_SMALLEST_QUOTA_US = 1000
_MB = 1 << 20


class Group(Protocol):
    """The group of one instance."""

    @property
    def fd(self) -> int:
        """What `clone3` takes to give birth in it; -1 if processes have to be moved."""

    def move(self, pid: int) -> None:
        """Puts a process in it; OSError if it is gone."""

    def adopt(self, pid: int) -> None:
        """Puts a process in it that was not born here, whatever that costs; OSError if it is gone."""

    def limit(self, memory_mb: int, pids: int, cpu: float) -> None:
        """Sets the bounds. `cpu` in processors, 0 = none."""

    def let_run(self) -> None:
        """Lifts the bound of processor time: what is killed has to run once more to die."""

    def thaw(self) -> None:
        """Lets go what the node has frozen, where a kill would otherwise not end it."""

    def files(self) -> GroupFiles:
        """What the node needs to freeze it and to see what it holds."""

    @property
    def gauges(self) -> Gauges:
        """Where the kernel tells what is used in it."""

    def oom_kills(self) -> int:
        """How many processes the kernel has killed in it for want of memory."""

    def remove(self) -> bool:
        """Gives it back; false if something in it still dies: try again."""


class Groups(Protocol):
    """Makes groups."""

    @property
    def version(self) -> int:
        """1 or 2."""

    @property
    def frozen_by(self) -> str:
        """What its groups are frozen by, for people; empty if they cannot be."""

    def make(self, name: str) -> Group:
        """A new group."""

    def close(self) -> None:
        """Removes what is left."""


def find(name: str) -> tuple[Groups | None, str]:
    """Groups that really work here, or why there are none. `name`: a folder that nobody else uses."""
    reasons = []
    for kind in (Groups2, Groups1):
        try:
            groups: Groups = kind(name)
        except (OSError, ValueError) as failure:
            reasons.append(f"version {2 if kind is Groups2 else 1}: {failure}")
            continue
        try:
            _try_out(groups)
        except OSError as failure:
            groups.close()
            reasons.append(f"version {groups.version}: {failure}")
            continue
        return groups, ""
    return None, "; ".join(reasons)


def _try_out(groups: Groups) -> None:
    group = groups.make("probe")
    try:
        group.limit(64, 8, 0.5)
        group.oom_kills()
    finally:
        group.remove()


class Groups1:
    """Version 1: a hierarchy per controller.

    For freezing, a folder in the version 2 hierarchy stands beside them where there is one, as systemd mounts it on
    most such machines: it needs no controller, freezes in a tenth of the time, and what it holds still can be killed.
    """

    version = 1
    _CONTROLLERS = ("memory", "pids", "cpu", "cpuacct")

    def __init__(self, name: str, freezer: Literal["best", "1", "none"] = "best") -> None:
        """`freezer`: what instances are frozen by: version 2 if it can be had, else 1, else nothing; or as told."""
        self._parents: dict[str, str] = {}
        self._core = ""
        """Folder in the version 2 hierarchy, empty if there is none."""
        if freezer == "best":
            with contextlib.suppress(OSError, ValueError):
                self._core = _make_core(name)
        frozen_by_1 = freezer != "none" and not self._core
        for controller in (*self._CONTROLLERS, *(["freezer"] if frozen_by_1 else [])):
            if controller == "freezer" and not cgroupfs.has("freezer"):
                continue
            own = cgroupfs.own(controller).lstrip("/")
            place = os.path.join(cgroupfs.mounted("cgroup", controller), own)
            cgroupfs.remove_stale(place)
            parent = os.path.join(os.path.realpath(place), name)
            if parent not in self._parents.values():  # cpu and cpuacct are one hierarchy in many places
                os.mkdir(parent)
            self._parents[controller] = parent

    @property
    def frozen_by(self) -> str:
        """The folder of version 2, or the freezer of version 1."""
        old = "the freezer of version 1" if "freezer" in self._parents else ""
        return "control groups of version 2" if self._core else old

    def make(self, name: str) -> Group1:
        """A new group in each hierarchy."""
        folders = {controller: os.path.join(parent, name) for controller, parent in self._parents.items()}
        return Group1(folders, os.path.join(self._core, name) if self._core else "")

    def close(self) -> None:
        """Removes what is left."""
        for parent in {*self._parents.values(), *([self._core] if self._core else [])}:
            cgroupfs.remove_all(parent)


def _make_core(name: str) -> str:
    """A folder in the version 2 hierarchy, whose children can be frozen; ValueError or OSError if there is none."""
    own = os.path.join(cgroupfs.mounted("cgroup2", ""), cgroupfs.own("").lstrip("/"))
    cgroupfs.remove_stale(own)
    parent = os.path.join(own, name)
    os.mkdir(parent)
    if not os.access(f"{parent}/{cgroupfs.FREEZER_2}", os.W_OK):
        cgroupfs.remove(parent)
        raise ValueError("the kernel cannot freeze groups")
    return parent


class Group1:
    """One folder per controller, and perhaps one of version 2.

    Nobody is born in that one: a zygote, which is another user to the kernel, may not give birth in it.
    """

    fd = -1

    def __init__(self, folders: dict[str, str], core: str = "") -> None:
        self._folders = folders
        self._core = core
        self._all = sorted({*folders.values(), *([core] if core else [])})
        for folder in self._all:
            os.mkdir(folder)

    def move(self, pid: int) -> None:
        """Puts a process in it."""
        for folder in self._all:
            cgroupfs.write(f"{folder}/cgroup.procs", pid)

    adopt = move

    def limit(self, memory_mb: int, pids: int, cpu: float) -> None:
        """Sets the bounds."""
        cgroupfs.write(f"{self._folders['memory']}/memory.limit_in_bytes", memory_mb * _MB)
        with contextlib.suppress(OSError):  # where swap is counted: being paged out is no way over the bound
            cgroupfs.write(f"{self._folders['memory']}/memory.memsw.limit_in_bytes", memory_mb * _MB)
        cgroupfs.write(f"{self._folders['pids']}/pids.max", pids)
        if cpu:
            cgroupfs.write(f"{self._folders['cpu']}/cpu.cfs_quota_us", max(_SMALLEST_QUOTA_US, int(cpu * PERIOD_US)))

    def let_run(self) -> None:
        """Lifts the bound of processor time."""
        with contextlib.suppress(OSError):
            cgroupfs.write(f"{self._folders['cpu']}/cpu.cfs_quota_us", -1)

    def thaw(self) -> None:
        """What version 1 has frozen ignores SIGKILL until then; what version 2 has frozen does not."""
        if "freezer" in self._folders:
            with contextlib.suppress(OSError):
                cgroupfs.write(f"{self._folders['freezer']}/{cgroupfs.FREEZER_1}", cgroupfs.THAWED_1)

    def files(self) -> GroupFiles:
        """Where it is frozen, and what it holds."""
        freeze = f"{self._core}/{cgroupfs.FREEZER_2}" if self._core else ""
        if "freezer" in self._folders:
            freeze = f"{self._folders['freezer']}/{cgroupfs.FREEZER_1}"
        return GroupFiles(freeze=freeze, memory=f"{self._folders['memory']}/memory.usage_in_bytes")

    @property
    def gauges(self) -> Gauges:
        """Where the kernel tells what is used in it."""
        memory = self._folders["memory"]
        return Gauges(
            cpu=f"{self._folders['cpuacct']}/cpuacct.usage",
            cpu_unit="ns",
            memory=f"{memory}/memory.usage_in_bytes",
            peak=f"{memory}/memory.max_usage_in_bytes",
            kills=f"{memory}/memory.oom_control",
        )

    def oom_kills(self) -> int:
        """How many the kernel has killed in it for want of memory."""
        try:
            return cgroupfs.counter(cgroupfs.read(self.gauges.kills), "oom_kill")
        except OSError:
            return 0

    def remove(self) -> bool:
        """Gives it back."""
        removed = [cgroupfs.remove(folder) for folder in self._all]  # all are tried
        return all(removed)


class Groups2:
    """Version 2: one hierarchy."""

    version = 2
    births = True
    """Whether zygotes may give birth in groups; otherwise their children are moved."""
    frozen_by = "control groups of version 2"
    _CONTROLLERS = ("memory", "pids", "cpu")

    def __init__(self, name: str) -> None:
        own = os.path.join(cgroupfs.mounted("cgroup2", ""), cgroupfs.own("").lstrip("/"))
        have = cgroupfs.read(f"{own}/cgroup.controllers").split()
        missing = [controller for controller in self._CONTROLLERS if controller not in have]
        if missing:
            raise ValueError(f"{', '.join(missing)} not among its controllers")
        cgroupfs.remove_stale(own)
        self._make_room(own)
        self._parent = os.path.join(own, name)
        os.mkdir(self._parent)
        cgroupfs.write(f"{self._parent}/cgroup.subtree_control", " ".join("+" + one for one in self._CONTROLLERS))

    def _make_room(self, own: str) -> None:
        """A group whose children have controllers may hold no process itself: ours go to a leaf of their own.

        Only if nobody else's are there: a node and its spawner in a delegated group.
        """
        wanted = " ".join("+" + one for one in self._CONTROLLERS)
        try:
            cgroupfs.write(f"{own}/cgroup.subtree_control", wanted)
            return
        except OSError:
            pass
        inside = {int(pid) for pid in cgroupfs.read(f"{own}/cgroup.procs").split()}
        if not inside <= {os.getpid(), os.getppid()}:
            raise ValueError("other processes live in the node's own group; give it one of its own (Delegate=yes)")
        leaf = f"{own}/functory-node"
        os.makedirs(leaf, exist_ok=True)
        for pid in inside:
            cgroupfs.write(f"{leaf}/cgroup.procs", pid)
        cgroupfs.write(f"{own}/cgroup.subtree_control", wanted)

    def make(self, name: str) -> Group2:
        """A new group."""
        return Group2(os.path.join(self._parent, name), births=self.births)

    def close(self) -> None:
        """Removes what is left."""
        cgroupfs.remove_all(self._parent)


class Group2:
    """One folder."""

    def __init__(self, folder: str, *, births: bool) -> None:
        self._folder = folder
        os.mkdir(folder)
        self.fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC) if births else -1

    def move(self, pid: int) -> None:
        """Puts a process in it, unless it was born here."""
        if self.fd < 0:
            cgroupfs.write(f"{self._folder}/cgroup.procs", pid)

    def adopt(self, pid: int) -> None:
        """Puts a process in it that was not born here."""
        cgroupfs.write(f"{self._folder}/cgroup.procs", pid)

    def limit(self, memory_mb: int, pids: int, cpu: float) -> None:
        """Sets the bounds."""
        cgroupfs.write(f"{self._folder}/memory.max", memory_mb * _MB)
        with contextlib.suppress(OSError):  # without swap there is nothing to forbid
            cgroupfs.write(f"{self._folder}/memory.swap.max", 0)
        cgroupfs.write(f"{self._folder}/pids.max", pids)
        if cpu:
            cgroupfs.write(f"{self._folder}/cpu.max", f"{max(_SMALLEST_QUOTA_US, int(cpu * PERIOD_US))} {PERIOD_US}")

    def let_run(self) -> None:
        """Lifts the bound of processor time."""
        with contextlib.suppress(OSError):
            cgroupfs.write(f"{self._folder}/cpu.max", f"max {PERIOD_US}")

    def thaw(self) -> None:
        """Not needed: what is frozen by version 2 dies when it is killed."""

    def files(self) -> GroupFiles:
        """Where it is frozen, and what it holds."""
        return GroupFiles(freeze=f"{self._folder}/{cgroupfs.FREEZER_2}", memory=f"{self._folder}/memory.current")

    @property
    def gauges(self) -> Gauges:
        """Where the kernel tells what is used in it."""
        local = f"{self._folder}/memory.events.local"
        return Gauges(
            cpu=f"{self._folder}/cpu.stat",
            cpu_unit="us",
            memory=f"{self._folder}/memory.current",
            peak=f"{self._folder}/memory.peak",
            kills=local if os.path.exists(local) else f"{self._folder}/memory.events",
        )

    def oom_kills(self) -> int:
        """How many the kernel has killed in it for want of memory."""
        try:
            return cgroupfs.counter(cgroupfs.read(self.gauges.kills), "oom_kill")
        except OSError:
            return 0

    def remove(self) -> bool:
        """Gives it back."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        return cgroupfs.remove(self._folder)
