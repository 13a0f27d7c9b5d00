"""Control groups: a bound on what an instance's whole tree may take, and the kernel's word on why it ended.

Version 2 is preferred: an instance is born in its group, at no cost. With version 1 a process is moved, which takes the
kernel 5-13 ms after a quiet time, so only stems are moved, before anybody waits for them. Groups are made below the one
that the node itself is in, never beside it, and never used twice: after one `cgroup.kill` the kernel kills whatever is
born into the same group later.
"""

from __future__ import annotations

import contextlib
import os
from typing import Protocol

from functory.model.instance import Gauges

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


def _write(path: str, value: object) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, str(value).encode())
    finally:
        os.close(fd)


def _read(path: str) -> str:
    with open(path, encoding="ascii", errors="replace") as file:
        return file.read()


def _counter(text: str, name: str) -> int:
    for line in text.splitlines():
        found, _, value = line.partition(" ")
        if found == name:
            return int(value)
    return 0


def _own(controller: str) -> str:
    """The path of our own group in a hierarchy; empty controller = version 2."""
    for line in _read("/proc/self/cgroup").splitlines():
        _, names, path = line.split(":", 2)
        if controller in names.split(","):
            return path
    raise ValueError(f"there is no hierarchy for {controller or 'version 2'}")


def _mounted(kind: str, option: str) -> str:
    for line in _read("/proc/self/mounts").splitlines():
        _, place, found, options, *_ = line.split(" ")
        if found == kind and (not option or option in options.split(",")):
            return place
    raise ValueError(f"{option or kind} is not mounted")


def _remove(path: str) -> bool:
    try:
        os.rmdir(path)
    except FileNotFoundError:
        pass
    except OSError:
        return False
    return True


def _remove_all(parent: str) -> None:
    """A folder of groups with what is in it, as far as it goes."""
    with contextlib.suppress(OSError):
        for name in os.listdir(parent):
            if os.path.isdir(os.path.join(parent, name)):
                _remove(os.path.join(parent, name))
    _remove(parent)


def _remove_stale(own: str) -> None:
    """Groups of makers that were killed before they could clean up: each bears its maker's process in its name."""
    for name in os.listdir(own):
        maker = name.removeprefix("functory-")
        if maker != name and maker.isdigit() and not os.path.exists(f"/proc/{maker}"):
            _remove_all(os.path.join(own, name))


class Groups1:
    """Version 1: a hierarchy per controller."""

    version = 1
    _CONTROLLERS = ("memory", "pids", "cpu", "cpuacct")

    def __init__(self, name: str) -> None:
        self._parents: dict[str, str] = {}
        for controller in self._CONTROLLERS:
            own = _own(controller).lstrip("/")
            place = os.path.join(_mounted("cgroup", controller), own)
            _remove_stale(place)
            parent = os.path.join(os.path.realpath(place), name)
            if parent not in self._parents.values():  # cpu and cpuacct are one hierarchy in many places
                os.mkdir(parent)
            self._parents[controller] = parent

    def make(self, name: str) -> Group1:
        """A new group in each hierarchy."""
        return Group1({controller: os.path.join(parent, name) for controller, parent in self._parents.items()})

    def close(self) -> None:
        """Removes what is left."""
        for parent in set(self._parents.values()):
            _remove_all(parent)


class Group1:
    """One folder per controller."""

    fd = -1

    def __init__(self, folders: dict[str, str]) -> None:
        self._folders = folders
        self._all = sorted(set(folders.values()))
        for folder in self._all:
            os.mkdir(folder)

    def move(self, pid: int) -> None:
        """Puts a process in it."""
        for folder in self._all:
            _write(f"{folder}/cgroup.procs", pid)

    adopt = move

    def limit(self, memory_mb: int, pids: int, cpu: float) -> None:
        """Sets the bounds."""
        _write(f"{self._folders['memory']}/memory.limit_in_bytes", memory_mb * _MB)
        _write(f"{self._folders['pids']}/pids.max", pids)
        if cpu:
            _write(f"{self._folders['cpu']}/cpu.cfs_quota_us", max(_SMALLEST_QUOTA_US, int(cpu * PERIOD_US)))

    def let_run(self) -> None:
        """Lifts the bound of processor time."""
        with contextlib.suppress(OSError):
            _write(f"{self._folders['cpu']}/cpu.cfs_quota_us", -1)

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
            return _counter(_read(self.gauges.kills), "oom_kill")
        except OSError:
            return 0

    def remove(self) -> bool:
        """Gives it back."""
        removed = [_remove(folder) for folder in self._all]  # all are tried
        return all(removed)


class Groups2:
    """Version 2: one hierarchy."""

    version = 2
    _CONTROLLERS = ("memory", "pids", "cpu")

    def __init__(self, name: str) -> None:
        own = os.path.join(_mounted("cgroup2", ""), _own("").lstrip("/"))
        have = _read(f"{own}/cgroup.controllers").split()
        missing = [controller for controller in self._CONTROLLERS if controller not in have]
        if missing:
            raise ValueError(f"{', '.join(missing)} not among its controllers")
        _remove_stale(own)
        self._make_room(own)
        self._parent = os.path.join(own, name)
        os.mkdir(self._parent)
        _write(f"{self._parent}/cgroup.subtree_control", " ".join("+" + one for one in self._CONTROLLERS))

    def _make_room(self, own: str) -> None:
        """A group whose children have controllers may hold no process itself: ours go to a leaf of their own.

        Only if nobody else's are there: a node and its spawner in a delegated group.
        """
        wanted = " ".join("+" + one for one in self._CONTROLLERS)
        try:
            _write(f"{own}/cgroup.subtree_control", wanted)
            return
        except OSError:
            pass
        inside = {int(pid) for pid in _read(f"{own}/cgroup.procs").split()}
        if not inside <= {os.getpid(), os.getppid()}:
            raise ValueError("other processes live in the node's own group; give it one of its own (Delegate=yes)")
        leaf = f"{own}/functory-node"
        os.makedirs(leaf, exist_ok=True)
        for pid in inside:
            _write(f"{leaf}/cgroup.procs", pid)
        _write(f"{own}/cgroup.subtree_control", wanted)

    def make(self, name: str) -> Group2:
        """A new group."""
        return Group2(os.path.join(self._parent, name))

    def close(self) -> None:
        """Removes what is left."""
        _remove_all(self._parent)


class Group2:
    """One folder."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        os.mkdir(folder)
        self.fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)

    def move(self, pid: int) -> None:
        """Not needed: it was born here."""

    def adopt(self, pid: int) -> None:
        """Puts a process in it that was not born here."""
        _write(f"{self._folder}/cgroup.procs", pid)

    def limit(self, memory_mb: int, pids: int, cpu: float) -> None:
        """Sets the bounds."""
        _write(f"{self._folder}/memory.max", memory_mb * _MB)
        with contextlib.suppress(OSError):  # without swap there is nothing to forbid
            _write(f"{self._folder}/memory.swap.max", 0)
        _write(f"{self._folder}/pids.max", pids)
        if cpu:
            _write(f"{self._folder}/cpu.max", f"{max(_SMALLEST_QUOTA_US, int(cpu * PERIOD_US))} {PERIOD_US}")

    def let_run(self) -> None:
        """Lifts the bound of processor time."""
        with contextlib.suppress(OSError):
            _write(f"{self._folder}/cpu.max", f"max {PERIOD_US}")

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
            return _counter(_read(self.gauges.kills), "oom_kill")
        except OSError:
            return 0

    def remove(self) -> bool:
        """Gives it back."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        return _remove(self._folder)
