"""One instance as the node sees it: a process tree that runs invocations of one function revision.

    start ──spawn──→ process runs ──HELLO──→ idle ⇄ busy ──→ stopping ──→ dead

The owner (`pool.Pool`) is told `freed` when it may take more, and `died` once. What an instance sends is checked: an
unknown stream, a wrong type or an endless reply is its end.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from typing import Protocol

import msgspec

from functory.clock import Clock, Timer
from functory.instances import failures, request
from functory.instances.channel import Channel
from functory.instances.logbuffer import LogBuffer
from functory.instances.memory import ProcessMeter
from functory.instances.reply import Reply
from functory.model import errors
from functory.model.function import Function
from functory.model.instance import MOVES, Exit, InstanceSpec, InstanceState, InstanceView
from functory.model.invocation import Invocation, Outcome, Pending, Status
from functory.model.usage import ColdStart
from functory.runtimes import wire
from functory.spawner.client import Spawner

_RESP, _BODY, _ERROR = int(wire.Type.RESP), int(wire.Type.BODY), int(wire.Type.ERROR)
_LOG, _HELLO = int(wire.Type.LOG), int(wire.Type.HELLO)
_END, _RAW_LOG = int(wire.Flag.END), int(wire.Flag.RAW_LOG)
_STREAMS = 1 << 32
LAST_WORDS_S = 2.0
"""Once one of them is known, how long to wait for the other: the end of its pipe, and how its process ended."""
CANCEL_GRACE_NS = 5_000_000_000
"""How long the others on a shared instance may go on after one of them ran into its deadline."""


class Owner(Protocol):
    """Who hears of an instance."""

    def freed(self, instance: Instance) -> None:
        """One invocation less runs on it."""

    def died(self, instance: Instance) -> None:
        """It is gone; told once."""


class Hello(msgspec.Struct, frozen=True, rename="camel"):
    """What an instance says when it is ready. Information only, bounded by its types."""

    protocol: int
    mode: str = "blocking"
    import_us: int = 0
    init_us: int = 0


class InstanceLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What an instance may take of the node."""

    start_timeout_s: float = 10.0
    """To load the code; the initializer's own timeout comes on top."""
    reply_max_bytes: int = 32 * 1024 * 1024
    log_bytes: int = 1024 * 1024
    """Output kept of one invocation."""


class Call:
    """One invocation on an instance."""

    __slots__ = ("cold", "deadline_ns", "invocation", "log", "outcome", "pending", "reply", "started_ns")

    def __init__(
        self, invocation: Invocation, pending: Pending, started_ns: int, deadline_ns: int, cold: ColdStart | None
    ) -> None:
        self.invocation = invocation
        self.pending = pending
        self.started_ns = started_ns
        self.deadline_ns = deadline_ns
        self.cold = cold
        self.log: LogBuffer | None = None
        self.reply: Reply | None = None
        self.outcome: Outcome | None = None


