"""The node's side of the spawner: ask for instances, hear of their ends.

    launch ──→ starting ──ready──→ up ──stop──→ stopped
                  ▲                 │ the process died
                  └──backoff── down ┘

When the spawner dies, its zygotes end their instances and then themselves. They keep a copy of the control socket, so
its end of file says that all are gone; only then the ends are told and a new spawner is launched.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections import deque
from collections.abc import Callable

import msgspec

from functory.clock import Clock, Timer
from functory.model import errors
from functory.model.instance import Exit, InstanceSpec
from functory.sandbox import cgroupfs
from functory.spawner import pipes, protocol
from functory.spawner.base import Spawned, Spawner
from functory.spawner.connection import Connection, Outgoing
from functory.spawner.process import Launched
from functory.spawner.protocol import TierReport

__all__ = ["Spawned", "Spawner", "SpawnerClient", "TierReport"]

READY_LIMIT_S = 30.0
"""How long the spawner may take to warm its interpreters up, on a loaded machine."""
RETURN_LIMIT_S = 5.0
"""How long a new instance may wait for a spawner that has died and is being started again."""
STOP_LIMIT_S = 10.0
"""How long it may take to end everything."""
FIRST_BACKOFF_S = 0.05
LAST_BACKOFF_S = 5.0
"""Between launches of a spawner that dies again and again, doubled each time."""
UNANSWERED = 32
"""Requests under way at once: descriptors in flight are limited by the kernel."""


class _Request:
    """A spawn under way."""

    __slots__ = ("answer", "message", "name", "on_exit", "relayed")

    def __init__(self, name: str, on_exit: Callable[[Exit], None], message: Outgoing) -> None:
        self.name = name
        self.on_exit = on_exit
        self.message = message
        self.relayed: tuple[int, ...] = ()
        self.answer: asyncio.Future[protocol.Made] = asyncio.get_running_loop().create_future()


class SpawnerClient:
    """A `Spawner` over the socket of a launched process; launches again when it dies."""

    def __init__(self, launched: Launched, relaunch: Callable[[], Launched], clock: Clock) -> None:
        self._launched: Launched | None = launched
        self._relaunch = relaunch
        self._clock = clock
        self._connection: Connection | None = None
        self._pidfd = -1
        self._ready: protocol.Ready | None = None
        self._started: asyncio.Future[None] | None = None
        self._gone: asyncio.Future[None] | None = None
        self._unsent: deque[_Request] = deque()
        self._unanswered: dict[str, _Request] = {}
        self._alive: dict[str, Callable[[Exit], None]] = {}
        self._backoff_s = FIRST_BACKOFF_S
        self._timer: Timer | None = None
        self._up = False
        self._back: asyncio.Future[None] | None = None
        """Done once a spawner that has died is up again, or will not be."""
        self._stopping = False
        self._freezers = ""
        """Folder of the instances' freezer groups, if they are of version 1."""

    # --- service ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Return when instances can be made; `Unavailable` if the spawner does not get ready."""
        if self._launched is None or self._stopping:
            raise errors.Unavailable("the spawner was stopped already")
        self._started = asyncio.get_running_loop().create_future()
        self._attach(self._launched)
        try:
            async with asyncio.timeout(READY_LIMIT_S):
                await asyncio.shield(self._started)
        except TimeoutError:
            await self.stop()
            raise errors.Unavailable(f"the spawner did not get ready within {READY_LIMIT_S:.0f} s") from None

    async def stop(self) -> None:
        """Ends all instances and the spawner. Safe twice, and without a start."""
        self._stopping = True
        self._up = False
        if self._back is not None and not self._back.done():
            self._back.set_result(None)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._launched is None:
            return
        if self._connection is None:
            self._attach(self._launched)
        assert self._connection is not None
        assert self._gone is not None
        self._fail_unanswered("the node is stopping")
        self._connection.send(Outgoing(protocol.encode(protocol.Stop())))
        if not await _within(STOP_LIMIT_S, self._gone):
            self._signal(signal.SIGKILL)
            await _within(STOP_LIMIT_S, self._gone)

    @property
    def tier(self) -> TierReport:
        """What the boxes are worth; known after `start`."""
        assert self._ready is not None, "the spawner was not started"
        return self._ready.tier

    @property
    def versions(self) -> dict[str, str]:
        """Versions of the interpreters that were prepared, by path."""
        return self._ready.versions if self._ready is not None else {}

    @property
    def failures(self) -> dict[str, str]:
        """Why interpreters could not be prepared, by path: their functions fail to start with the same reason."""
        return self._ready.failures if self._ready is not None else {}

    @property
    def pid(self) -> int:
        """The spawner's process, 0 while there is none."""
        return self._launched.pid if self._launched is not None else 0

    # --- instances ----------------------------------------------------------------------------------------------------

    async def spawn(self, spec: InstanceSpec, on_exit: Callable[[Exit], None], parent: str = "") -> Spawned:
        """A new process for `spec`; `Unavailable` with the reason if it cannot be made."""
        name = spec.instance_id
        if not self._up and not self._stopping:
            await _within(RETURN_LIMIT_S, self._until_back())
        if not self._up:
            raise _unavailable(name, "the node is stopping" if self._stopping else "the spawner is being started again")
        if name in self._alive or name in self._unanswered:
            raise _unavailable(name, "it exists already")
        data = protocol.encode(protocol.Spawn(spec=spec, parent=parent))
        if len(data) > protocol.MESSAGE_BYTES:
            raise _unavailable(name, f"its environment is too large ({len(data)} bytes with all else)")
        try:
            made = pipes.make(len(self._alive))
        except OSError as failure:
            raise _unavailable(name, f"no pipe could be made: {failure}") from failure
        request = _Request(name, on_exit, Outgoing(data, made.theirs))
        self._unanswered[name] = request
        self._unsent.append(request)
        self._push()
        try:
            answer = await request.answer
        except BaseException:
            pipes.close(made.ours)
            pipes.close(request.relayed)
            self._give_up(request)
            raise
        request_fd, reply_fd, log_fd = made.ours
        return Spawned(
            pid=answer.pid,
            request_fd=request_fd,
            reply_fd=reply_fd,
            log_fd=log_fd,
            files=answer.files,
            gauges=answer.gauges,
            relayed=request.relayed,
        )

    def kill(self, instance_id: str) -> None:
        """End the whole tree now. Harmless for one that is gone; `on_exit` still comes."""
        if self._connection is not None and (instance_id in self._alive or instance_id in self._unanswered):
            self._connection.send(Outgoing(protocol.encode(protocol.Kill(id=instance_id))))

    def _push(self) -> None:
        """Sends spawns as far as the number under way allows."""
        while self._unsent and len(self._unanswered) - len(self._unsent) < UNANSWERED:
            assert self._connection is not None
            self._connection.send(self._unsent.popleft().message)

    def _give_up(self, request: _Request) -> None:
        """Whoever asked has gone, or it could not be made: should it come to life after all, it is ended."""
        request.on_exit = _nobody
        if request in self._unsent:
            self._unsent.remove(request)
            del self._unanswered[request.name]
            request.message.drop()
        if request.name in self._alive:
            self._alive[request.name] = _nobody
        self.kill(request.name)

    # --- what it tells ------------------------------------------------------------------------------------------------

    def _attach(self, launched: Launched) -> None:
        loop = asyncio.get_running_loop()
        self._launched = launched
        self._gone = loop.create_future()
        self._connection = Connection(launched.socket, self._receive, self._closed)
        self._pidfd = os.pidfd_open(launched.pid)
        loop.add_reader(self._pidfd, self._died)

    def _receive(self, data: bytes, fds: list[int]) -> None:
        try:
            answer = protocol.decode_answer(data)
        except msgspec.MsgspecError:
            self._signal(signal.SIGKILL)
            pipes.close(fds)
            return
        if isinstance(answer, protocol.Ended):
            on_exit = self._alive.pop(answer.exit.instance_id, None)
            if on_exit is not None:
                on_exit(answer.exit)
        elif isinstance(answer, protocol.Ready):
            self._is_ready(answer)
        else:
            self._answered(answer, fds)
            return
        pipes.close(fds)

    def _is_ready(self, ready: protocol.Ready) -> None:
        self._ready = ready
        self._up = not self._stopping
        if self._back is not None and not self._back.done():
            self._back.set_result(None)
        if self._started is not None and not self._started.done():
            self._started.set_result(None)

    def _until_back(self) -> asyncio.Future[None]:
        if self._back is None or self._back.done():
            self._back = asyncio.get_running_loop().create_future()
        return self._back

    def _answered(self, answer: protocol.Made | protocol.Failed, fds: list[int]) -> None:
        request = self._unanswered.pop(answer.id, None)
        if request is None or request.answer.done():
            pipes.close(fds)
            fds = []
        if request is None:
            return  # its caller was told that the node is stopping
        self._push()
        if isinstance(answer, protocol.Made):
            self._backoff_s = FIRST_BACKOFF_S
            self._alive[answer.id] = request.on_exit
            if answer.files.freeze.endswith(cgroupfs.FREEZER_1):
                self._freezers = os.path.dirname(os.path.dirname(answer.files.freeze))
            if not request.answer.done():
                request.relayed = tuple(fds)
                request.answer.set_result(answer)
        elif not request.answer.done():
            request.answer.set_exception(_unavailable(answer.id, answer.reason))

    # --- its end ------------------------------------------------------------------------------------------------------

    def _died(self) -> None:
        """The process has ended. Its zygotes may still end instances: the connection's end tells when they are done."""
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        self._up = False
        if self._freezers:  # or what is frozen would not die with its zygote, and keep the connection open for ever
            cgroupfs.thaw_all(self._freezers)
        assert self._launched is not None
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._launched.pid, 0)
        if self._connection is None:
            self._finish()

    def _closed(self) -> None:
        """All other ends of the socket are closed: nothing of this spawner's is left but perhaps itself."""
        self._connection = None
        self._up = False
        if self._pidfd == -1:
            self._finish()

    def _finish(self) -> None:
        """Both are gone: tell all ends, and launch again unless stopping."""
        self._launched = None
        self._fail_unanswered("the spawner died")
        alive, self._alive = self._alive, {}
        assert self._gone is not None
        self._gone.set_result(None)
        if not self._stopping:
            self._launch_later()
        for name, on_exit in alive.items():
            on_exit(Exit(instance_id=name, signal=signal.SIGKILL, killed=self._stopping))

    def _launch_later(self) -> None:
        delay_s, self._backoff_s = self._backoff_s, min(LAST_BACKOFF_S, self._backoff_s * 2)
        self._timer = self._clock.call_later(delay_s, self._launch_again)

    def _launch_again(self) -> None:
        self._timer = None
        try:
            self._attach(self._relaunch())
        except errors.FunctoryError:
            self._launch_later()

    def _fail_unanswered(self, why: str) -> None:
        requests = list(self._unanswered.values())
        self._unanswered.clear()
        self._unsent.clear()
        for request in requests:
            request.message.drop()
            if not request.answer.done():
                request.answer.set_exception(_unavailable(request.name, why))

    def _signal(self, number: int) -> None:
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)


def _unavailable(name: str, why: str) -> errors.Unavailable:
    return errors.Unavailable(f"instance {name} cannot be made: {why}")


async def _within(limit_s: float, event: asyncio.Future[None]) -> bool:
    try:
        async with asyncio.timeout(limit_s):
            await asyncio.shield(event)
    except TimeoutError:
        return False
    return True


def _nobody(_: Exit) -> None:
    """Hears of the end of an instance whose caller gave up."""
