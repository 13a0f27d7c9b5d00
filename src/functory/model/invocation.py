"""The waist: an invocation goes in, an outcome comes out.

`Invoke = Callable[[Invocation], Awaitable[Outcome]]`, where the awaitable is a `Pending`. Whoever can afford a
coroutine writes `outcome = await invoke(invocation)`. The gateway cannot (a task and a future per request would cost
7.5 µs of its 26), so it writes `invoke(invocation).then(answer)` and is called back.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from enum import IntEnum, StrEnum
from typing import Protocol, TypeAlias

import msgspec

from functory.model.function import Function
from functory.model.usage import ColdStart, Mode


class Kind(StrEnum):
    """Where an invocation came from."""

    SYNC = "sync"  #: a caller waits for the answer
    ASYNC = "async"  #: a durable task runs it
    HTTP = "http"  #: an HTTP trigger or custom domain
    EVENT = "event"  #: a trigger of another kind
    HOOK = "hook"  #: the platform itself: initializer or pre-stop


class Status(IntEnum):
    """How an invocation ended. `FAULT` says whose fault it was, `MAY_RETRY` whether trying again may help."""

    OK = 0  #: the handler returned
    FUNCTION_ERROR = 1  #: the handler raised, or returned what it may not return
    INIT_ERROR = 2  #: the code could not be loaded, or the initializer failed
    TIMEOUT = 3  #: the deadline passed; the instance was killed
    OUT_OF_MEMORY = 4  #: the instance hit its memory limit
    EXITED = 5  #: the instance's process ended before the answer
    THROTTLED = 6  #: a concurrency limit or a full queue refused it; nothing ran
    SYSTEM = 7  #: Functory failed; nothing is known about the function
    CANCELLED = 8  #: the caller went away before the answer


class Fault(StrEnum):
    """Whose fault an outcome is."""

    NONE = "none"
    USER = "user"
    LIMIT = "limit"
    SYSTEM = "system"


FAULT: dict[Status, Fault] = {
    Status.OK: Fault.NONE,
    Status.FUNCTION_ERROR: Fault.USER,
    Status.INIT_ERROR: Fault.USER,
    Status.TIMEOUT: Fault.USER,
    Status.OUT_OF_MEMORY: Fault.USER,
    Status.EXITED: Fault.USER,
    Status.THROTTLED: Fault.LIMIT,
    Status.SYSTEM: Fault.SYSTEM,
    Status.CANCELLED: Fault.NONE,
}

MAY_RETRY: frozenset[Status] = frozenset({Status.THROTTLED, Status.SYSTEM})


class Body(Protocol):
    """A payload too large to hold: it lies in a file."""

    @property
    def size_bytes(self) -> int:
        """Its whole length."""

    def read_at(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset`, fewer only at the end."""

    def close(self) -> None:
        """Gives the file back; harmless twice."""


class Sink(Protocol):
    """Who takes the rest of a streamed reply, piece by piece, on the loop's thread.

    A sink is attached by `ReplyStream.start` and is then called `write` for every piece, at last `end` once.
    """

    def write(self, piece: bytes) -> None:
        """One more piece."""

    def end(self, complete: bool) -> None:
        """The reply is whole, or (`complete` false) it broke off: the instance died or the deadline passed."""


class ReplyStream(Protocol):
    """A reply whose bytes are still coming."""

    @property
    def size_bytes(self) -> int | None:
        """The whole length if it is known, else None."""

    def start(self, sink: Sink) -> None:
        """Let the bytes flow to `sink`."""

    def pause(self) -> None:
        """The client is slow: stop reading from the instance."""

    def resume(self) -> None:
        """The client caught up."""

    def cancel(self) -> None:
        """The client is gone: drop the rest."""

    def finished(self, callback: Callable[[], None]) -> None:
        """Call back once the reply is whole or broken off, and the outcome's usage is final."""


class TwoWay(ReplyStream, Protocol):
    """A stream that goes both ways: what an upgraded connection (WebSocket) carries, byte for byte."""

    @property
    def full(self) -> bool:
        """The instance has not taken what it got: send no more before `on_room` is called."""

    on_room: Callable[[], None] | None
    """Called once there is room again."""

    def send(self, data: bytes) -> None:
        """The client's next bytes."""

    def end_sending(self) -> None:
        """The client sends no more, and may still read."""