class Instance:
    """Runs up to `concurrency` invocations of `function`."""

    def __init__(
        self,
        spec: InstanceSpec,
        function: Function,
        *,
        clock: Clock,
        limits: InstanceLimits,
        spawner: Spawner,
        owner: Owner,
    ) -> None:
        self.id = spec.instance_id
        self.function = function
        self.state = InstanceState.STARTING
        self.concurrency = spec.concurrency
        self.busy = 0
        self.served = 0
        self.created_ms = clock.now_ms()
        self.idle_since_ns = clock.monotonic_ns()
        self.start_deadline_ns = 0
        self._spec = spec
        self._limits = limits
        self._clock = clock
        self._now = clock.monotonic_ns
        self._spawner = spawner
        self._owner = owner
        self._timeout_ns = function.timeout_s * 1_000_000_000
        self._calls: dict[int, Call] = {}
        self._finished: list[tuple[Call, Status, str, bytes]] = []
        self._stream = 0
        self._channel = Channel(self._frame, self._batch, self._ended)
        self._meter: ProcessMeter | None = None
        self._pid = 0
        self._log_fd = -1
        self._early_log: LogBuffer | None = None
        self._hello: asyncio.Future[Hello] | None = None
        self._exit: Exit | None = None
        self._death_timer: Timer | None = None
        self._silent = False
        self._why = ""
        self._cold: ColdStart | None = None

    # --- life ---------------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """Returns when the instance may take invocations; raises `StartFailed` with the outcome otherwise."""
        begin = self._now()
        limit_s = self._limits.start_timeout_s + (self._spec.initializer_timeout_s if self._spec.initializer else 0)
        self.start_deadline_ns = begin + int(limit_s * 1e9)
        try:
            spawned = await self._spawner.spawn(self._spec, self._exited)
        except errors.FunctoryError as failure:
            self._die()
            raise failures.StartFailed(failures.system(f"no instance could be started: {failure}")) from failure
        forked = self._now()
        self._pid = spawned.pid
        self._meter = ProcessMeter(spawned.pid)
        self._log_fd = spawned.log_fd
        loop = asyncio.get_running_loop()
        self._hello = loop.create_future()
        loop.add_reader(spawned.log_fd, self._raw_log)
        await self._channel.open(spawned.request_fd, spawned.reply_fd)
        hello = await self._hello
        self._cold = ColdStart(fork_us=(forked - begin) // 1000, import_us=hello.import_us, init_us=hello.init_us)
        self._meter.cpu_delta_ns()
        self._move(InstanceState.IDLE)

    def run(self, invocation: Invocation, pending: Pending) -> None:
        """Starts one invocation. The owner has counted it in `busy` already."""
        now = self._now()
        deadline = now + self._timeout_ns
        if invocation.deadline_ns and invocation.deadline_ns < deadline:
            deadline = invocation.deadline_ns
        stream = self._stream = self._stream % (_STREAMS - 1) + 1
        cold, self._cold = self._cold, None
        self._calls[stream] = Call(invocation, pending, now, deadline, cold)
        self.state = InstanceState.BUSY
        request.send(self._channel, stream, invocation, max(1, (deadline - now) // 1_000_000))

    def stop(self) -> None:
        """Lets what runs end, then runs the pre-stop hook and ends the process."""
        if self.state in (InstanceState.STOPPING, InstanceState.DEAD):
            return
        self._move(InstanceState.STOPPING)
        if not self._calls:
            self._drain()

    def kill(self, why: str = "") -> None:
        """Ends the whole tree now; what runs on it fails with `why`."""
        if self.state is InstanceState.DEAD:
            return
        self._why = self._why or why
        if self.state is not InstanceState.STOPPING:
            self._move(InstanceState.STOPPING)
        self._spawner.kill(self.id)

    def expire(self, now_ns: int) -> None:
        """Ends what is over its deadline. Called every few milliseconds while anything runs or starts."""
        if self.state is InstanceState.STARTING and self._hello is not None and now_ns >= self.start_deadline_ns:
            limit_s = (self.start_deadline_ns - self.idle_since_ns) / 1e9
            self._fail_start(failures.start_timed_out(round(limit_s)))
            return
        late = [stream for stream, call in self._calls.items() if now_ns >= call.deadline_ns]
        for stream in late:
            self._time_out(stream, self._calls[stream], now_ns)

    def view(self) -> InstanceView:
        """How lists show it."""
        return InstanceView(
            instance_id=self.id,
            function=self.function,
            state=self.state,
            busy=len(self._calls),
            created_at_ms=self.created_ms,
            served=self.served,
            pid=self._pid,
        )

    @property
    def memory_peak_bytes(self) -> int:
        """The last reading of its peak resident memory."""
        return self._meter.peak_bytes if self._meter is not None else 0

    # --- frames -------------------------------------------------------------------------------------------------------

    def _frame(self, stream: int, kind: int, flags: int, aux: int, meta: bytes, payload: bytes) -> None:
        if kind == _RESP:
            call = self._calls.get(stream)
            if call is None or call.reply is not None:
                self._hostile(f"an answer to request {stream}, which is not open")
                return
            if flags & _RAW_LOG:
                self._raw_log()
            if flags & _END:
                del self._calls[stream]
                self._finished.append((call, Status.OK, "", payload))
            else:
                self._begin_reply(call, meta, payload)
        elif kind == _LOG:
            self._log(self._calls.get(stream), payload)
        elif kind == _BODY:
            self._more(stream, flags, payload)
        elif kind == _ERROR:
            self._error(stream, flags, aux, payload)
        elif kind == _HELLO and self._hello is not None and not self._hello.done():
            self._said_hello(meta)
        else:
            self._hostile(f"a frame of type {kind}")

    def _batch(self) -> None:
        """All frames of one read are in: settle what is finished, with one look at the clocks."""
        finished = self._finished
        if not finished:
            return
        self._finished = []
        now = self._now()
        meter = self._meter
        assert meter is not None
        cpu_ns = meter.cpu_delta_ns() // len(finished)
        for call, status, error_type, payload in finished:
            outcome = Outcome(status=status, payload=payload, error_type=error_type, reply_bytes=len(payload))
            self._settle(call, outcome, now, cpu_ns)

    def _settle(self, call: Call, outcome: Outcome, now_ns: int, cpu_ns: int) -> None:
        """Writes the usage into the outcome, frees the slot, and tells whoever waits."""
        self._measure(call, outcome, now_ns, cpu_ns)
        self._release()
        call.pending.resolve(outcome)

    def _measure(self, call: Call, outcome: Outcome, now_ns: int, cpu_ns: int) -> None:
        duration = now_ns - call.started_ns
        outcome.instance_id = self.id
        outcome.cold = call.cold
        outcome.queued_ns = call.started_ns - call.invocation.accepted_ns
        outcome.duration_ns = duration
        outcome.cpu_ns = cpu_ns
        if self._meter is not None:
            outcome.memory_peak_bytes = self._meter.note_peak(now_ns, duration)
        if self._early_log is not None or call.log is not None:
            outcome.log = self._take_log(call)
        if call.invocation.body is not None:
            call.invocation.body.close()

    def _release(self) -> None:
        self.served += 1
        self.busy -= 1
        if self.state is InstanceState.BUSY:
            if not self.busy:
                self.state = InstanceState.IDLE
            self._owner.freed(self)
        elif self.state is InstanceState.STOPPING and not self._calls and not self._silent and self._exit is None:
            self._drain()

    def _begin_reply(self, call: Call, meta: bytes, payload: bytes) -> None:
        size = int.from_bytes(meta, "little") if len(meta) == 8 else None
        if size is not None and size > self._limits.reply_max_bytes:
            self._hostile(f"an answer of {size} bytes")
            return
        call.reply = Reply(self._channel, size_bytes=size, exclusive=self.concurrency == 1)
        call.outcome = Outcome(status=Status.OK, stream=call.reply)
        self._measure(call, call.outcome, self._now(), 0)
        if payload:
            call.reply.feed(payload)
        call.pending.resolve(call.outcome)

    def _more(self, stream: int, flags: int, payload: bytes) -> None:
        call = self._calls.get(stream)
        if call is None or call.reply is None:
            self._hostile(f"more of request {stream}, which has no answer yet")
            return
        reply = call.reply
        reply.feed(payload)
        size = reply.size_bytes
        if reply.received_bytes > (self._limits.reply_max_bytes if size is None else size):
            self._hostile("an answer longer than announced or allowed")
        elif flags & _END:
            del self._calls[stream]
            self._end_reply(call, complete=size is None or reply.received_bytes == size)

    def _end_reply(self, call: Call, *, complete: bool, failure: Outcome | None = None) -> None:
        """A streamed reply is over: its outcome gets its final usage."""
        assert call.outcome is not None
        assert call.reply is not None
        cpu_ns = self._meter.cpu_delta_ns() if self._meter is not None else 0
        self._measure(call, call.outcome, self._now(), cpu_ns)
        call.outcome.reply_bytes = call.reply.received_bytes
        if failure is not None:
            call.outcome.status, call.outcome.error_type = failure.status, failure.error_type
        self._release()
        call.reply.finish(complete)

    def _error(self, stream: int, flags: int, code: int, payload: bytes) -> None:
        status, error_type = failures.BY_CODE.get(code, (Status.FUNCTION_ERROR, "UnhandledInvocationError"))
        if flags & _RAW_LOG:
            self._raw_log()
        if stream == 0 and self._hello is not None and not self._hello.done():
            self._fail_start(Outcome(status=status, error_type=error_type, payload=payload))
            return
        call = self._calls.pop(stream, None)
        if call is None:
            self._hostile(f"an error for request {stream}, which is not open")
        elif call.reply is not None:
            self._end_reply(call, complete=False, failure=Outcome(status=status, error_type=error_type))
        else:
            self._finished.append((call, status, error_type, payload))
        if status is Status.OUT_OF_MEMORY:
            # What else the process could not allocate is unknown: it is not used again.
            asyncio.get_running_loop().call_soon(self.kill, "it ran out of memory")

    def _said_hello(self, meta: bytes) -> None:
        assert self._hello is not None
        try:
            hello = msgspec.json.decode(meta, type=Hello)
        except msgspec.MsgspecError:
            self._hostile("a greeting that cannot be read")
            return
        if hello.protocol != wire.PROTOCOL:
            self._hostile(f"protocol {hello.protocol} instead of {wire.PROTOCOL}")
        else:
            self._hello.set_result(hello)

    def _hostile(self, what: str) -> None:
        outcome = failures.broke_protocol(what)
        self._fail_all(outcome)
        self.kill(what)

    # --- output -------------------------------------------------------------------------------------------------------

    def _log(self, call: Call | None, text: bytes) -> None:
        if call is not None:
            if call.log is None:
                call.log = LogBuffer(self._limits.log_bytes)
            call.log.add(text)
            return
        # Printed while loading or between invocations: it goes with the next one.
        if self._early_log is None:
            self._early_log = LogBuffer(self._limits.log_bytes)
        self._early_log.add(text)

    def _raw_log(self) -> None:
        """Reads what subprocesses and C code wrote to the descriptors 1 and 2."""
        if self._log_fd < 0:
            return
        with contextlib.suppress(BlockingIOError):
            for _ in range(16):  # bounded: a flood must not hold the loop
                text = os.read(self._log_fd, 65536)
                if not text:
                    self._close_log()
                    return
                self._log(next(iter(self._calls.values())) if len(self._calls) == 1 else None, text)

    def _take_log(self, call: Call) -> bytes:
        early, self._early_log = self._early_log, None
        parts = [buffer.text() for buffer in (early, call.log) if buffer is not None]
        call.log = None
        return b"".join(parts)

    def _close_log(self) -> None:
        if self._log_fd >= 0:
            asyncio.get_running_loop().remove_reader(self._log_fd)
            os.close(self._log_fd)
            self._log_fd = -1

    # --- ends ---------------------------------------------------------------------------------------------------------

    def _time_out(self, stream: int, call: Call, now_ns: int) -> None:
        outcome = failures.timed_out((call.deadline_ns - call.started_ns) // 1_000_000)
        others = len(self._calls) > 1
        if others:
            # Nothing inside can be killed alone: take no more, and give the others until their ends or a grace time.
            self._channel.send(wire.frame(stream, wire.Type.CANCEL, 0, 0, b"", b""))
            for other in self._calls.values():
                other.deadline_ns = min(other.deadline_ns, now_ns + CANCEL_GRACE_NS)
        del self._calls[stream]
        cpu_ns = self._meter.cpu_delta_ns() if self._meter is not None else 0
        if self.state is InstanceState.BUSY:
            self._move(InstanceState.STOPPING)
        self._raw_log()
        if call.reply is not None:
            self._end_reply(call, complete=False, failure=outcome)
        else:
            self._settle(call, outcome, now_ns, cpu_ns)
        if not self._calls:
            self.kill("its deadline passed")

    def _drain(self) -> None:
        timeout_s = self._spec.pre_stop_timeout_s if self._spec.pre_stop else 1
        self._channel.send(wire.frame(0, wire.Type.DRAIN, 0, timeout_s * 1000, b"", b""))
        # The hook has its time; after that the tree is ended whatever it does.
        self._clock.call_later(timeout_s + 0.5, self.kill)

    def _fail_start(self, outcome: Outcome) -> None:
        if self._early_log is not None:
            outcome.log = self._early_log.text()
        if self._hello is not None and not self._hello.done():
            self._hello.set_exception(failures.StartFailed(outcome))
        self.kill("it could not be started")

    def _fail_all(self, outcome: Outcome) -> None:
        calls, self._calls = list(self._calls.values()), {}
        now = self._now()
        for call in calls:
            if call.reply is not None:
                self._end_reply(call, complete=False, failure=outcome)
                continue
            own = msgspec.structs.replace(outcome)
            self._settle(call, own, now, 0)

    def _ended(self, reason: str) -> None:
        """The reply pipe is closed, or what came through it cannot be read."""
        if reason:
            self._hostile(reason)
        self._silent = True
        if self._exit is not None:
            self._die()
        else:
            self._spawner.kill(self.id)
            self._die_later()

    def _exited(self, exit_: Exit) -> None:
        """The spawner says how the main process ended. What it still sent is read first."""
        self._exit = exit_
        if self._silent or self._hello is None:
            self._die()
        else:
            self._die_later()

    def _die_later(self) -> None:
        if self._death_timer is None and self.state is not InstanceState.DEAD:
            self._death_timer = self._clock.call_later(LAST_WORDS_S, self._die)

    def _die(self) -> None:
        if self.state is InstanceState.DEAD:
            return
        if self._death_timer is not None:
            self._death_timer.cancel()
        if self._log_fd >= 0:
            self._raw_log()
        self._move(InstanceState.STOPPING) if self.state is not InstanceState.STOPPING else None
        self._fail_open_calls()
        self._move(InstanceState.DEAD)
        self._channel.close()
        self._close_log()
        if self._meter is not None:
            self._meter.close()
        self._owner.died(self)

    def _fail_open_calls(self) -> None:
        peak = self.memory_peak_bytes
        if self._hello is not None and not self._hello.done():
            outcome = failures.exited(
                self._exit,
                lasted_ns=self._now() - self.idle_since_ns,
                peak_bytes=peak,
                memory_mb=self.function.memory_mb,
            )
            if self._early_log is not None:
                outcome.log = self._early_log.text()
            self._hello.set_exception(failures.StartFailed(outcome))
        if self._calls:
            started = next(iter(self._calls.values())).started_ns
            self._fail_all(
                failures.exited(
                    self._exit, lasted_ns=self._now() - started, peak_bytes=peak, memory_mb=self.function.memory_mb
                )
            )

    def _move(self, state: InstanceState) -> None:
        if state is not self.state:
            assert state in MOVES[self.state], f"an instance cannot go from {self.state} to {state}"
            self.state = state
