"""What people see of tasks and do to them: get, list, count, stop, ask why, run again, look at the dead.

Every answer comes from the rows themselves; there is no second bookkeeping that could disagree.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from functory.model import errors
from functory.model.task import DEAD, ENDED, WAITING, Task, TaskState, label
from functory.queue import base
from functory.queue.base import Group, Lane, Moved, Place, Query, Queue, Ref, Row
from functory.queue.fair import Limits
from functory.tasks import edit, head
from functory.tasks.accept import Accepted
from functory.tasks.bodies import Bodies
from functory.tasks.edit import NO_EDIT, Edit
from functory.tasks.redrive import Redrive, Redriven
from functory.tasks.settle import Settle

MAX_PAGE = 100
MAX_PROGRESS_BYTES = 4_096
_TRIES = 5
_TOKEN = re.compile(r"[0-9a-f]{1,15}")


class Filter(msgspec.Struct, frozen=True, kw_only=True):
    """Which tasks to list: the official filters."""

    states: frozenset[TaskState] = frozenset()
    """Empty = all."""
    prefix: str = ""
    """Of the task id."""
    qualifier: str = ""
    started_from_ms: int = 0
    started_to_ms: int = 0
    """Bounds of the time of acceptance, inclusive; 0 = none. It never changes, so that pages are stable."""
    newest_first: bool = True
    limit: int = 20


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """A page of tasks."""

    tasks: Sequence[Task]
    next_token: str
    """Empty at the end."""


class Why(msgspec.Struct, frozen=True, kw_only=True):
    """Why a task waits, or that it does not."""

    state: TaskState
    reason: str
    """A stable word: Ended, Running, Delayed, Backoff, ConcurrencyLimit, RateLimit, InLine, Next."""
    sentence: str
    ahead: int = 0
    """Tasks before it in its function's line."""
    wait_ms: int = 0
    """Until it may be next, where that is known."""


class Summary(msgspec.Struct, frozen=True, kw_only=True):
    """How a function's tasks stand."""

    function_name: str
    counts: dict[str, int]
    """By official state; those with none are left out."""


class Running(Protocol):
    """Who runs tasks: `queue.pump.Pump`."""

    def stop_row(self, id_: int) -> bool:
        """The row is to be stopped, and the queue knows; False if it is not held here."""


