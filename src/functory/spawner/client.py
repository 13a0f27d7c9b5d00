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
import fcntl
import os
import signal
import socket
from collections import deque
from collections.abc import Callable
from typing import Protocol

import msgspec

from functory.clock import Clock, Timer
from functory.lifecycle import Service
from functory.model import errors
from functory.model.instance import Exit, InstanceSpec
from functory.spawner import protocol
from functory.spawner.process import Launched
from functory.spawner.protocol import TierReport

__all__ = ["Spawned", "Spawner", "SpawnerClient", "TierReport"]

READY_LIMIT_S = 30.0
"""How long the spawner may take to warm its interpreters up, on a loaded machine."""
STOP_LIMIT_S = 10.0
"""How long it may take to end everything."""
FIRST_BACKOFF_S = 0.05
LAST_BACKOFF_S = 5.0
"""Between launches of a spawner that dies again and again, doubled each time."""
UNANSWERED = 32
"""Requests under way at once: descriptors in flight are limited by the kernel."""
PIPE_BYTES = 1 << 20
"""A whole large payload fits: fewer wake-ups on both sides."""
_LARGE_PIPES = 48
"""Instances with large pipes where the kernel counts pipe pages per user: 64 MB for all, then pipes shrink to 8 KB."""


class Spawned(msgspec.Struct, frozen=True, kw_only=True):
    """An instance whose process runs; it has not said HELLO yet. The descriptors are the caller's to close."""

    pid: int
    request_fd: int
    """Write end, non-blocking."""
    reply_fd: int
    """Read end, non-blocking."""
    log_fd: int
    """Read end of the instance's raw descriptors 1 and 2, non-blocking. Must always be read: it blocks its writers."""


class Spawner(Service, Protocol):
    """Makes instances. The pool knows only this."""

    @property
    def tier(self) -> TierReport:
        """What the boxes are worth."""

    async def spawn(self, spec: InstanceSpec, on_exit: Callable[[Exit], None]) -> Spawned:
        """A new process for `spec`; `Unavailable` with the reason if it cannot be made.

        `on_exit` is called once, on the loop's thread, when the main process has ended and its tree is gone.
        """

    def kill(self, instance_id: str) -> None:
        """End the whole tree now. Harmless for one that is gone; `on_exit` still comes."""


class _Request:
    """A spawn under way."""

    __slots__ = ("answer", "message", "name", "on_exit", "theirs")

    def __init__(self, spec: InstanceSpec, on_exit: Callable[[Exit], None], theirs: list[int]) -> None:
        self.name = spec.instance_id
        self.message = protocol.encode(protocol.Spawn(spec=spec))
        self.on_exit = on_exit
        self.theirs = theirs
        self.answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def close(self) -> None:
        """Closes the instance's ends of the pipes on this side."""
        theirs, self.theirs = self.theirs, []
        for fd in theirs:
            os.close(fd)


