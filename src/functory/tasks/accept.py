"""Accepting a task: what makes a 202 true.

1  refuse what can be refused: unknown function, bad id, delay or priority, payload too long
2  a payload over 32 KB goes to the blob store, durable before the row
3  the row is put; all of one round of the loop go in one commit
4  only then the caller is answered; a task that finds a free place starts at once, leased by the same commit
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from functory.model import errors, ids
from functory.model.task import (
    DEFAULT_PRIORITY,
    LOWEST_PRIORITY,
    MAX_DELAY_S,
    MAX_TASK_ID,
    AsyncConfig,
    Content,
    inline,
)
from functory.queue import base
from functory.queue.base import Group, Item, Lane, Leased, Queue, Stored
from functory.tasks import head
from functory.tasks.bodies import Bodies

_TASK_ID = re.compile(rf"[A-Za-z_][A-Za-z0-9._-]{{0,{MAX_TASK_ID - 1}}}")
MAX_BATCH = 256
MAX_BATCH_BYTES = 2 << 20


class Submission(msgspec.Struct, frozen=True, kw_only=True):
    """An asynchronous invocation that somebody asks for."""

    account_id: str
    function_name: str
    qualifier: str = ids.LATEST
    payload: bytes = b""
    task_id: str = ""
    """Empty = the request id."""
    request_id: str = ""
    """Empty = a new one."""
    delay_s: float = 0
    priority: int = DEFAULT_PRIORITY
    """0 first, 9 last (ours)."""
    trace_parent: str = ""
    rerun_of: str = ""
    hops: int = 0
    """How many destinations led here."""
    by_platform: bool = False
    """The platform's own, as deliveries are: its payload may be as long as results make it."""


class Accepted(NamedTuple):
    """What a 202 says."""

    task_id: str
    request_id: str
    id: int
    """The row."""


class AcceptConfig(msgspec.Struct, frozen=True, kw_only=True):
    """What is accepted."""

    payload_max_bytes: int = 131_072
    """The official limit of asynchronous payloads."""
    delay_max_s: float = MAX_DELAY_S


PLATFORM_MAX_BYTES = 8 << 20


class Places(Protocol):
    """Free places for tasks that need not wait: `queue.pump.Pump`."""

    @property
    def owner(self) -> str:
        """Who holds the leases."""

    @property
    def lease_ms(self) -> int:
        """How long they last."""

    def reserve(self, group: Group) -> bool:
        """Whether a new row may be put under a lease."""

    def began(self, leased: Leased) -> None:
        """It is stored."""

    def cancel(self, group: Group) -> None:
        """It is not stored."""


class _Waiting(NamedTuple):
    item: Item
    future: asyncio.Future[Accepted]