class Tasks:
    """The tasks of this node."""

    def __init__(
        self,
        queue: Queue,
        bodies: Bodies,
        settle: Settle,
        redrive: Redrive,
        running: Running,
        *,
        limits_of: Callable[[str, str], Limits],
    ) -> None:
        self._queue = queue
        self._bodies = bodies
        self._settle = settle
        self.redrive = redrive
        self._running = running
        self._limits_of = limits_of

    # --- looking ------------------------------------------------------------------------------------------------------

    async def get(self, account_id: str, function_name: str, task_id: str) -> Task:
        """One task with its history; `TaskNotFound`."""
        return to_task(await self._row(account_id, function_name, task_id))

    async def told(self, account_id: str, function_name: str, task_id: str) -> TaskState | None:
        """How the delivery to its destination stands; None if nobody is told, or it is no longer kept."""
        row = await self._row(account_id, function_name, task_id)
        rules = head.decode(row.head)
        destination = rules.on_success if row.state is TaskState.SUCCEEDED else rules.on_failure
        if not destination or row.state not in ENDED:
            return None
        group = Group(Lane.DELIVERY, account_id, destination)
        last = delivery = await self._queue.get(group, str(row.id))
        while delivery is not None and delivery.state in DEAD:  # it may have been sent again
            last, delivery = delivery, await self._queue.get(group, edit.successor(delivery.key))
        return (delivery or last).state if last is not None else None

    async def payload(self, task: Task) -> bytes:
        """What it was given; `StorageCorrupt`."""
        return await self._bodies.load(task.payload)

    async def result(self, task: Task) -> bytes:
        """What it answered, the error JSON if it failed; empty if there is none or it was too long to keep."""
        return await self._bodies.load(task.result)

    async def list(self, account_id: str, function_name: str, which: Filter, *, token: str = "") -> Page:
        """A page in order of acceptance. Pages are stable: what is accepted meanwhile does not move them."""
        if not 1 <= which.limit <= MAX_PAGE:
            raise errors.InvalidArgument(f"limit {which.limit} is not between 1 and {MAX_PAGE}")
        query = _query(account_id, function_name, which, token)
        rows = await self._queue.list(msgspec.structs.replace(query, limit=which.limit + 1))
        shown = rows[: which.limit]
        return Page(
            tasks=[to_task(row) for row in shown],
            next_token=f"{shown[-1].id:x}" if len(rows) > which.limit else "",
        )

    async def summary(self, account_id: str, function_name: str = "") -> Sequence[Summary]:
        """Exact counts by state, per function that ever had a task."""
        groups = await self._queue.groups(Lane.TASK, account_id)
        summaries = []
        for group in groups:
            if function_name in ("", group.name):
                counts = await self._queue.counts(group)
                by_name = {label(state): counts[state] for state in sorted(counts)}
                summaries.append(Summary(function_name=group.name, counts=by_name))
        return summaries

    async def why(self, account_id: str, function_name: str, task_id: str) -> Why:
        """Why it waits; `TaskNotFound`."""
        place = await self._queue.place(Group(Lane.TASK, account_id, function_name), task_id)
        if place is None:
            raise errors.TaskNotFound(task_id)
        return explain(place, self._limits_of(account_id, function_name))

    # --- doing --------------------------------------------------------------------------------------------------------

    async def stop(self, account_id: str, function_name: str, task_id: str) -> Task:
        """Stops it: at once while it waits; a running one is asked to end, and ended after a grace.

        Harmless for one that is being stopped or was; `TaskEnded` for one that ended otherwise; `TaskNotFound`.
        """
        for _ in range(_TRIES):
            row = await self._row(account_id, function_name, task_id)
            if row.state in (TaskState.STOPPING, TaskState.STOPPED):
                break
            if row.state in ENDED:
                raise errors.TaskEnded(f"task '{task_id}' has ended already: it {_past(row.state)}")
            if row.state in WAITING:
                move = self._settle.stopped(row, detail="stopped while it waited")
            else:
                move = base.move(row, TaskState.STOPPING)
            (moved,) = await self._queue.settle([move])
            if moved is Moved.DONE:
                if move.to is TaskState.STOPPING:
                    self._running.stop_row(row.id)  # if it runs elsewhere, its owner hears it with the next heartbeat
                break
        else:
            raise errors.ConcurrentUpdate(f"task '{task_id}' changed {_TRIES} times while it was to be stopped")
        return await self.get(account_id, function_name, task_id)

    async def rerun(
        self, account_id: str, function_name: str, task_id: str, *, edit: Edit = NO_EDIT, new_id: str = ""
    ) -> Accepted:
        """Accepts an ended task again, as a new task, with the same payload or an edited one.

        The old one stays as it is: an end is never taken back. `TaskNotFound`; `ConcurrentUpdate` if it has not ended.
        """
        return await self.redrive.task(await self._row(account_id, function_name, task_id), edit=edit, new_id=new_id)

    async def rerun_many(
        self, account_id: str, function_name: str, which: Filter, *, token: str = "", edit: Edit = NO_EDIT
    ) -> Redriven:
        """Runs again the ended tasks that the filter finds, oldest first, one page of `which.limit` at most.

        Each has one successor: those that were run again before are left out, so a page may be asked for twice. What
        is accepted after the first page began, the new ones among it, is left alone by all pages.
        """
        which = msgspec.structs.replace(which, states=(which.states or DEAD) & ENDED, newest_first=False)
        until, _, after = token.partition(".")
        query = _query(account_id, function_name, which, after)
        until_id = _id_of(until) or await self._newest(query.group)
        done = await self.redrive.tasks(query, until_id=until_id, edit=edit)
        next_token = f"{until_id:x}.{done.next_token}" if done.next_token else ""
        return msgspec.structs.replace(done, next_token=next_token)

    async def _newest(self, group: Group) -> int:
        """The id of the row accepted last; 0 if there is none."""
        return next((row.id for row in await self._queue.list(Query(group=group, limit=1))), 0)

    async def progress(self, account_id: str, function_name: str, task_id: str, progress: str) -> None:
        """Keeps what a running task says of how far it is; `TaskEnded` if it is not running."""
        if len(progress.encode()) > MAX_PROGRESS_BYTES:
            raise errors.EntityTooLarge(f"progress has more than {MAX_PROGRESS_BYTES} bytes")
        row = await self._row(account_id, function_name, task_id)
        if not await self._queue.note(Ref(row.id, row.epoch), progress):
            raise errors.TaskEnded(f"task '{task_id}' is not running")

    async def _row(self, account_id: str, function_name: str, task_id: str) -> Row:
        row = await self._queue.get(Group(Lane.TASK, account_id, function_name), task_id)
        if row is None:
            raise errors.TaskNotFound(task_id[:80])
        return row


