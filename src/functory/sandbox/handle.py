"""The maker's hold on one zygote: start it, ask it for instances, hear of their ends."""

from __future__ import annotations

import os
import signal
import socket
import struct
from collections import deque
from collections.abc import Sequence
from pathlib import Path

import msgspec

from functory.model.instance import InstanceSpec
from functory.sandbox import tree
from functory.sandbox.base import SandboxError

MESSAGE_BYTES = 1 << 18
"""The longest message either way; the zygote holds the same number."""
START_LIMIT_S = 15.0
"""How long an interpreter may take to warm up, on a loaded machine."""
ANSWER_LIMIT_S = 10.0
"""How long one fork may take before the zygote counts as stuck."""
END_LIMIT_S = 5.0
"""How long the zygote may take to end all its instances."""
_BOOTSTRAP = Path(__file__).parents[1] / "runtimes" / "bootstrap" / "python.py"
# -I: nothing of the environment; -S: no site-packages. The standard library stays. UTF-8 whatever the locale says.
_FLAGS = ("-I", "-S", "-X", "utf8")
_RESET = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Fork(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="fork"):
    """Make an instance."""

    uid: int
    """The user it shall run as; 0 = the zygote's own."""
    tmp: str
    """Its private folder for temporary files."""
    hard: bool = False
    """It is shut in by `hardened.py`."""
    spec: InstanceSpec


class Kill(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="kill"):
    """End an instance's tree."""

    id: str


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="ready"):
    """The zygote is warm."""

    version: str
    drop: str
    """What the user id that was tried cannot use; empty if all is well."""


class Made(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="made"):
    """The instance's process runs."""

    id: str
    pid: int
    stayed: bool = False
    """It kept the zygote's user, since the wanted one cannot read its code."""


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="failed"):
    """The instance could not be made."""

    id: str
    reason: str


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="ended"):
    """The instance's main process has ended and its tree is gone."""

    id: str
    status: int
    """As `waitpid` gives it."""
    killed: bool


class Ending(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="ending"):
    """The instance's main process has ended by itself; the rest of its tree is being killed."""

    id: str


Answer = Ready | Made | Failed | Ended | Ending
_answers = msgspec.json.Decoder(Answer)


class Forker:
    """What makes children when asked over a socket. `ended` holds what it told about ends and nobody has taken."""

    def __init__(self, name: str, control: socket.socket) -> None:
        """`name`: what it is called in messages for people."""
        self.name = name
        self.ended: deque[Ended] = deque()
        self.alive = True
        self._socket = control

    def fileno(self) -> int:
        """Readable when there is something to `read`."""
        return self._socket.fileno()

    def kill(self, instance_id: str) -> None:
        """Ends an instance's tree; `ended` tells when it is gone."""
        try:
            self._socket.sendall(msgspec.json.encode(Kill(id=instance_id)))
        except OSError:
            self._lost()

    def end_instance(self, instance_id: str) -> Ended | None:
        """Ends an instance's tree and waits until it is gone; None if the zygote died over it."""
        self.kill(instance_id)
        while self.alive:
            for told in self.ended:
                if told.id == instance_id:
                    self.ended.remove(told)
                    return told
            try:
                answer = self._receive()
            except OSError:
                self._lost()
                return None
            if isinstance(answer, Ended):
                self.ended.append(answer)
        return None

    def read(self) -> None:
        """Takes in what it told, without waiting."""
        while self.alive:
            try:
                answer = self._receive(socket.MSG_DONTWAIT)
            except BlockingIOError:
                return
            except OSError:
                self._lost()
                return
            if isinstance(answer, Ended):
                self.ended.append(answer)

    def _ask(self, name: str, message: bytes, fds: Sequence[int]) -> Made:
        """Sends a request for a child and waits until it is made."""
        try:
            socket.send_fds(self._socket, [message], fds)
            while True:
                answer = self._receive()
                if isinstance(answer, Ended):
                    self.ended.append(answer)
                elif isinstance(answer, Made) and answer.id == name:
                    return answer
                elif isinstance(answer, Failed) and answer.id == name:
                    raise SandboxError(answer.reason)
                elif answer is None:
                    raise SandboxError(f"{self.name} has died")
        except OSError as failure:  # a timeout too
            self._unanswered()
            raise SandboxError(f"{self.name} does not answer: {failure}") from failure

    def _limit(self, limit_s: float) -> None:
        """Bounds every wait on the socket by the kernel: Python's own time limit would also wait where we must not."""
        limit = struct.pack("@ll", int(limit_s), int(limit_s % 1 * 1e6))
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, limit)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, limit)

    def _unanswered(self) -> None:
        """A request for a child was not answered in time: a zygote that does not answer is of no use any more."""
        self._lost()

    def _lost(self) -> None:
        self.alive = False

    def _receive(self, flags: int = 0) -> Answer | None:
        data = self._take(flags)
        if not data:
            self._lost()
            return None
        answer: Answer = _answers.decode(data)
        if isinstance(answer, Ending):
            self._on_ending(answer.id)
        return answer

    def _on_ending(self, name: str) -> None:
        """Something of an instance may still be running, and is to die."""

    def _take(self, flags: int) -> bytes:
        return self._socket.recv(MESSAGE_BYTES, flags)


