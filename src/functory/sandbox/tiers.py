"""Which isolation works here, found out by really doing it, and what would have to change for a better one.

    A   root, version 2 groups    namespaces, a host user per instance, hard limits on the whole tree
    A1  root, version 1 groups    the same; processes are moved into their groups ahead of time
    B   an ordinary user with user namespaces and a delegated group        the same with one host user for all
    B0  namespaces without control groups                                  limits per process only
    C   landlock and a filter of system calls only                         shut-in processes (`hardened.py`)
    D   none of it                                                         plain processes (`process.py`)

Some systems let a process make namespaces but take its rights in them, some hide parts of /proc so that no new one
may be mounted, some have the call but no numbers left: so the probe starts a whole box and a stem in it, and looks
whether it says ready.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from typing import NamedTuple

from functory.sandbox import cgroups, confine, skeleton, syscalls
from functory.sandbox.base import SandboxError
from functory.sandbox.nest import Nest, Plan
from functory.sandbox.process import FIRST_UID, UIDS

_NAMES = {(True, 2): "A", (True, 1): "A1", (True, 0): "B0", (False, 2): "B", (False, 1): "B", (False, 0): "B0"}
_NO_SPACES = (
    "Namespaces: {why}. Run the node as root, or allow user namespaces (user.max_user_namespaces, "
    "kernel.apparmor_restrict_unprivileged_userns; in a container: no masked /proc, seccomp profile without clone)."
)


class NamespaceTier(NamedTuple):
    """What boxes are worth here, and how they are built."""

    name: str
    summary: str
    missing: Sequence[str]
    uid_map: str
    """`inside outside count`, for the kernel."""
    uid: int
    """The user inside that zygotes become; -1 = there is but one."""
    layers: str
    """Where layers are seen inside."""


class Found(NamedTuple):
    """The result of the probe."""

    tier: NamespaceTier | None
    """None = plain processes only."""
    groups: cgroups.Groups | None
    why_not: str
    """Why there is no tier, for the report of the plain one; empty otherwise."""


def find(interpreter: str, folder: str) -> Found:
    """Tries from the best on. `interpreter`: what the trial box runs. `folder`: a group's name that nobody else uses.

    Where the caller is an ordinary user, it is in a user namespace of its own afterwards.
    """
    own_users = os.geteuid() == 0
    if not syscalls.KNOWN_MACHINE:
        return Found(None, None, _NO_SPACES.format(why=f"system calls of {syscalls.MACHINE} are not known here"))
    try:
        if not own_users:
            _try_out_in_a_child(interpreter)
            _become_root_of_a_namespace()
        own_users, plan = _try_out(interpreter)
    except (OSError, SandboxError) as failure:
        return Found(None, None, _NO_SPACES.format(why=str(failure)))
    groups, no_groups = cgroups.find(folder)
    if isinstance(groups, cgroups.Groups2):
        groups.births = _gives_birth(interpreter, plan, groups)
    return Found(_tier(own_users, plan, groups, no_groups), groups, "")


def _become_root_of_a_namespace() -> None:
    """An ordinary user gets the rights to mount in namespaces of his own; nothing outside changes."""
    uid, gid = os.geteuid(), os.getegid()
    syscalls.unshare(syscalls.NEWUSER | syscalls.NEWNS)
    for name, text in (("setgroups", "deny"), ("uid_map", f"0 {uid} 1"), ("gid_map", f"0 {gid} 1")):
        with open(f"/proc/self/{name}", "w", encoding="ascii") as file:
            file.write(text)


def _try_out_in_a_child(interpreter: str) -> None:
    """Everything in a process that can be thrown away: if it fails, this one keeps its user. `SandboxError` if so."""
    told, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            _become_root_of_a_namespace()
            _try_out(interpreter)
        except (OSError, SandboxError) as failure:
            os.write(tell, str(failure).encode()[:1000] or b"?")
        finally:
            os._exit(0)
    os.close(tell)
    with os.fdopen(told, "rb") as said:
        reason = said.read().decode(errors="replace")
    os.waitpid(pid, 0)
    if reason:
        raise SandboxError(reason)


def _try_out(interpreter: str) -> tuple[bool, Plan]:
    """Starts a box with users of its own, or else with one; whether it has its own, and how it was built."""
    failure: SandboxError | None = None
    for own_users, plan in (
        (True, Plan(uid_map=f"0 {FIRST_UID} {UIDS}", uid=0)),
        (False, Plan(uid_map="1000 0 1", uid=-1)),
    ):
        if own_users and not confine.can_become(FIRST_UID):
            continue
        try:
            nest = Nest(interpreter, plan)
            try:
                nest.wait_ready()
                nest.stem("s-0", 10_000, None).let_go()
            finally:
                nest.end()
        except SandboxError as found:
            failure = found
        else:
            return own_users, plan
    raise failure or SandboxError("no box could be built")


def _gives_birth(interpreter: str, plan: Plan, groups: cgroups.Groups) -> bool:
    """Whether a zygote may: the kernel asks for write access to the group by the zygote's user, not by ours."""
    group, nest = groups.make("birth"), Nest(interpreter, plan)
    try:
        nest.wait_ready()
        nest.stem("s-0", 10_000, group).let_go()
    except SandboxError:
        return False
    finally:
        nest.end()
        group.remove()
    return True


def _tier(own_users: bool, plan: Plan, groups: cgroups.Groups | None, no_groups: str) -> NamespaceTier:
    version = groups.version if groups is not None else 0
    missing = []
    if groups is None:
        missing.append(
            f"Control groups: memory is bounded per process, CPU is shared by all ({no_groups}). "
            "Run the node as root, or in a unit with Delegate=yes."
        )
    elif version == 1:
        missing.append(
            "Control groups: version 1; with version 2 (systemd.unified_cgroup_hierarchy=1) starts are quicker."
        )
    if not own_users:
        missing.append("Users: all instances have the node's user on the host; a node of root's gives each its own.")
    if syscalls.landlock_version() < 6:
        missing.append("Landlock: before version 6 (Linux 6.12) functions may reach abstract sockets of the host.")
    users = "a host user of its own" if own_users else "one host user for all"
    frozen = groups.frozen_by if groups is not None else ""
    if not frozen:
        frozen = "SIGSTOP"
        missing.append("Freezing: idle instances are held still by SIGSTOP, so what has left its parent runs on.")
    limits = f"control groups (version {version})" if version else "limits per process"
    summary = (
        f"Each instance has its own namespaces, a read-only root, a private /tmp, no capabilities, a filter of system "
        f"calls, {users} and {limits}; "
        f"idle ones are frozen by {frozen}. The network is the node's unless a function has a VPC or no internetAccess."
    )
    return NamespaceTier(
        _NAMES[own_users, version], summary, tuple(missing), plan.uid_map, plan.uid, _layers_place(sys.base_prefix)
    )


def _layers_place(prefix: str) -> str:
    return f"{skeleton.OWN}/opt" if prefix.startswith("/opt/") else skeleton.LAYERS
