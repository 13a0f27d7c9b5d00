"""Tier D: plain processes. Works everywhere, bounds what a process may take, and shuts off little; tier C: the same,
with what the kernel shuts off without namespaces (`hardened.py`).

Each interpreter has a zygote, made when it is first needed; instances are its forks. Where the spawner is root, every
instance gets a user id of its own, so that instances cannot touch each other and the kernel counts their processes
apart; otherwise all run as the node's user.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from functory.model.instance import Exit, GroupFiles, InstanceSpec
from functory.sandbox import confine, layering, tree
from functory.sandbox.base import Sandbox, SandboxError
from functory.sandbox.folders import Folders
from functory.sandbox.handle import Ended, Zygote

FIRST_UID = 1_900_000_000
"""Above all ranges that distributions, systemd and container tools hand out, below 2³¹."""
UIDS = 1 << 20
NO_NETWORKS = (
    "its network is to be '{mode}' (internetAccess, vpcConfig), which needs network namespaces, and tier {tier} has "
    "none: it would reach all that the node can. `functory doctor` says what to change for a better tier"
)
HARD = (
    "Each instance is a process that sees programs, its code and its own temporary files only (landlock), below a "
    "filter of system calls and with limits per process; {users}. The network is the node's, or none."
)
WIDE_PRELOAD = ("asyncio", "logging", "threading")
"""What a wide zygote has imported: 25 ms for each instance that needs it, 0.4 ms for each that does not."""
_WIDE_SIGNS = (b"async ", b"asyncio", b"logging", b"logger", b"threading", b"concurrent")
_SOURCE_BYTES = 1 << 20


class ProcessTier(NamedTuple):
    """What plain processes are worth here."""

    name: str
    summary: str
    missing: Sequence[str]


class ProcessSandbox:
    """An instance as a plain process."""

    gauges = None

    def __init__(self, maker: ProcessSandboxes, spec: InstanceSpec, zygote: Zygote, pid: int, tmp: str) -> None:
        self._maker = maker
        self._zygote = zygote
        self._tmp = tmp
        self._exit: Exit | None = None
        self.id = spec.instance_id
        self.pid = pid

    def relayed(self) -> Sequence[int]:
        """Nothing: its network is the node's."""
        return ()

    @property
    def files(self) -> GroupFiles:
        """It has no group."""
        return GroupFiles()

    def kill(self) -> None:
        """End the whole tree now."""
        if self._exit is None:
            self._zygote.kill(self.id)

    def poll(self) -> Exit | None:
        """How the main process ended, or None while it runs."""
        return self._exit

    def destroy(self) -> None:
        """Kill what is left and give everything back."""
        if self._exit is None:
            ended = self._zygote.end_instance(self.id)
            self.ended(ended)
        self._maker.forget(self.id, self._tmp)

    def belongs_to(self, zygote: Zygote) -> bool:
        """Whether `zygote` is its parent."""
        return self._zygote is zygote

    def ended(self, ended: Ended | None) -> Exit:
        """Takes in how it ended; None = with its zygote."""
        status, killed = (ended.status, ended.killed) if ended is not None else (int(signal.SIGKILL), False)
        number = os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0
        self._exit = Exit(
            instance_id=self.id,
            code=0 if number else os.WEXITSTATUS(status),
            signal=number,
            killed=killed,
            out_of_memory=number == signal.SIGKILL and not killed and self._maker.kernel_ran_out_of_memory(),
        )
        self.pid = 0
        return self._exit


