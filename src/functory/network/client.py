"""The node's side of the relay: a process that is started when the first instance needs it, and again if it dies.

An instance does not wait for it. What it connects to meanwhile waits in the kernel, at sockets that the node keeps a
copy of: so a relay that died takes connections along, but no instance's network.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import socket
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec

from functory.clock import Clock, Timer
from functory.model.invocation import Invocation
from functory.model.network import Policy
from functory.model.record import LogLines
from functory.network import policy as policies
from functory.network import protocol
from functory.network.counters import DENIED, IN, OUT, Counters
from functory.observe.logs import fields
from functory.sandbox.process import FIRST_UID
from functory.spawner import pipes
from functory.spawner.connection import Connection, Outgoing

log = logging.getLogger("functory.network")

Late = Callable[[Invocation, bytes], None]

UID = FIRST_UID - 1
"""Of the relay, where the node is root: nobody else's."""
FIRST_BACKOFF_S = 0.1
LAST_BACKOFF_S = 5.0
_STREAM_SOCKETS = 3
"""The sockets of TCP and names come first; those of UDP are only needed where it is allowed."""
_CONTROL, _COUNTERS = 3, 4
_RESET = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)


class RelayConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What an instance may take of it."""

    connections_max: int = 256
    idle_s: int = 900


class Attached:
    """An instance's place at the relay; `instance.Instance` asks it what a call has used."""

    __slots__ = ("_counters", "_late", "_place", "_seen", "fds", "id", "on_denied", "policy")

    def __init__(self, name: str, policy: Policy, fds: Sequence[int], counters: Counters, late: Late) -> None:
        self.id = name
        self.policy = policy
        self.fds = fds
        self.on_denied: Callable[[bytes], None] | None = None
        """Told what the instance was refused, as lines for its log."""
        self._counters = counters
        self._late = late
        self._place = counters.take()
        self._seen = self._read()

    @property
    def place(self) -> int:
        """Where its counters begin."""
        return self._place

    def take(self) -> tuple[int, int]:
        """Bytes that came in and went out since the last time."""
        now, before = self._read(), self._seen
        self._seen = now
        return now[0] - before[0], now[1] - before[1]

    def tell_late(self, invocation: Invocation, text: bytes) -> None:
        """A line of an invocation that is over: a function may have its answer before the refusal is heard of."""
        self._late(invocation, text)

    def give_back(self) -> None:
        """The instance is gone."""
        self._counters.give_back(self._place)

    def _read(self) -> tuple[int, int]:
        numbers = self._counters.numbers
        return numbers[self._place + IN], numbers[self._place + OUT]