class Invocation(msgspec.Struct, kw_only=True):
    """One request to run a function, whatever it came from.

    `route` fills in `function`; nothing else is changed after it is made.
    """

    request_id: str
    account_id: str
    function_name: str
    qualifier: str = "LATEST"
    payload: bytes = b""
    body: Body | None = None
    """Set instead of `payload` where the payload was spilled to a file. `run` closes it."""
    kind: Kind = Kind.SYNC
    accepted_ns: int
    """When it entered, on the monotonic clock, in nanoseconds."""
    deadline_ns: int = 0
    """The latest end, on the monotonic clock; 0 = the function's own timeout from the start on an instance."""
    trace_parent: str = ""
    """W3C traceparent, or empty."""
    attempt: int = 1
    task_id: str = ""
    function: Function | None = None
    """The revision to run; bound by `route`."""
    sticky: bytes = b""
    """Calls of an alias with the same text here go to the same version (`x-fc-canary-key`); empty = by chance."""
    upgrade: bool = False
    """The client wants to go on in both directions (WebSocket), if the function does."""
    on_note: Callable[[bytes], None] | None = None
    """Told what the function says of how far it is, unchecked, as often as it says it."""


class Outcome(msgspec.Struct, kw_only=True):
    """What came back. Durations are in nanoseconds, measured by the node."""

    status: Status
    payload: bytes = b""
    """The answer, or the error JSON `{errorMessage, errorType, stackTrace}`."""
    stream: ReplyStream | None = None
    """Set where the answer is still flowing; `payload` is empty then, and the usage is final only at its end."""
    two_way: TwoWay | None = None
    """The same stream, where the function has taken up the client's wish to go on in both directions."""
    error_type: str = ""
    """`x-fc-error-type`: UnhandledInvocationError, FunctionTimeout, …; empty if it went well."""
    message: str = ""
    """For THROTTLED and SYSTEM: a sentence for the caller."""
    retry_after_ms: int = 0
    log: bytes = b""
    """Everything it printed, at most the node's limit."""
    instance_id: str = ""
    cold: ColdStart | None = None
    """Set if the invocation had to wait for an instance to be made."""
    reply_bytes: int = 0
    """Length of the answer; for a stream, known at its end."""
    received_bytes: int = 0
    """What the caller sent after its request, on a two-way stream."""
    queued_ns: int = 0
    """From acceptance to the start on an instance."""
    duration_ns: int = 0
    """From the start on an instance to the answer."""
    cpu_ns: int = 0
    """Processor time of the instance over the invocation; where it ran beside others, its share."""
    busy_ns: int = 0
    """Its share of the time in which the instance was busy: its duration, less where it ran beside others."""
    memory_peak_bytes: int = 0
    """The most memory that the instance held while it ran something; without a control group, in its life so far."""
    oom_kills: int = 0
    """How many processes of the function the kernel killed for want of memory while this ran."""
    mode: Mode = Mode.ON_DEMAND
    """Whose the instance was."""
    network_in_bytes: int = 0
    """What the function received through the node's relay since the call before."""
    network_out_bytes: int = 0
    """What it sent."""

    @property
    def billed_ms(self) -> int:
        """The official granularity: one millisecond, rounded up."""
        return -(-self.busy_ns // 1_000_000)


class Pending:
    """An outcome that is not there yet: call back with `then`, or await it.

    Callbacks run in the order they were added, on the loop's thread, at once if the outcome is there already.
    `record` and `admit` add theirs on the way out, so that the fact is written and the slot is free before the answer.
    """

    __slots__ = ("_callbacks", "outcome")

    def __init__(self) -> None:
        self.outcome: Outcome | None = None
        self._callbacks: list[Callable[[Outcome], None]] | None = None

    def then(self, callback: Callable[[Outcome], None]) -> None:
        """Call `callback` with the outcome."""
        if self.outcome is not None:
            callback(self.outcome)
        elif self._callbacks is None:
            self._callbacks = [callback]
        else:
            self._callbacks.append(callback)

    def resolve(self, outcome: Outcome) -> None:
        """The outcome is there. A second one is ignored: the first fact stands."""
        if self.outcome is not None:
            return
        self.outcome = outcome
        callbacks, self._callbacks = self._callbacks, None
        if callbacks is not None:
            for callback in callbacks:
                callback(outcome)

    def __await__(self) -> Generator[object, None, Outcome]:
        if self.outcome is None:
            future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
            self.then(lambda outcome: None if future.done() else future.set_result(outcome))
            return (yield from future)
        return self.outcome


def resolved(outcome: Outcome) -> Pending:
    """A `Pending` whose outcome is known from the start."""
    pending = Pending()
    pending.outcome = outcome
    return pending


Invoke: TypeAlias = Callable[[Invocation], Pending]
"""The one waist. Everything ends here: calls, tasks, events, streams, timers, flows."""