class SpawnerClient:
    """A `Spawner` over the socket of a launched process; launches again when it dies."""

    def __init__(self, launched: Launched, relaunch: Callable[[], Launched], clock: Clock) -> None:
        self._launched: Launched | None = launched
        self._relaunch = relaunch
        self._clock = clock
        self._control: socket.socket | None = None
        self._pidfd = -1
        self._ready: protocol.Ready | None = None
        self._started: asyncio.Future[None] | None = None
        self._gone: asyncio.Future[None] | None = None
        self._out: deque[bytes | _Request] = deque()
        self._unsent: deque[_Request] = deque()
        self._unanswered: dict[str, _Request] = {}
        self._alive: dict[str, Callable[[Exit], None]] = {}
        self._writing = False
        self._backoff_s = FIRST_BACKOFF_S
        self._timer: Timer | None = None
        self._stopping = False
        self._large_pipes = os.geteuid() == 0

    # --- service ------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Return when instances can be made; `Unavailable` if the spawner does not get ready."""
        if self._launched is None:
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
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._control is None and self._launched is not None:
            self._attach(self._launched)
        if self._gone is not None:
            self._fail_unanswered("the node is stopping")
            self._send(protocol.encode(protocol.Stop()))
            try:
                async with asyncio.timeout(STOP_LIMIT_S):
                    await asyncio.shield(self._gone)
            except TimeoutError:
                self._signal(signal.SIGKILL)
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(STOP_LIMIT_S):
                        await asyncio.shield(self._gone)

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
    def pid(self) -> int:
        """The spawner's process, 0 while there is none."""
        return self._launched.pid if self._launched is not None else 0

    # --- instances ----------------------------------------------------------------------------------------------------

    async def spawn(self, spec: InstanceSpec, on_exit: Callable[[Exit], None]) -> Spawned:
        """A new process for `spec`; `Unavailable` with the reason if it cannot be made."""
        name = spec.instance_id
        if self._control is None or self._ready is None or self._stopping:
            why = "the node is stopping" if self._stopping else "the spawner is being started again"
            raise errors.Unavailable(f"instance {name} cannot be made: {why}")
        if name in self._alive or name in self._unanswered:
            raise errors.Unavailable(f"instance {name} cannot be made: it exists already")
        ours, theirs = self._make_pipes(name)
        request = _Request(spec, on_exit, theirs)
        if len(request.message) > protocol.MESSAGE_BYTES:
            request.close()
            _close_all(ours)
            raise errors.Unavailable(f"instance {name} cannot be made: its environment is too large")
        self._unsent.append(request)
        self._unanswered[name] = request
        self._push()
        try:
            pid = await request.answer
        except BaseException:
            _close_all(ours)
            self._give_up(request)
            raise
        return Spawned(pid=pid, request_fd=ours[0], reply_fd=ours[1], log_fd=ours[2])

    def kill(self, instance_id: str) -> None:
        """End the whole tree now. Harmless for one that is gone; `on_exit` still comes."""
        if self._control is not None and (instance_id in self._alive or instance_id in self._unanswered):
            self._send(protocol.encode(protocol.Kill(id=instance_id)))

    def _give_up(self, request: _Request) -> None:
        """Whoever asked has gone, or it could not be made: should it come to life after all, it is ended."""
        request.on_exit = _nobody
        if request in self._unsent:
            self._unsent.remove(request)
            del self._unanswered[request.name]
            request.close()
        if request.name in self._alive:
            self._alive[request.name] = _nobody
        self.kill(request.name)

    def _make_pipes(self, name: str) -> tuple[list[int], list[int]]:
        """Three pipes: the node's ends (request, reply, log) and the instance's, in the same order."""
        fds: list[int] = []
        try:
            for _ in range(3):
                fds += os.pipe2(os.O_CLOEXEC)
        except OSError as failure:
            _close_all(fds)
            raise errors.Unavailable(f"instance {name} cannot be made: {failure}", hint="see ulimit -n") from failure
        request_read, request_write, reply_read, reply_write, log_read, log_write = fds
        if self._large_pipes or len(self._alive) < _LARGE_PIPES:
            for fd in (request_write, reply_read):
                with contextlib.suppress(OSError):
                    fcntl.fcntl(fd, fcntl.F_SETPIPE_SZ, PIPE_BYTES)
        ours = [request_write, reply_read, log_read]
        for fd in ours:
            os.set_blocking(fd, False)
        return ours, [request_read, reply_write, log_write]

    # --- the socket ---------------------------------------------------------------------------------------------------

    def _attach(self, launched: Launched) -> None:
        loop = asyncio.get_running_loop()
        self._launched = launched
        self._control = launched.socket
        self._control.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * protocol.MESSAGE_BYTES)
        self._gone = loop.create_future()
        self._ready = None if not self._stopping else self._ready
        self._pidfd = os.pidfd_open(launched.pid)
        loop.add_reader(self._control, self._receive)
        loop.add_reader(self._pidfd, self._died)

    def _push(self) -> None:
        """Moves spawns to the socket as far as the number under way allows."""
        while self._unsent and len(self._unanswered) - len(self._unsent) < UNANSWERED:
            self._send(self._unsent.popleft())

    def _send(self, item: bytes | _Request) -> None:
        self._out.append(item)
        if not self._writing:
            self._write()

    def _write(self) -> None:
        control = self._control
        while self._out and control is not None:
            item = self._out[0]
            try:
                if isinstance(item, bytes):
                    control.send(item)
                elif item.theirs:
                    socket.send_fds(control, [item.message], item.theirs)
            except BlockingIOError:
                if not self._writing:
                    self._writing = True
                    asyncio.get_running_loop().add_writer(control, self._write)
                return
            except OSError:
                return  # its end is seen by the reader
            self._out.popleft()
            if isinstance(item, _Request):
                item.close()
        if self._writing and control is not None:
            self._writing = False
            asyncio.get_running_loop().remove_writer(control)

    def _receive(self) -> None:
        control = self._control
        while control is not None and control is self._control:
            try:
                data = control.recv(protocol.MESSAGE_BYTES)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                self._ended()
                return
            try:
                self._hear(protocol.decode_answer(data))
            except msgspec.MsgspecError:
                self._signal(signal.SIGKILL)
                return

    def _hear(self, answer: protocol.Answer) -> None:
        if isinstance(answer, protocol.Ended):
            self._told_end(answer.exit)
        elif isinstance(answer, protocol.Ready):
            self._ready = answer
            if self._started is not None and not self._started.done():
                self._started.set_result(None)
        else:
            self._answered(answer)

    def _answered(self, answer: protocol.Made | protocol.Failed) -> None:
        request = self._unanswered.pop(answer.id, None)
        self._push()
        if request is None:
            return
        if isinstance(answer, protocol.Made):
            self._alive[answer.id] = request.on_exit
            self._backoff_s = FIRST_BACKOFF_S
            if not request.answer.done():
                request.answer.set_result(answer.pid)
        elif not request.answer.done():
            request.answer.set_exception(errors.Unavailable(f"instance {answer.id} cannot be made: {answer.reason}"))

    def _told_end(self, exit_: Exit) -> None:
        on_exit = self._alive.pop(exit_.instance_id, None)
        if on_exit is not None:
            on_exit(exit_)

    # --- its end ------------------------------------------------------------------------------------------------------

    def _died(self) -> None:
        """The process has ended. Its zygotes may still end instances: the socket's end tells when they are done."""
        asyncio.get_running_loop().remove_reader(self._pidfd)
        os.close(self._pidfd)
        self._pidfd = -1
        assert self._launched is not None
        with contextlib.suppress(ChildProcessError):
            os.waitpid(self._launched.pid, 0)
        if self._control is None:
            self._finish()

    def _ended(self) -> None:
        """The socket is closed at all other ends: nothing of this spawner's is left but perhaps itself."""
        loop = asyncio.get_running_loop()
        assert self._control is not None
        loop.remove_reader(self._control)
        if self._writing:
            self._writing = False
            loop.remove_writer(self._control)
        self._control.close()
        self._control = None
        if self._pidfd == -1:
            self._finish()

    def _finish(self) -> None:
        """Both are gone: tell all ends, and launch again unless stopping."""
        self._launched = None
        self._fail_unanswered("the spawner died")
        alive, self._alive = self._alive, {}
        assert self._gone is not None
        self._gone.set_result(None)
        for name, on_exit in alive.items():
            on_exit(Exit(instance_id=name, signal=signal.SIGKILL, killed=self._stopping))
        if not self._stopping:
            self._ready_again_after_backoff()

    def _ready_again_after_backoff(self) -> None:
        delay_s, self._backoff_s = self._backoff_s, min(LAST_BACKOFF_S, self._backoff_s * 2)
        self._timer = self._clock.call_later(delay_s, self._launch_again)

    def _launch_again(self) -> None:
        self._timer = None
        try:
            self._attach(self._relaunch())
        except errors.FunctoryError:
            self._ready_again_after_backoff()

    def _fail_unanswered(self, why: str) -> None:
        requests = list(self._unanswered.values())
        for item in (*self._out, *self._unsent):
            if isinstance(item, _Request):
                item.close()
        self._out.clear()
        self._unsent.clear()
        self._unanswered.clear()
        for request in requests:
            if not request.answer.done():
                request.answer.set_exception(errors.Unavailable(f"instance {request.name} cannot be made: {why}"))

    def _signal(self, number: int) -> None:
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)


def _close_all(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)


def _nobody(_: Exit) -> None:
    """Hears of the end of an instance whose caller gave up."""
