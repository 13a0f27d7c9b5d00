"""Tier D: plain processes. Works everywhere, bounds what a process may take, and shuts off little.

Each interpreter has a zygote, made when it is first needed; instances are its forks. Where the spawner is root, every
instance gets a user id of its own, so that instances cannot touch each other and the kernel counts their processes
apart; otherwise all run as the node's user.
"""

from __future__ import annotations

import os
import signal
import stat
import sys
from collections.abc import Sequence
from typing import NamedTuple

from functory.model.instance import Exit, InstanceSpec
from functory.sandbox import confine, tree
from functory.sandbox.base import SandboxError
from functory.sandbox.handle import Ended, Zygote

FIRST_UID = 1_900_000_000
"""Above all ranges that distributions, systemd and container tools hand out, below 2³¹."""
UIDS = 1 << 20
_WIDE_PRELOAD = ("asyncio", "logging", "threading")
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

    def __init__(self, maker: ProcessSandboxes, spec: InstanceSpec, zygote: Zygote, pid: int, tmp: str) -> None:
        self._maker = maker
        self._zygote = zygote
        self._tmp = tmp
        self._exit: Exit | None = None
        self.id = spec.instance_id
        self.pid = pid

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
        self, *, folder: str = "", read_by_functions: Sequence[str] = (), lifeline: int = -1, alone: bool = False
    ) -> None:
        """`folder`: to be made for temporary files of instances, reachable by all users (empty: in the system's).

        `read_by_functions`: folders that hold code and layers; what a user id of its own cannot read is said in `tier`.
        `lifeline`: a descriptor that stays open in the zygotes as long as they live.
        `alone`: this process has no other children, so that every unknown one is an orphan of a zygote that died.
        """
        _remove_stale_folders()
        self._folder = folder or f"{_folder_prefix()}{os.getpid()}-{os.urandom(4).hex()}"
        os.mkdir(self._folder, 0o711)
        os.chmod(self._folder, 0o711)  # whatever the umask
        self._removers: set[int] = set()
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
        self._alone = alone
        if alone:
            confine.become_subreaper()

    @property
    def tier(self) -> ProcessTier:
        """What its boxes are worth here."""
        missing = ["Namespaces: functions see the host's files (as far as permissions go), network and processes."]
        missing.append("Control groups: memory is bounded per process, not per instance; CPU is shared by all.")
        if not self._own_users:
            missing.append(f"Users: all functions run as the node's user, because {self._why_not}.")
        users = "each instance has its own user id" if self._own_users else "all run as one user"
        return ProcessTier(
            "D",
            f"No isolation: instances are plain processes with resource limits, {users}. Run only code that you trust.",
            tuple(missing),
        )

    def prepare(self, interpreter: str) -> str:
        """Warms a zygote for `interpreter`; answers its version."""
        return self._zygote(interpreter, False).version

    def create(self, spec: InstanceSpec, fds: Sequence[int]) -> ProcessSandbox:
        """A running process for `spec`."""
        if spec.instance_id in self._boxes:
            raise SandboxError(f"instance {spec.instance_id} exists already")
        zygote = self._zygote(spec.runtime, _wants_wide(spec))
        uid = self._uid()
        tmp = self._make_folder(spec.instance_id, uid)
        try:
            made = zygote.fork(uid, tmp, spec, fds)
        except BaseException:
            self._remove_folder(tmp)
            raise
        if made.stayed:
            _say(f"code in {spec.code_dir} cannot be read by other users: {spec.instance_id} runs as root")
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
        self._removers = {pid for pid in self._removers if os.waitpid(pid, os.WNOHANG) == (0, 0)}
        return exits

    def close(self) -> None:
        """Destroy all boxes and end all zygotes."""
        for zygote in self._zygotes.values():
            zygote.end()
        self._zygotes.clear()
        for pid in self._removers:
            os.waitpid(pid, 0)
        self._removers.clear()
        self._end_orphans()
        self._boxes.clear()
        if remover := _spawn_remover(self._folder):
            os.waitpid(remover, 0)

    def forget(self, instance_id: str, tmp: str) -> None:
        """The box is destroyed; `tmp` was its folder."""
        self._boxes.pop(instance_id, None)
        self._remove_folder(tmp)

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
            preload = _WIDE_PRELOAD if wide else ()
            zygote = Zygote(interpreter, FIRST_UID if self._own_users else 0, preload, self._lifeline)
            self._zygotes[key] = zygote
            if zygote.drop:
                self._share_user(f"a user id of its own cannot use {zygote.drop}")
        return zygote

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
        _say(f"the zygote of {zygote.interpreter} died; its instances are ended, the next one starts a new zygote")
        exits = self._take_ended(zygote)
        zygote.end(limit_s=0)
        self._end_orphans()
        lost = [box for box in self._boxes.values() if box.belongs_to(zygote) and box.poll() is None]
        return exits + [box.ended(None) for box in lost]

    def _end_orphans(self) -> None:
        if self._alone:
            tree.end_strangers({zygote.pid for zygote in (*self._zygotes.values(), *self._dying)} | self._removers)

    # --- users and folders --------------------------------------------------------------------------------------------

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

    def _make_folder(self, name: str, uid: int) -> str:
        path = os.path.join(self._folder, name)
        try:
            os.mkdir(path, 0o700)
            if uid:
                os.chown(path, uid, uid)
        except OSError as failure:
            raise SandboxError(f"no folder for temporary files could be made: {failure}") from failure
        return path

    def _remove_folder(self, path: str) -> None:
        """Removes a folder of temporary files; by another process if there is something in it, for it may take long."""
        try:
            os.rmdir(path)
        except FileNotFoundError:
            pass
        except OSError:
            if remover := _spawn_remover(path):
                self._removers.add(remover)


def _wants_wide(spec: InstanceSpec) -> bool:
    """A guess from the source of the handler's module. If it is wrong, only time is lost."""
    if spec.concurrency > 1:
        return True
    path = os.path.join(spec.code_dir, spec.handler.rpartition(".")[0].replace(".", "/") + ".py")
    try:
        with open(path, "rb", buffering=0) as source:
            text = source.read(_SOURCE_BYTES)
    except OSError:
        return False
    return any(sign in text for sign in _WIDE_SIGNS)


def _spawn_remover(path: str) -> int:
    try:
        return os.posix_spawn("/bin/rm", ["rm", "-rf", "--one-file-system", path], {}, setsid=True)
    except OSError as failure:
        _say(f"{path} could not be removed: {failure}")
        return 0


def _folder_prefix() -> str:
    return os.path.join(os.environ.get("TMPDIR") or "/tmp", f"functory-{os.geteuid()}-")


def _remove_stale_folders() -> None:
    """Folders of spawners that were killed before they could clean up."""
    where, prefix = os.path.split(_folder_prefix())
    for name in os.listdir(where):
        if name.startswith(prefix) and not os.path.exists(f"/proc/{name[len(prefix) :].partition('-')[0]}"):
            path = os.path.join(where, name)
            facts = os.lstat(path)
            if facts.st_uid == os.geteuid() and stat.S_ISDIR(facts.st_mode) and (remover := _spawn_remover(path)):
                os.waitpid(remover, 0)


def _oom_kills() -> int:
    try:
        with open("/proc/vmstat", "rb", buffering=0) as stat:
            _, _, rest = stat.read(65536).partition(b"\noom_kill ")
        return int(rest.split(None, 1)[0])
    except (OSError, ValueError, IndexError):
        return 0


def _say(sentence: str) -> None:
    sys.stderr.write(f"functory spawner: {sentence}\n")
    sys.stderr.flush()
