"""Step 3: one fact per invocation, written once it is over.

Records are made on the way out and leave in batches: no call waits for the store. If the store cannot take them (a full
disk), the newest are kept up to a bound and tried again; what had to be dropped is counted and logged.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from functory.clock import Clock
from functory.model import errors
from functory.model.function import Function
from functory.model.invocation import Invocation, Invoke, Outcome, Pending, Status
from functory.model.record import LogLines, Record
from functory.model.usage import Mode
from functory.observe.logs import fields

log = logging.getLogger("functory.invoke")

Price = Callable[[Function, int, Mode], int]
"""`(function, billed ms, whose the instance was) -> cost in thousand-millionths of a US dollar`."""
_NOTHING_RAN = frozenset({Status.THROTTLED, Status.SYSTEM, Status.CANCELLED})


class Recorded(Protocol):
    """Where batches go: `store.requests`."""

    async def append(self, records: Sequence[Record], logs: Sequence[LogLines]) -> None:
        """Adds a batch."""


class RecordConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How batches leave."""

    flush_s: float = 0.1
    kept_max: int = 100_000
    """Records held while the store cannot take them."""
    batch_max: int = 5_000
    retry_s: float = 2.0
    """How long to wait after the store could not take a batch."""


class Recorder:
    """Holds facts until they are stored. A Service."""

    def __init__(self, requests: Recorded, *, clock: Clock, config: RecordConfig) -> None:
        self._requests = requests
        self._clock = clock
        self._config = config
        self._records: list[Record] = []
        self._logs: list[LogLines] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._stopping = False
        self._refused = False
        self.dropped = 0
        """Records lost because the store could not take them for too long."""
        self.wall_offset_ns = 0
        """Wall clock minus monotonic clock; refreshed with each batch, so that a record needs one clock only."""
        self._read_offset()

    async def start(self) -> None:
        self._task = asyncio.get_running_loop().create_task(self._run(), name="recorder")

    async def stop(self) -> None:
        """Writes what is left."""
        if self._task is None or self._stopping:
            return
        self._stopping = True
        self._wake.set()
        await self._task

    def add(self, record: Record, log_text: bytes) -> None:
        """One more fact."""
        records = self._records
        records.append(record)
        if log_text:
            self._logs.append(
                LogLines(record.request_id, record.function_name, record.started_at_ms, log_text, record.account_id)
            )
        if len(records) == 1:
            self._wake.set()

    def add_lines(self, lines: LogLines) -> None:
        """More of the log of a request whose record may be written already."""
        self._logs.append(lines)
        self._wake.set()

    async def _run(self) -> None:
        while not self._stopping:
            await self._wake.wait()
            self._wake.clear()
            if not self._stopping:
                await self._clock.sleep(self._config.retry_s if self._refused else self._config.flush_s)
            await self._flush()
        await self._flush()

    async def _flush(self) -> None:
        self._read_offset()
        while self._records or self._logs:
            records, self._records = self._records[: self._config.batch_max], self._records[self._config.batch_max :]
            logs, self._logs = self._logs, []
            try:
                await self._requests.append(records, logs)
            except errors.FunctoryError as failure:
                self._refused = True
                self._keep(records, logs, failure)
                return
            self._refused = False

    def _keep(self, records: list[Record], logs: list[LogLines], failure: errors.FunctoryError) -> None:
        self._records = records + self._records
        self._logs = (logs + self._logs)[-1000:]
        excess = len(self._records) - self._config.kept_max
        if excess > 0:
            del self._records[:excess]
            self.dropped += excess
        log.error(
            "Request records cannot be stored; they are kept in memory and tried again",
            extra=fields("store_records", waiting=len(self._records), dropped=self.dropped, reason=failure),
        )
        self._wake.set()

    def _read_offset(self) -> None:
        self.wall_offset_ns = int(self._clock.now_s() * 1e9) - self._clock.monotonic_ns()


def record(recorder: Recorder, price: Price, observe_run: Callable[[Function, int], None], then: Invoke) -> Invoke:
    """Adds the fact of each invocation once it is over; a streamed one at the end of its stream."""

    def step(invocation: Invocation) -> Pending:
        pending = then(invocation)

        def write(outcome: Outcome) -> None:
            if outcome.stream is None:
                _write(recorder, price, observe_run, invocation, outcome)
            else:
                outcome.stream.finished(lambda: _write(recorder, price, observe_run, invocation, outcome))

        pending.then(write)
        return pending

    return step


def _write(
    recorder: Recorder,
    price: Price,
    observe_run: Callable[[Function, int], None],
    invocation: Invocation,
    outcome: Outcome,
) -> None:
    function = invocation.function
    assert function is not None
    status = outcome.status
    duration_ns = outcome.duration_ns
    if status in _NOTHING_RAN:
        billed_ms = cost = 0
    else:
        billed_ms = outcome.billed_ms
        cost = price(function, billed_ms, outcome.mode)
        observe_run(function, duration_ns)
    body = invocation.body
    recorder.add(
        Record(
            invocation.request_id,
            invocation.account_id,
            function.name,
            invocation.qualifier,
            function.epoch,
            invocation.kind,
            (invocation.accepted_ns + recorder.wall_offset_ns) // 1_000_000,
            status,
            outcome.error_type,
            outcome.instance_id,
            outcome.queued_ns // 1000,
            duration_ns // 1000,
            billed_ms,
            function.memory_mb,
            outcome.memory_peak_bytes,
            outcome.cpu_ns // 1000,
            outcome.cold,
            cost,
            (len(invocation.payload) if body is None else body.size_bytes) + outcome.received_bytes,
            outcome.reply_bytes,
            invocation.trace_parent,
            outcome.mode,
            outcome.oom_kills,
            outcome.network_in_bytes,
            outcome.network_out_bytes,
        ),
        outcome.log,
    )