def explain(place: Place, limits: Limits) -> Why:
    """The answer to "why is it waiting": pure."""
    row = place.row
    if row.state in ENDED:
        return Why(state=row.state, reason="Ended", sentence=f"it {_past(row.state)}")
    if row.state not in WAITING:
        return Why(state=row.state, reason="Running", sentence="it runs now")
    if row.rank is None:
        wait_ms = max(0, row.due_ms - place.now_ms)
        seconds = f"{wait_ms / 1000:g} s"
        if row.state is TaskState.ENQUEUED:
            return Why(state=row.state, reason="Delayed", sentence=f"it was delayed by {seconds} more", wait_ms=wait_ms)
        sentence = f"its last attempt did not succeed ({row.error_type}); the next one is in {seconds}"
        return Why(state=row.state, reason="Backoff", sentence=sentence, wait_ms=wait_ms)
    if place.slots >= limits.concurrency:
        sentence = f"its function runs {place.slots} tasks, as many as it may; {place.ahead} stand before it"
        return Why(state=row.state, reason="ConcurrencyLimit", sentence=sentence, ahead=place.ahead)
    if limits.rate_per_s:
        sentence = f"its function may start {limits.rate_per_s:g} tasks a second; {place.ahead} stand before it"
        return Why(state=row.state, reason="RateLimit", sentence=sentence, ahead=place.ahead)
    if place.ahead:
        sentence = f"{place.ahead} tasks of its function stand before it"
        return Why(state=row.state, reason="InLine", sentence=sentence, ahead=place.ahead)
    return Why(state=row.state, reason="Next", sentence="it is next, and starts as soon as the node has a free place")


def to_task(row: Row) -> Task:
    """A row as lists show it."""
    rules = head.decode(row.head)
    return Task(
        account_id=row.group.account_id,
        function_name=row.group.name,
        qualifier=row.qualifier,
        task_id=row.key,
        request_id=row.request_id,
        state=row.state,
        priority=row.priority,
        accepted_at_ms=row.created_ms,
        due_at_ms=row.due_ms,
        expires_at_ms=row.expires_ms,
        started_at_ms=row.started_ms,
        ended_at_ms=row.ended_ms,
        attempts=row.attempts,
        deferrals=row.deferrals,
        crashes=row.crashes,
        error_type=row.error_type,
        error=row.error,
        instance_id=row.instance_id,
        progress=row.progress,
        events=row.events,
        payload=row.payload,
        result=row.result,
        max_retries=rules.max_retries,
        on_success=rules.on_success,
        on_failure=rules.on_failure,
    )


def _query(account_id: str, function_name: str, which: Filter, token: str) -> Query:
    return Query(
        group=Group(Lane.TASK, account_id, function_name),
        states=which.states,
        key_prefix=which.prefix,
        qualifier=which.qualifier,
        created_from_ms=which.started_from_ms,
        created_to_ms=which.started_to_ms,
        newest_first=which.newest_first,
        after_id=_id_of(token),
        limit=which.limit,
    )


def _past(state: TaskState) -> str:
    return "was stopped" if state is TaskState.STOPPED else state.name.lower()


def _id_of(token: str) -> int:
    if not token:
        return 0
    if not _TOKEN.fullmatch(token):
        raise errors.InvalidArgument(f"nextToken {token[:40]!r} is not one of ours")
    return int(token, 16)