class Relay:
    """The relay process and who is attached to it. A Service; used on the loop's thread."""

    def __init__(self, clock: Clock, config: RelayConfig, tell_late: Callable[[LogLines], None]) -> None:
        """`tell_late`: takes lines for the log of a request that is over."""
        self._clock = clock
        self._tell_late = tell_late
        self._config = config
        self._counters: Counters | None = None
        self._attached: dict[str, Attached] = {}
        self._connection: Connection | None = None
        self._pid = 0
        self._timer: Timer | None = None
        self._backoff_s = FIRST_BACKOFF_S
        self._stopping = False
        self._gone = asyncio.Event()
        self._gone.set()

    async def start(self) -> None:
        """Nothing yet: most nodes relay nothing."""

    async def stop(self) -> None:
        """Ends it. Safe twice."""
        self._stopping = True
        if self._timer is not None:
            self._timer.cancel()
        if self._pid:
            # It holds nothing that would have to be ended in order.
            os.kill(self._pid, signal.SIGKILL)
            await self._gone.wait()
        for one in self._attached.values():
            pipes.close(one.fds)
        self._attached.clear()
        if self._counters is not None:
            self._counters.close()
            self._counters = None

    @property
    def pid(self) -> int:
        """The process, 0 while there is none."""
        return self._pid

    def statistics(self) -> dict[str, int]:
        """`{instances, bytesIn, bytesOut, denied}`, since the node's start."""
        numbers = self._counters.numbers if self._counters is not None else ()
        sums = [sum(numbers[which::3]) for which in (IN, OUT, DENIED)]
        return {"instances": len(self._attached), "bytesIn": sums[0], "bytesOut": sums[1], "denied": sums[2]}

    def attach(self, name: str, policy: Policy, fds: Sequence[int]) -> Attached:
        """Relays an instance from now on; `fds` are the relay's. OSError if it cannot be."""
        wanted = fds if policies.uses_datagrams(policy) else fds[:_STREAM_SOCKETS]
        pipes.close(fds[len(wanted) :])
        try:
            if self._counters is None:
                self._counters = Counters()
            attached = Attached(name, policy, wanted, self._counters, self._add_late)
        except (OSError, IndexError) as failure:
            pipes.close(wanted)
            raise OSError(f"no more instances can be relayed: {failure}") from failure
        self._attached[name] = attached
        if self._connection is not None:
            self._introduce(attached)
        elif self._timer is None and not self._stopping:
            self._launch()
        return attached

    def detach(self, name: str) -> None:
        """The instance is gone."""
        attached = self._attached.pop(name, None)
        if attached is None:
            return
        pipes.close(attached.fds)
        attached.give_back()
        if self._connection is not None:
            self._connection.send(Outgoing(protocol.encode(protocol.Detach(id=name))))

    def _add_late(self, request: Invocation, text: bytes) -> None:
        now_ms = self._clock.now_ms()
        self._tell_late(LogLines(request.request_id, request.function_name, now_ms, text, request.account_id))

    def _introduce(self, attached: Attached) -> None:
        message = protocol.Attach(id=attached.id, place=attached.place, policy=attached.policy)
        copies = tuple(os.dup(fd) for fd in attached.fds)
        assert self._connection is not None
        self._connection.send(Outgoing(protocol.encode(message), copies))

    # --- the process --------------------------------------------------------------------------------------------------

    def _launch(self) -> None:
        self._timer = None
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            self._pid = self._spawn(theirs)
        except OSError as failure:
            ours.close()
            log.error("The relay cannot be started; it is tried again", extra=fields("relay", reason=failure))
            self._later()
            return
        finally:
            theirs.close()
        self._gone.clear()
        pidfd = os.pidfd_open(self._pid)
        asyncio.get_running_loop().add_reader(pidfd, self._died, pidfd)
        self._connection = Connection(ours, self._receive, self._closed)
        for attached in self._attached.values():
            self._introduce(attached)

    def _spawn(self, control: socket.socket) -> int:
        assert self._counters is not None
        config = self._config
        argv = [sys.executable, "-P", "-s", "-m", "functory.network"]
        argv += ["--control", str(_CONTROL), "--counters", str(_COUNTERS), "--uid", str(UID)]
        argv += ["--connections", str(config.connections_max), "--idle", str(config.idle_s)]
        # The node's environment may hold secrets: only what finds our package goes on.
        environment = {"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": os.environ.get("PATH", os.defpath)}
        null = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        low = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, null, 1)]
        # By numbers that are nobody's here: one of the two may have the number that the other is to get.
        high = [(os.POSIX_SPAWN_DUP2, control.fileno(), 200), (os.POSIX_SPAWN_DUP2, self._counters.fd, 201)]
        own = [(os.POSIX_SPAWN_DUP2, 200, _CONTROL), (os.POSIX_SPAWN_DUP2, 201, _COUNTERS)]
        done = [(os.POSIX_SPAWN_CLOSE, 200), (os.POSIX_SPAWN_CLOSE, 201)]
        try:
            return os.posix_spawn(
                argv[0], argv, environment, file_actions=[*low, *high, *own, *done], setsid=True, setsigdef=_RESET
            )
        finally:
            os.close(null)

    def _receive(self, data: bytes, fds: list[int]) -> None:
        pipes.close(fds)
        with contextlib.suppress(msgspec.MsgspecError):
            answer = protocol.decode_answer(data)
            if isinstance(answer, protocol.Ready):
                self._backoff_s = FIRST_BACKOFF_S
                return
            attached = self._attached.get(answer.id)
            if attached is not None and attached.on_denied is not None:
                attached.on_denied(f"network: denied: {answer.what}\n".encode())

    def _closed(self) -> None:
        self._connection = None

    def _died(self, pidfd: int) -> None:
        asyncio.get_running_loop().remove_reader(pidfd)
        os.close(pidfd)
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._pid, 0)
        self._pid = 0
        self._gone.set()
        if not self._stopping:
            log.error("The relay has died; it is started again", extra=fields("relay", instances=len(self._attached)))
            self._later()

    def _later(self) -> None:
        delay_s, self._backoff_s = self._backoff_s, min(LAST_BACKOFF_S, self._backoff_s * 2)
        self._timer = self._clock.call_later(delay_s, self._launch)