class Zygote(Forker):
    """One running zygote."""

    def __init__(self, interpreter: str, try_uid: int, preload: Sequence[str] = (), lifeline: int = -1) -> None:
        """Starts it; `wait_ready` before anything else. `SandboxError` if the process cannot be made.

        `lifeline`: a descriptor it keeps open as long as it lives, so that its end can be seen from outside.
        """
        self.interpreter = interpreter
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        super().__init__(f"the zygote of {interpreter}", ours)
        for end in (ours, theirs):
            end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * MESSAGE_BYTES)
        try:
            self.pid = self._start(theirs.fileno(), try_uid, preload, lifeline)
        except OSError as failure:
            ours.close()
            raise SandboxError(f"{interpreter} cannot be started: {failure}") from failure
        finally:
            theirs.close()
        self.version = ""
        """The interpreter's version; empty until it is ready."""
        self.drop = ""
        """What a user id of its own could not use here."""

    def _start(self, control: int, try_uid: int, preload: Sequence[str], lifeline: int) -> int:
        argv = [self.interpreter, *_FLAGS, *self._arguments(try_uid, preload)]
        null = os.open(os.devnull, os.O_RDWR)
        actions = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, null, 1), (os.POSIX_SPAWN_DUP2, control, 3)]
        if lifeline >= 0:
            actions.append((os.POSIX_SPAWN_DUP2, lifeline, 5))
        try:
            return os.posix_spawn(argv[0], argv, {}, file_actions=actions, setsid=True, setsigdef=_RESET)
        finally:
            os.close(null)

    def _arguments(self, try_uid: int, preload: Sequence[str]) -> list[str]:
        return [str(_BOOTSTRAP), str(Path(__file__).parent), str(try_uid), *preload]

    def wait_ready(self) -> None:
        """Returns when it can fork; `SandboxError` if it does not get there."""
        self._limit(START_LIMIT_S)
        try:
            message = self._receive()
        except OSError:
            message = None
        if not isinstance(message, Ready):
            self.end(limit_s=0)
            raise SandboxError(f"{self.interpreter} did not get ready; run it by hand to see why")
        self._limit(ANSWER_LIMIT_S)
        self.version, self.drop = message.version, message.drop

    def fork(self, uid: int, tmp: str, spec: InstanceSpec, fds: Sequence[int], *, hard: bool = False) -> Made:
        """A new instance; `SandboxError` if it cannot be made."""
        message = msgspec.json.encode(Fork(uid=uid, tmp=tmp, hard=hard, spec=spec))
        if len(message) > MESSAGE_BYTES:
            raise SandboxError(f"the specification has {len(message)} bytes, the limit is {MESSAGE_BYTES}")
        return self._ask(spec.instance_id, message, fds)

    def end(self, limit_s: float = END_LIMIT_S) -> None:
        """Lets it end its instances and itself; kills it if that takes too long. Harmless twice."""
        self._socket.close()
        self.alive = False
        if self.pid and not tree.wait_for_death(self.pid, int(limit_s * 1000)):
            tree.end(self.pid)
            tree.wait_for_death(self.pid, tree.DEATH_WAIT_MS)
        self.pid = 0