class Accept:
    """Takes submissions. `check_function` raises what a call of the function would raise: `FunctionNotFound`, …"""

    def __init__(
        self,
        queue: Queue,
        bodies: Bodies,
        places: Places,
        *,
        check_function: Callable[[str, str, str], object],
        config_of: Callable[[str, str, str], AsyncConfig],
        new_request_id: Callable[[], str],
        config: AcceptConfig,
    ) -> None:
        self._queue = queue
        self._bodies = bodies
        self._places = places
        self._check_function = check_function
        self._config_of = config_of
        self._new_request_id = new_request_id
        self._config = config
        self._waiting: list[_Waiting] = []
        self._jobs: set[asyncio.Task[None]] = set()

    def submit(self, submission: Submission) -> asyncio.Future[Accepted]:
        """Refuses at once by raising; else the future is done once the task is durable.

        It fails with `TaskAlreadyExists`, or with what the store says (`StorageFull`): then nothing was accepted.
        Cancelling it does not take the task back.
        """
        task_id, request_id = self._check(submission)
        future: asyncio.Future[Accepted] = asyncio.get_running_loop().create_future()
        if self._bodies.fits(len(submission.payload)):
            self._enter(submission, task_id, request_id, inline(submission.payload), future)
        else:
            job = asyncio.get_running_loop().create_task(self._spill(submission, task_id, request_id, future))
            self._jobs.add(job)
            job.add_done_callback(self._jobs.discard)
        return future

    def _check(self, submission: Submission) -> tuple[str, str]:
        self._check_function(submission.account_id, submission.function_name, submission.qualifier)
        limit = PLATFORM_MAX_BYTES if submission.by_platform else self._config.payload_max_bytes
        if len(submission.payload) > limit:
            raise errors.EntityTooLarge(
                f"the payload of an asynchronous invocation has {len(submission.payload)} bytes: "
                f"at most {limit} are allowed",
                hint="store it elsewhere and pass where",
            )
        if not 0 <= submission.delay_s <= self._config.delay_max_s:  # also refuses NaN
            raise errors.InvalidArgument(
                f"x-fc-async-delay {submission.delay_s:g} is not between 0 and {self._config.delay_max_s:g} seconds"
            )
        if not 0 <= submission.priority <= LOWEST_PRIORITY:
            raise errors.InvalidArgument(f"priority {submission.priority} is not between 0 and {LOWEST_PRIORITY}")
        if submission.task_id and not _TASK_ID.fullmatch(submission.task_id):
            raise errors.InvalidArgument(
                f"task id {submission.task_id[:80]!r} is not valid: 1-{MAX_TASK_ID} letters, digits, '_', '-' or '.', "
                "starting with a letter or '_'"
            )
        request_id = submission.request_id or self._new_request_id()
        return submission.task_id or request_id, request_id

    async def _spill(
        self, submission: Submission, task_id: str, request_id: str, future: asyncio.Future[Accepted]
    ) -> None:
        try:
            payload = await self._bodies.store(f"{request_id}-in", submission.payload)
            self._enter(submission, task_id, request_id, payload, future)
        except Exception as failure:
            if not future.done():
                future.set_exception(failure)

    def _enter(
        self, submission: Submission, task_id: str, request_id: str, payload: Content, future: asyncio.Future[Accepted]
    ) -> None:
        account, name = submission.account_id, submission.function_name
        config = self._config_of(account, name, submission.qualifier)
        group = Group(Lane.TASK, account, name)
        delay_ms = round(submission.delay_s * 1000)
        at_once = not delay_ms and self._places.reserve(group)
        item = Item(
            group=group,
            key=task_id,
            max_age_ms=config.max_age_s * 1000,
            delay_ms=delay_ms,
            priority=submission.priority,
            request_id=request_id,
            qualifier=submission.qualifier,
            head=head.encode(
                config, trace_parent=submission.trace_parent, rerun_of=submission.rerun_of, hops=submission.hops
            ),
            payload=payload,
            owner=self._places.owner if at_once else "",
            lease_ms=self._places.lease_ms if at_once else 0,
        )
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._flush)
        self._waiting.append(_Waiting(item, future))

    def _flush(self) -> None:
        waiting, self._waiting = self._waiting, []
        batch: list[_Waiting] = []
        size = 0
        for each in waiting:
            batch.append(each)
            size += len(each.item.payload.data)
            if len(batch) == MAX_BATCH or size >= MAX_BATCH_BYTES:
                self._put(batch)
                batch, size = [], 0
        if batch:
            self._put(batch)

    def _put(self, batch: Sequence[_Waiting]) -> None:
        try:
            stored = self._queue.put([each.item for each in batch])
        except Exception as failure:  # refused before it reached the store
            self._refused(batch, failure)
            return
        stored.add_done_callback(lambda done: self._stored(batch, done))

    def _stored(self, batch: Sequence[_Waiting], done: asyncio.Future[Sequence[Stored | None]]) -> None:
        failure = errors.Unavailable("the node stops") if done.cancelled() else done.exception()
        if failure is not None:
            self._refused(batch, failure)
            return
        for (item, future), stored in zip(batch, done.result(), strict=True):
            if stored is None:
                self._refuse(item, future, errors.TaskAlreadyExists(item.key))
                continue
            if item.owner:
                self._places.began(base.lease_of(item, stored))
            if not future.done():
                future.set_result(Accepted(item.key, item.request_id, stored.id))

    def _refused(self, batch: Sequence[_Waiting], failure: BaseException) -> None:
        for item, future in batch:
            self._refuse(item, future, failure)

    def _refuse(self, item: Item, future: asyncio.Future[Accepted], failure: BaseException) -> None:
        if item.owner:
            self._places.cancel(item.group)
        if not future.done():
            future.set_exception(failure)
