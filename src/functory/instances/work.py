"""What runs on one instance: invocations out as frames, frames back as outcomes.

    run ──REQ──→ … ←──RESP / BODY / ERROR / LOG── settle: usage written, slot freed, caller told

What an instance sends is checked here: an unknown stream, a wrong type or an endless reply is its end.
"""

from __future__ import annotations

from typing import Protocol

import msgspec

from functory.clock import Clock
from functory.instances import failures, request
from functory.instances.channel import Channel
from functory.instances.duplex import Duplex
from functory.instances.logbuffer import LogBuffer
from functory.instances.memory import Meter
from functory.instances.output import Output
from functory.instances.reply import Reply
from functory.model.instance import InstanceSpec
from functory.model.invocation import Invocation, Outcome, Pending, Status
from functory.model.usage import ColdStart, Mode
from functory.runtimes import wire
from functory.spawner.base import Network

_RESP, _BODY, _ERROR = int(wire.Type.RESP), int(wire.Type.BODY), int(wire.Type.ERROR)
_LOG, _HELLO, _NOTE = int(wire.Type.LOG), int(wire.Type.HELLO), int(wire.Type.NOTE)
_END, _RAW_LOG = int(wire.Flag.END), int(wire.Flag.RAW_LOG)
_CREDIT, _TWO_WAY = int(wire.Type.CREDIT), int(wire.Flag.TWO_WAY)
_STREAMS = 1 << 32
SHORT_REST_NS = 1_000_000
"""What is used in so short a rest between two calls is the end of the one before; not worth a look of its own."""
CLOSE_NS = 100_000
"""A call that begins so soon after a look beside others counts as one that was there: still nothing is shared twice."""


class InstanceLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What an instance may take of the node."""

    start_timeout_s: float = 10.0
    """To load the code; the initializer's own timeout comes on top."""
    reply_max_bytes: int = 32 * 1024 * 1024
    log_bytes: int = 1024 * 1024
    """Output kept of one invocation."""


class Host(Protocol):
    """The instance that the work runs on."""

    def released(self) -> None:
        """One invocation less runs."""

    def greeted(self, meta: bytes) -> bool:
        """The instance says HELLO; False if it should not."""

    def start_failed(self, outcome: Outcome) -> bool:
        """The instance says that it cannot start; False if it has started already."""

    def broken(self, what: str) -> None:
        """The instance broke the protocol."""

    def exhausted(self) -> None:
        """The instance ran out of memory."""

    @property
    def mode(self) -> Mode:
        """Whose it is."""


class Call:
    """One invocation on an instance."""

    __slots__ = (
        "busy_at_ns",
        "cold",
        "cpu_at_ns",
        "deadline_ns",
        "invocation",
        "log",
        "outcome",
        "pending",
        "reply",
        "started_ns",
    )

    busy_at_ns: int
    """What each call's share of the busy time had come to when it began (`Shares`)."""
    cpu_at_ns: int

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


