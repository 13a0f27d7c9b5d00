"""The handler of the task lane: a leased row becomes an invocation, its outcome a move.

    run → payload (row or blob) → Invoke → outcome → result (row or blob) → settle

Only payloads and results that lie in the blob store cost a task of the loop; all others go by callbacks.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Protocol

import msgspec

from functory.clock import Clock
from functory.model import errors
from functory.model.invocation import Invocation, Invoke, Kind, Outcome, ReplyStream, Status
from functory.model.task import EMPTY, FAILURE, Content, Failure, TaskState
from functory.observe.logs import fields
from functory.queue.base import Group, Leased, Move, Row
from functory.queue.fair import Limits
from functory.queue.handler import Overdue
from functory.tasks import head
from functory.tasks.bodies import Bodies
from functory.tasks.settle import Settle

log = logging.getLogger("functory.tasks")

RESULT_BYTES = 1_048_576
"""What is kept of a result; of a longer one only its length (the official limit)."""
THROTTLE_PAUSE_S = 0.1


class Finish(Protocol):
    """Where a dispatcher's results go: `queue.pump.Pump`."""

    def finish(self, leased: Leased, move: Move) -> None:
        """What became of a row."""

    def throttled(self, group: Group, pause_s: float) -> None:
        """The platform refused a row of the group."""

    def succeeded(self, group: Group) -> None:
        """A row of the group ran."""


class DispatchConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How tasks are run."""

    stop_grace_s: float = 10.0
    """How long a running task may take to end once it is asked to; then it counts as stopped whatever it does."""


Cancel = Callable[[str, float], None]
"""`(request id, grace s)`: asks a running invocation to end, and kills it after the grace. May do nothing if it is
over."""


class Dispatch:
    """`queue.handler.Handler` for tasks. `pump` is set before the first `run`."""

    pump: Finish

    def __init__(
        self,
        *,
        invoke: Invoke,
        bodies: Bodies,
        settle: Settle,
        clock: Clock,
        limits_of: Callable[[str, str], Limits],
        cancel: Cancel,
        config: DispatchConfig,
        said: Callable[[Leased, bytes], None] | None = None,
    ) -> None:
        self._invoke = invoke
        self._bodies = bodies
        self._settle = settle
        self._clock = clock
        self._limits_of = limits_of
        self._cancel = cancel
        self._said = said
        self._config = config
        self._stopping: set[int] = set()
        self._jobs: dict[asyncio.Task[None], None] = {}
        self.started_ms = 0
        """For statistics: how long the last row waited from being due to its start, in milliseconds."""

    def limits(self, group: Group) -> Limits:
        """What a function may hold now."""
        return self._limits_of(group.account_id, group.name)

    def run(self, leased: Leased) -> None:
        """Begin."""
        if leased.payload.ref:
            self._spawn(self._fetch(leased))
        else:
            self._begin(leased, leased.payload.data)

    def overdue(self, row: Row, why: Overdue) -> Move:
        """What becomes of a row that the sweep found."""
        return self._settle.overdue(row, why)

    def stop(self, leased: Leased) -> None:
        """Ask it to end; after the grace it counts as stopped whatever it does."""
        self._stopping.add(leased.id)
        self._cancel(leased.request_id, self._config.stop_grace_s)

        def give_up() -> None:
            if leased.id in self._stopping:
                self._finish(leased, self.stopped(leased))

        self._clock.call_later(self._config.stop_grace_s + 1, give_up)

    def stopped(self, leased: Leased) -> Move:
        """The end of a row that was asked to stop."""
        return self._settle.stopped(leased)

    def abandon(self, leased: Leased) -> None:
        """End what runs for nothing."""
        self._stopping.discard(leased.id)
        self._cancel(leased.request_id, 0)

    def dropped(self, refs: Sequence[str]) -> None:
        """Blobs of rows that are gone."""
        self._spawn(self._drop(refs))

    async def close(self) -> None:
        """End what still moves bytes; their rows were handed back."""
        jobs = list(self._jobs)
        for job in jobs:
            job.cancel()
        await asyncio.gather(*jobs, return_exceptions=True)

    # --- one attempt --------------------------------------------------------------------------------------------------

    async def _fetch(self, leased: Leased) -> None:
        try:
            payload = await self._bodies.load(leased.payload)
        except errors.StorageCorrupt as failure:
            self._fail(leased, Failure.GONE, "PayloadLost", str(failure))
        except errors.FunctoryError as failure:
            self._fail(leased, Failure.SYSTEM, failure.code, str(failure))
        else:
            self._begin(leased, payload)

    def _begin(self, leased: Leased, payload: bytes) -> None:
        invocation = Invocation(
            request_id=leased.request_id,
            account_id=leased.group.account_id,
            function_name=leased.group.name,
            qualifier=leased.qualifier,
            payload=payload,
            kind=Kind.ASYNC,
            accepted_ns=self._clock.monotonic_ns(),
            trace_parent=head.decode(leased.head).trace_parent,
            attempt=leased.attempts + 1,
            task_id=leased.key,
            on_note=None if self._said is None else partial(self._said, leased),
        )
        try:
            pending = self._invoke(invocation)
        except errors.NotFound as missing:
            # Deleted with tasks waiting: they fail, visibly, and their destinations are told.
            self._fail(leased, Failure.GONE, missing.code, str(missing))
        except errors.FunctoryError as failure:
            self._fail(leased, Failure.SYSTEM, failure.code, str(failure))
        else:
            pending.then(partial(self._came, leased))

    def _came(self, leased: Leased, outcome: Outcome) -> None:
        if outcome.stream is not None:
            _Collector(outcome.stream, partial(self._collected, leased, outcome))
        else:
            self._ended(leased, outcome, outcome.payload)

    def _collected(self, leased: Leased, outcome: Outcome, data: bytes, size_bytes: int, complete: bool) -> None:
        if not complete:
            outcome = Outcome(
                status=Status.EXITED,
                error_type="UnhandledInvocationError",
                message=f"the answer broke off after {size_bytes} bytes",
                instance_id=outcome.instance_id,
            )
            data = b""
        if size_bytes > RESULT_BYTES:
            self._conclude(leased, outcome, Content(size_bytes=size_bytes))
        else:
            self._ended(leased, outcome, data)

    def _ended(self, leased: Leased, outcome: Outcome, data: bytes) -> None:
        if not data:
            self._conclude(leased, outcome, EMPTY)
        elif self._bodies.fits(len(data)):
            self._conclude(leased, outcome, Content(data=data, size_bytes=len(data)))
        elif len(data) > RESULT_BYTES:
            self._conclude(leased, outcome, Content(size_bytes=len(data)))
        else:
            self._spawn(self._keep(leased, outcome, data))

    async def _keep(self, leased: Leased, outcome: Outcome, data: bytes) -> None:
        """Durable before the row that names it. Named by attempt: a lost lease cannot overwrite what stands."""
        try:
            result = await self._bodies.store(f"{leased.request_id}-{leased.epoch}-out", data)
        except errors.FunctoryError as failure:
            self._fail(leased, Failure.SYSTEM, failure.code, f"the result cannot be stored: {failure}")
        else:
            self._conclude(leased, outcome, result)

    def _conclude(self, leased: Leased, outcome: Outcome, result: Content) -> None:
        if outcome.status is Status.OK:
            self.pump.succeeded(leased.group)
        elif FAILURE[outcome.status] is Failure.THROTTLED:
            self.pump.throttled(leased.group, max(THROTTLE_PAUSE_S, min(outcome.retry_after_ms / 1000, 1)))
        if leased.id in self._stopping:
            self._finish(leased, self._settle.stopped(leased))
        else:
            self._finish(leased, self._settle.outcome(leased, outcome, result))

    def _fail(self, leased: Leased, failure: Failure, error_type: str, error: str) -> None:
        if leased.id in self._stopping:
            self._finish(leased, self._settle.stopped(leased))
        else:
            self._finish(leased, self._settle.failure(leased, failure, error_type=error_type, error=error))

    def _finish(self, leased: Leased, move: Move) -> None:
        if move.to is TaskState.STOPPED:
            self._stopping.discard(leased.id)
        self.pump.finish(leased, move)

    async def _drop(self, refs: Sequence[str]) -> None:
        for ref in refs:
            try:
                await self._bodies.drop(ref)
            except errors.FunctoryError as failure:
                log.warning("A payload cannot be deleted", extra=fields("drop_payload", ref=ref, reason=failure))

    def _spawn(self, job: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(job)
        self._jobs[task] = None
        task.add_done_callback(lambda ended: self._jobs.pop(ended, None))


class _Collector:
    """Gathers a streamed answer, at most as much as is kept; the rest is only counted."""

    def __init__(self, stream: ReplyStream, done: Callable[[bytes, int, bool], None]) -> None:
        self._pieces: list[bytes] = []
        self._size = 0
        self._stream = stream
        self._done = done
        stream.start(self)

    def write(self, piece: bytes) -> None:
        """One more piece."""
        self._size += len(piece)
        if self._size <= RESULT_BYTES:
            self._pieces.append(piece)
        else:
            self._pieces.clear()

    def end(self, complete: bool) -> None:
        """All of it, or it broke off. `finished` comes last: then what it cost is known too."""
        data = b"".join(self._pieces)
        self._stream.finished(lambda: self._done(data, self._size, complete))
