"""Timer triggers: fires each due time once.

    set (at start, and when a trigger changes) → heap of due times → wait → submit, claim

A run is a durable task, and each due time has a task id of its own. The task is stored first and the due time claimed
after, by a compare-and-set in the store: a crash in between stores the task again under the same id, which is refused.
So a due time is run once whatever restarts in between, and by one of several nodes.

What was missed while the node was down is fired once, for its latest due time, if that is at most `MISSED_MS` ago;
older ones are passed over.
"""

from __future__ import annotations

import asyncio
import heapq
import logging
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Protocol

import msgspec

from functory.clock import Clock
from functory.model import errors
from functory.model import trigger as triggers
from functory.model.trigger import Trigger, TriggerKind
from functory.observe.logs import fields
from functory.sources import cron

log = logging.getLogger("functory.sources")

MISSED_MS = 3_600_000
"""A due time missed for longer than this is passed over."""
LONGEST_WAIT_S = 60.0
"""How long it sleeps at most: a wall clock that is set is noticed after this time."""

Submit = Callable[[Trigger, bytes, str], Awaitable[None]]
"""Has a trigger's function run: trigger, payload, and an id that is the same for the same due time. Returns once that
is durable; a second time with the same id is harmless."""


class Claims(Protocol):
    """Who says that a due time is ours: `store.triggers`."""

    async def claim(self, trigger: Trigger, due_ms: int) -> bool:
        """Remembers that it is fired; true once for each due time."""


class _Timer:
    """One timer that is set."""

    def __init__(self, trigger: Trigger, schedule: cron.Schedule, payload: str, fired_ms: int) -> None:
        self.trigger = trigger
        self.schedule = schedule
        self.payload = payload
        self.fired_ms = fired_ms


class Timers:
    """Keeps all timers and fires them. A Service."""

    def __init__(self, *, claims: Claims, submit: Submit, clock: Clock, stop_grace_s: float = 5.0) -> None:
        self._claims = claims
        self._submit = submit
        self._clock = clock
        self._grace_s = stop_grace_s
        self._timers: dict[str, _Timer] = {}
        self._heap: list[tuple[int, str, int]] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._firing: set[asyncio.Task[None]] = set()
        self.fired = 0
        """Due times fired since the start."""

    async def start(self) -> None:
        """Begin to fire what was set."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="timers")

    async def stop(self) -> None:
        """Fire nothing new; what is being run has a moment."""
        task, self._task = self._task, None
        if task is None:
            return
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        if self._firing:
            await asyncio.wait(self._firing, timeout=self._grace_s)
        for firing in list(self._firing):
            firing.cancel()
        await asyncio.gather(*self._firing, return_exceptions=True)

    def load(self, stored: Iterable[tuple[Trigger, int]]) -> None:
        """What a starting node finds: triggers, each with its last fired due time."""
        for trigger, fired_ms in stored:
            self.put(trigger, fired_ms)

    def put(self, trigger: Trigger, fired_ms: int | None = None) -> None:
        """This revision counts from now on, unless a newer one is known. Triggers of other kinds are passed over."""
        if trigger.kind is not TriggerKind.TIMER:
            return
        known = self._timers.get(trigger.trigger_id)
        if known is not None and known.trigger.epoch >= trigger.epoch:
            return
        config = triggers.timer_config(trigger.config)
        if config.enable is False:
            self._timers.pop(trigger.trigger_id, None)
            return
        schedule = cron.parse(config.cron_expression, trigger.modified_at_ms)
        since = trigger.modified_at_ms if fired_ms is None else max(fired_ms, trigger.modified_at_ms)
        timer = self._timers[trigger.trigger_id] = _Timer(trigger, schedule, config.payload or "", since)
        self._set(timer)

    def drop(self, trigger: Trigger) -> None:
        """It is deleted."""
        self._timers.pop(trigger.trigger_id, None)

    def drop_function(self, account_id: str, function_name: str) -> None:
        """The function is deleted, and its triggers with it."""
        for timer in list(self._timers.values()):
            if (timer.trigger.account_id, timer.trigger.function_name) == (account_id, function_name):
                self.drop(timer.trigger)

    def _set(self, timer: _Timer) -> None:
        due_ms = timer.schedule.after(timer.fired_ms)
        if due_ms is not None:
            heapq.heappush(self._heap, (due_ms, timer.trigger.trigger_id, timer.trigger.epoch))
            self._wake.set()

    async def _run(self) -> None:
        while True:
            now_ms = self._clock.now_ms()
            while self._heap and self._heap[0][0] <= now_ms:
                due_ms, trigger_id, epoch = heapq.heappop(self._heap)
                timer = self._timers.get(trigger_id)
                if timer is not None and timer.trigger.epoch == epoch and timer.fired_ms < due_ms:
                    self._due(timer, now_ms)
            await self._pause(now_ms)

    async def _pause(self, now_ms: int) -> None:
        self._wake.clear()
        delay_s = min((self._heap[0][0] - now_ms) / 1000, LONGEST_WAIT_S) if self._heap else LONGEST_WAIT_S
        alarm = self._clock.call_later(delay_s, self._wake.set)
        try:
            await self._wake.wait()
        finally:
            alarm.cancel()

    def _due(self, timer: _Timer, now_ms: int) -> None:
        """Fires the latest due time and sets the next; what lies before the latest is passed over."""
        latest = cron.last_due(timer.schedule, max(timer.fired_ms, now_ms - MISSED_MS), now_ms)
        timer.fired_ms = now_ms if latest is None else latest
        self._set(timer)
        if latest is None:
            log.warning(
                "A timer was due while the node was down for too long; this time is passed over",
                extra=fields("timer_missed", function=timer.trigger.function_name, trigger=timer.trigger.name),
            )
            return
        task = asyncio.get_running_loop().create_task(self._fire(timer, latest), name="timer fire")
        self._firing.add(task)
        task.add_done_callback(self._firing.discard)

    async def _fire(self, timer: _Timer, due_ms: int) -> None:
        trigger = timer.trigger
        try:
            await self._submit(trigger, event(trigger, due_ms, timer.payload), f"timer-{trigger.trigger_id}-{due_ms}")
            if await self._claims.claim(trigger, due_ms):
                self.fired += 1
        except errors.FunctoryError as failure:
            log.warning(
                "A timer could not run its function",
                extra=fields(
                    "timer_failed", function=trigger.function_name, trigger=trigger.name, due_ms=due_ms, reason=failure
                ),
            )


def event(trigger: Trigger, due_ms: int, payload: str) -> bytes:
    """What the function is given: `{triggerTime, triggerName, payload}`."""
    time = datetime.fromtimestamp(due_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    return msgspec.json.encode({"triggerTime": time, "triggerName": trigger.name, "payload": payload})