class Work:
    """The open calls of one instance."""

    def __init__(
        self, spec: InstanceSpec, timeout_s: int, *, clock: Clock, limits: InstanceLimits, host: Host, channel: Channel
    ) -> None:
        self.calls: dict[int, Call] = {}
        self.late: set[int] = set()
        """Requests that ran into their deadline while others went on: their answers may still come, for nobody."""
        self.cold: ColdStart | None = None
        """Where the start's time went; told with the first call."""
        self.meter: Meter | None = None
        self.kills_seen = 0
        """How many of its processes the kernel has killed for want of memory, as calls were told."""
        self._memory_bytes = spec.memory_mb << 20
        self._looked_ns = 0
        self._busy_share_ns = self._cpu_share_ns = 0
        self.network: Network | None = None
        """Set where the instance is relayed."""
        self._last: Invocation | None = None
        self.output = Output(limits.log_bytes, self._log_alone)
        self._instance_id = spec.instance_id
        self._exclusive = spec.concurrency == 1
        self._tell_kind = spec.program is not None
        self._timeout_ns = timeout_s * 1_000_000_000
        self._limits = limits
        self._now = clock.monotonic_ns
        self._host = host
        self._channel = channel
        self._finished: list[tuple[Call, Status, str, bytes]] = []
        self._stream = 0

    def run(self, invocation: Invocation, pending: Pending) -> None:
        """Starts one invocation."""
        now = self._now()
        deadline = now + self._timeout_ns
        if invocation.deadline_ns and invocation.deadline_ns < deadline:
            deadline = invocation.deadline_ns
        stream = self._stream = self._stream % (_STREAMS - 1) + 1
        cold, self.cold = self.cold, None
        if not self.calls:
            self._begin(now)
        elif now - self._looked_ns > CLOSE_NS:
            self._share(now, len(self.calls))
        call = self.calls[stream] = Call(invocation, pending, now, deadline, cold)
        call.busy_at_ns, call.cpu_at_ns = self._busy_share_ns, self._cpu_share_ns
        left_ms = max(1, (deadline - now) // 1_000_000)
        request.send(self._channel, stream, invocation, left_ms, tell_kind=self._tell_kind)

    @property
    def peak_bytes(self) -> int:
        """The last reading of the instance's peak resident memory."""
        return self.meter.peak_bytes if self.meter is not None else 0

    # --- frames -------------------------------------------------------------------------------------------------------

    def frame(self, stream: int, kind: int, flags: int, aux: int, meta: bytes, payload: bytes) -> None:
        """One frame from the instance."""
        if kind == _RESP:
            call = self.calls.get(stream)
            if call is None or call.reply is not None:
                if stream not in self.late:
                    self._host.broken(f"an answer to request {stream}, which is not open")
                return
            if flags & _RAW_LOG:
                self.output.drain()
            if flags & _END:
                del self.calls[stream]
                self._finished.append((call, Status.OK, "", payload))
            else:
                self._begin_reply(stream, call, flags, meta, payload)
        elif kind == _LOG:
            self._printed(self.calls.get(stream), payload)
        elif kind == _BODY:
            self._more(stream, flags, payload)
        elif kind == _ERROR:
            self._error(stream, flags, aux, payload)
        elif kind == _CREDIT:
            self._credited(stream, aux)
        elif kind == _NOTE:
            self._noted(self.calls.get(stream), payload)
        elif kind != _HELLO or not self._host.greeted(meta):
            self._host.broken(f"a frame of type {kind}")

    def batch(self) -> None:
        """All frames of one read are in: settle what is finished, with one look at the clocks."""
        finished = self._finished
        if not finished:
            return
        self._finished = []
        now = self._now()
        self._share(now, len(self.calls) + len(finished))
        for call, status, error_type, payload in finished:
            outcome = Outcome(status=status, payload=payload, error_type=error_type, reply_bytes=len(payload))
            self.settle(call, outcome, now)

    def settle(self, call: Call, outcome: Outcome, now_ns: int) -> None:
        """Writes the usage into the outcome, frees the slot, and tells whoever waits."""
        self._measure(call, outcome, now_ns)
        self._host.released()
        call.pending.resolve(outcome)

    # --- usage --------------------------------------------------------------------------------------------------------

    def _begin(self, now_ns: int) -> None:
        """The first call after a rest. What ran in a longer rest, a thread of the function perhaps, is nobody's."""
        meter = self.meter
        if meter is not None:
            meter.begin()
            if now_ns - self._looked_ns > SHORT_REST_NS:
                meter.cpu_delta_ns(now_ns - self._looked_ns)
        self._looked_ns = now_ns

    def _share(self, now_ns: int, calls: int) -> None:
        """Shares out what was used since the last look evenly among the calls that ran all that time.

        Nobody can say from outside which of several calls used a processor. So each pays for an n-th of the time in
        which it ran with n - 1 others: together they pay for what was used, and for each moment once.
        """
        lasted_ns = now_ns - self._looked_ns
        meter = self.meter
        if meter is not None:
            self._cpu_share_ns += meter.cpu_delta_ns(lasted_ns) // calls
        self._busy_share_ns += lasted_ns // calls
        self._looked_ns = now_ns

    def _measure(self, call: Call, outcome: Outcome, now_ns: int) -> None:
        duration = now_ns - call.started_ns
        outcome.instance_id = self._instance_id
        outcome.cold = call.cold
        outcome.queued_ns = call.started_ns - call.invocation.accepted_ns
        outcome.duration_ns = duration
        outcome.cpu_ns = self._cpu_share_ns - call.cpu_at_ns
        outcome.busy_ns = self._busy_share_ns - call.busy_at_ns
        outcome.mode = self._host.mode
        meter = self.meter
        if meter is not None:
            peak = outcome.memory_peak_bytes = meter.note_peak(now_ns, duration)
            if peak >= self._memory_bytes:
                self._note_kills(call, outcome, meter)
        if self.network is not None:
            received, sent = self.network.take()
            outcome.network_in_bytes += received
            outcome.network_out_bytes += sent
            self._last = call.invocation
        if call.log is not None or self.output.early is not None:
            outcome.log += self.output.take(call.log)
            call.log = None
        if call.invocation.body is not None:
            call.invocation.body.close()

    def _note_kills(self, call: Call, outcome: Outcome, meter: Meter) -> None:
        """Processes of the function may have been killed for want of memory while its main one lives on."""
        kills = meter.read_kills()
        if kills > self.kills_seen:
            outcome.oom_kills, self.kills_seen = kills - self.kills_seen, kills
            if call.log is None:
                call.log = self.output.new_buffer()
            self.output.add(call.log, failures.killed_processes(outcome.oom_kills, self._memory_bytes >> 20))

    # --- replies in pieces --------------------------------------------------------------------------------------------

    def _begin_reply(self, stream: int, call: Call, flags: int, meta: bytes, payload: bytes) -> None:
        size = int.from_bytes(meta, "little") if len(meta) == 8 else None
        if size is not None and size > self._limits.reply_max_bytes:
            self._host.broken(f"an answer of {size} bytes")
            return
        most_bytes = self._limits.reply_max_bytes
        if flags & _TWO_WAY and call.invocation.upgrade:
            two_way = call.reply = Duplex(self._channel, stream, len(payload))
            call.outcome = Outcome(status=Status.OK, stream=two_way, two_way=two_way)
        else:
            call.reply = Reply(self._channel, size_bytes=size, exclusive=self._exclusive, most_bytes=most_bytes)
            call.outcome = Outcome(status=Status.OK, stream=call.reply)
        now = self._now()
        self._share(now, len(self.calls))
        self._measure(call, call.outcome, now)
        if payload:
            call.reply.feed(payload)
        call.pending.resolve(call.outcome)

    def _more(self, stream: int, flags: int, payload: bytes) -> None:
        call = self.calls.get(stream)
        if call is None or call.reply is None:
            if stream not in self.late:
                self._host.broken(f"more of request {stream}, which has no answer yet")
            return
        reply = call.reply
        reply.feed(payload)
        size = reply.size_bytes
        if reply.received_bytes > reply.most_bytes:
            self._host.broken("an answer longer than announced or allowed")
        elif flags & _END:
            del self.calls[stream]
            self._end_reply(call, complete=size is None or reply.received_bytes == size)

    def _credited(self, stream: int, more_bytes: int) -> None:
        """The instance has passed on what the client sent. Credit for what is not two-way, or over, is for nobody."""
        call = self.calls.get(stream)
        if call is not None and isinstance(call.reply, Duplex):
            call.reply.credit(more_bytes)

    def _end_reply(self, call: Call, *, complete: bool, failure: Outcome | None = None) -> None:
        """A streamed reply is over: its outcome gets its final usage."""
        assert call.outcome is not None
        assert call.reply is not None
        now = self._now()
        self._share(now, len(self.calls) + 1)
        self._measure(call, call.outcome, now)
        call.outcome.reply_bytes = call.reply.received_bytes
        if isinstance(call.reply, Duplex):
            call.outcome.received_bytes = call.reply.sent_bytes
        if failure is not None:
            call.outcome.status, call.outcome.error_type = failure.status, failure.error_type
        self._host.released()
        call.reply.finish(complete)

    # --- failures -----------------------------------------------------------------------------------------------------

    def _error(self, stream: int, flags: int, code: int, payload: bytes) -> None:
        status, error_type = failures.BY_CODE.get(code, (Status.FUNCTION_ERROR, "UnhandledInvocationError"))
        if flags & _RAW_LOG:
            self.output.drain()
        if stream == 0 and self._host.start_failed(Outcome(status=status, error_type=error_type, payload=payload)):
            return
        call = self.calls.pop(stream, None)
        if call is None:
            if stream not in self.late:
                self._host.broken(f"an error for request {stream}, which is not open")
        elif call.reply is not None:
            self._end_reply(call, complete=False, failure=Outcome(status=status, error_type=error_type))
        else:
            self._finished.append((call, status, error_type, payload))
        if status is Status.OUT_OF_MEMORY:
            self._host.exhausted()

    def fail(self, stream: int, outcome: Outcome) -> None:
        """Ends one call with `outcome`; its reply breaks off if it has begun."""
        call = self.calls.pop(stream)
        if call.reply is not None:
            self._end_reply(call, complete=False, failure=outcome)
        else:
            now = self._now()
            self._share(now, len(self.calls) + 1)
            self.settle(call, outcome, now)

    def fail_all(self, outcome: Outcome) -> None:
        """Ends all open calls, each with a copy of `outcome`."""
        self.batch()  # what was answered in the same read counts: else nobody would ever hear of it
        for stream in list(self.calls):
            self.fail(stream, msgspec.structs.replace(outcome))

    def has_printed(self, text: bytes) -> bool:
        """Whether this stands in what open calls, or none, have printed."""
        logs = [self.output.early, *(call.log for call in self.calls.values())]
        return any(text in log.text() for log in logs if log is not None)

    # --- output -------------------------------------------------------------------------------------------------------

    def _printed(self, call: Call | None, text: bytes) -> None:
        if call is not None and call.log is None:
            call.log = self.output.new_buffer()
        self.output.add(call.log if call is not None else None, text)

    def use_network(self, network: Network | None) -> None:
        """Counts what goes through it, and prints what it refuses."""
        self.network = network
        if network is not None:
            network.on_denied = self._denied

    def _denied(self, text: bytes) -> None:
        """A refusal is a line of whoever runs; if nobody does, of who ran last: it may be heard of after the answer."""
        log = self._log_alone()
        if log is not None or self._last is None or self.network is None:
            self.output.add(log, text)
        else:
            self.network.tell_late(self._last, text)

    def _noted(self, call: Call | None, word: bytes) -> None:
        if call is not None and call.invocation.on_note is not None and len(word) <= wire.NOTE_BYTES:
            call.invocation.on_note(word)

    def _log_alone(self) -> LogBuffer | None:
        if len(self.calls) != 1:
            return None
        call = next(iter(self.calls.values()))
        if call.log is None:
            call.log = self.output.new_buffer()
        return call.log