class ProcessSandboxes:
    """Makes plain processes."""

    def __init__(
        self,
        *,
        folder: str = "",
        read_by_functions: Sequence[str] = (),
        lifeline: int = -1,
        alone: bool = False,
        why_nothing_better: str = "",
        hard: bool = False,
    ) -> None:
        """`folder`: to be made for temporary files of instances, reachable by all users (empty: in the system's).

        `read_by_functions`: folders that hold code and layers; what a user id of its own cannot read is said in `tier`.
        `lifeline`: a descriptor that stays open in the zygotes as long as they live.
        `alone`: this process has no other children, so that every unknown one is an orphan of a zygote that died.
        `why_nothing_better`: what the probe of namespaces found, for the report. `hard`: tier C.
        """
        self._why_nothing_better = why_nothing_better
        self._hard = hard
        self._folders = Folders(folder)
        self._oom_kills = _oom_kills()
        self._lifeline = lifeline
        self._zygotes: dict[tuple[str, bool], Zygote] = {}
        self._dying: list[Zygote] = []
        self._boxes: dict[str, ProcessSandbox] = {}
        self._next_uid = FIRST_UID
        self._own_users = os.geteuid() == 0
        self._why_not = "" if self._own_users else "the spawner is not root"
        if self._own_users and read_by_functions:
            self._try_user(list(read_by_functions))
        self._told_stay = False
        self._alone = alone
        if alone:
            confine.become_subreaper()

    @property
    def tier(self) -> ProcessTier:
        """What its boxes are worth here."""
        missing = [
            "Namespaces: functions see the host's files (as far as permissions go), network and processes.",
            "Control groups: memory is bounded per process, not per instance; CPU is shared by all; idle instances are "
            "held still by SIGSTOP, and who has left his parent runs on. They come with namespaces, for a node of "
            "root's or in a unit with Delegate=yes.",
        ]
        if self._why_nothing_better:
            missing[0] = self._why_nothing_better
        if not self._own_users:
            missing.append(f"Users: all functions run as the node's user, because {self._why_not}.")
        users = "each instance has its own user id" if self._own_users else "all run as one user"
        if self._hard:
            missing[0] = self._why_nothing_better or "Namespaces: functions share the host's network and processes."
            return ProcessTier("C", HARD.format(users=users), tuple(missing))
        return ProcessTier(
            "D",
            f"No isolation: instances are plain processes with resource limits, {users}. Run only code that you trust.",
            tuple(missing),
        )

    def prepare(self, interpreters: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
        """Warms zygotes for `interpreters`, side by side; answers versions, and why the others failed, by path."""
        begun: list[tuple[tuple[str, bool], Zygote]] = []
        versions: dict[str, str] = {}
        failures: dict[str, str] = {}
        for key in ((interpreter, wide) for interpreter in interpreters for wide in (False, True)):
            try:
                begun.append((key, self._begin(*key)))
            except SandboxError as failure:
                failures[key[0]] = str(failure)
        for key, zygote in begun:
            try:
                self._take_in(key, zygote)
                versions[zygote.interpreter] = zygote.version
            except SandboxError as failure:
                failures[zygote.interpreter] = str(failure)
        return versions, failures

    def create(self, spec: InstanceSpec, fds: Sequence[int], parent: Sandbox | None = None) -> ProcessSandbox:
        """A running process for `spec`. There are no templates, so there is no `parent` either."""
        if spec.template:
            raise SandboxError(
                "templates are made in boxes only, and this node's functions are plain processes (tier D)"
            )
        if spec.instance_id in self._boxes:
            raise SandboxError(f"instance {spec.instance_id} exists already")
        if spec.network == "allow" or (spec.network == "none" and not self._hard):
            raise SandboxError(NO_NETWORKS.format(mode=spec.network, tier=self.tier.name))
        if spec.image is not None:
            raise SandboxError("a container needs namespaces, which do not work here")
        zygote = self._zygote(spec.runtime, wants_wide(spec))
        program = spec.program is not None
        environment = layering.environment(spec.environment, spec.layer_dirs, program=program)
        spec = msgspec.structs.replace(spec, environment=environment)
        uid = self._uid()
        tmp = self._folders.make(spec.instance_id, uid)
        try:
            made = zygote.fork(uid, tmp, spec, fds, hard=self._hard)
        except BaseException:
            self._folders.remove(tmp)
            raise
        if made.stayed and not self._told_stay:
            self._told_stay = True
            say(f"code in {spec.code_dir} cannot be read by other users: such functions run as root")
        box = ProcessSandbox(self, spec, zygote, made.pid, tmp)
        self._boxes[spec.instance_id] = box
        return box

    def fileno(self) -> Sequence[int]:
        """Readable when `reap` has something to do."""
        return [zygote.fileno() for zygote in self._zygotes.values() if zygote.alive]

    def reap(self) -> Sequence[Exit]:
        """The boxes that ended since the last call."""
        exits: list[Exit] = []
        for key, zygote in list(self._zygotes.items()):
            zygote.read()
            exits += self._take_ended(zygote)
            if not zygote.alive:
                del self._zygotes[key]
                exits += self._bury(zygote)
        for zygote in self._dying:
            exits += self._bury(zygote)
        self._dying.clear()
        self._folders.reap()
        return exits

    def close(self) -> None:
        """Destroy all boxes and end all zygotes."""
        for zygote in self._zygotes.values():
            zygote.end()
        self._zygotes.clear()
        self._end_orphans()
        self._boxes.clear()
        self._folders.close()

    def forget(self, instance_id: str, tmp: str) -> None:
        """The box is destroyed; `tmp` was its folder."""
        self._boxes.pop(instance_id, None)
        self._folders.remove(tmp)

    def kernel_ran_out_of_memory(self) -> bool:
        """Whether the kernel killed for want of memory since the last look; without a cgroup, anywhere."""
        before, self._oom_kills = self._oom_kills, _oom_kills()
        return self._oom_kills > before

    # --- zygotes ------------------------------------------------------------------------------------------------------

    def _zygote(self, interpreter: str, wide: bool) -> Zygote:
        key = (interpreter, wide)
        zygote = self._zygotes.get(key)
        if zygote is not None and not zygote.alive:
            self._dying.append(self._zygotes.pop(key))
            zygote = None
        if zygote is None:
            zygote = self._begin(interpreter, wide)
            self._take_in(key, zygote)
        return zygote

    def _begin(self, interpreter: str, wide: bool) -> Zygote:
        preload = WIDE_PRELOAD if wide else ()
        return Zygote(interpreter, FIRST_UID if self._own_users else 0, preload, self._lifeline)

    def _take_in(self, key: tuple[str, bool], zygote: Zygote) -> None:
        zygote.wait_ready()
        self._zygotes[key] = zygote
        if zygote.drop:
            self._share_user(f"a user id of its own cannot use {zygote.drop}")

    def _take_ended(self, zygote: Zygote) -> list[Exit]:
        exits = []
        while zygote.ended:
            ended = zygote.ended.popleft()
            box = self._boxes.get(ended.id)
            if box is not None:
                exits.append(box.ended(ended))
        return exits

    def _bury(self, zygote: Zygote) -> list[Exit]:
        """A zygote died: so did its instances, and what they left fell to us."""
        say(f"the zygote of {zygote.interpreter} died; its instances are ended, the next one starts a new zygote")
        exits = self._take_ended(zygote)
        zygote.end(limit_s=0)
        self._end_orphans()
        lost = [box for box in self._boxes.values() if box.belongs_to(zygote) and box.poll() is None]
        return exits + [box.ended(None) for box in lost]

    def _end_orphans(self) -> None:
        if self._alone:
            tree.end_strangers(
                {zygote.pid for zygote in (*self._zygotes.values(), *self._dying)} | self._folders.removers
            )

    # --- users ----------------------------------------------------------------------------------------------------

    def _try_user(self, folders: list[str]) -> None:
        if not confine.can_become(FIRST_UID):
            self._share_user(f"the user id {FIRST_UID} cannot be taken here")
        elif unreadable := confine.unreadable_for(FIRST_UID, folders):
            self._share_user(f"other users cannot read {unreadable}")

    def _share_user(self, why: str) -> None:
        self._own_users, self._why_not = False, why

    def _uid(self) -> int:
        if not self._own_users:
            return 0
        self._next_uid += 1
        if self._next_uid >= FIRST_UID + UIDS:
            self._next_uid = FIRST_UID
        return self._next_uid


def wants_wide(spec: InstanceSpec) -> bool:
    """A guess from the source of the handler's module. If it is wrong, only time is lost."""
    if spec.argv:
        return False
    if spec.concurrency > 1 or spec.program is not None:
        return True
    path = os.path.join(spec.code_dir, spec.handler.rpartition(".")[0].replace(".", "/") + ".py")
    try:
        # What lies there is the user's: a named pipe must not hold the spawner up.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        text = os.read(fd, _SOURCE_BYTES)
    except OSError:
        return False
    finally:
        os.close(fd)
    return any(sign in text for sign in _WIDE_SIGNS)


def _oom_kills() -> int:
    try:
        with open("/proc/vmstat", "rb", buffering=0) as stat:
            _, _, rest = stat.read(65536).partition(b"\noom_kill ")
        return int(rest.split(None, 1)[0])
    except (OSError, ValueError, IndexError):
        return 0


def say(sentence: str) -> None:
    sys.stderr.write(f"functory spawner: {sentence}\n")
    sys.stderr.flush()
