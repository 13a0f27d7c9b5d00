"""The task: an asynchronous invocation that is a row before its caller hears 202, and its life cycle."""

from __future__ import annotations

from enum import IntEnum, StrEnum

import msgspec

from functory.model.invocation import Status


class TaskState(IntEnum):
    """Where a task stands; the official names are `label(state)`. Deliveries to destinations live by the same states.

                  ┌────── handed back ──────┐
                  ▼                         │
    (new) ──→ Enqueued ──── lease ──→ Running ──→ Succeeded · Failed · Expired      ended: never changed again
                  │                  ▲  │   │
                  │            lease │  │   └──→ Stopping ──→ Stopped
                  │                  │  ▼
                  │               Retrying
                  └──────────┬──────────┘
                             └──→ Expired · Stopped
    """

    ENQUEUED = 0  #: waits for its first attempt, or was handed back before one
    RETRYING = 1  #: waits for another attempt
    RUNNING = 2  #: somebody holds its lease
    STOPPING = 3  #: somebody holds its lease and is to end it
    SUCCEEDED = 10  #: the function answered
    FAILED = 11  #: no attempt is left, or another one is of no use
    EXPIRED = 12  #: it grew older than it may
    STOPPED = 13  #: ended on a caller's wish


WAITING = frozenset({TaskState.ENQUEUED, TaskState.RETRYING})
HELD = frozenset({TaskState.RUNNING, TaskState.STOPPING})
ENDED = frozenset({TaskState.SUCCEEDED, TaskState.FAILED, TaskState.EXPIRED, TaskState.STOPPED})
DEAD = frozenset({TaskState.FAILED, TaskState.EXPIRED})
"""Ended without success and without a caller's wish: what a dead letter list shows."""

_LEFT_BY_RUNNING = ENDED - {TaskState.STOPPED} | WAITING | {TaskState.STOPPING}
_LEFT_BY_WAITING = frozenset({TaskState.RUNNING, TaskState.EXPIRED, TaskState.STOPPED})

MOVES: dict[TaskState, frozenset[TaskState]] = {
    TaskState.ENQUEUED: _LEFT_BY_WAITING,
    TaskState.RETRYING: _LEFT_BY_WAITING,
    TaskState.RUNNING: _LEFT_BY_RUNNING,
    TaskState.STOPPING: frozenset({TaskState.STOPPED}),
    **dict.fromkeys(ENDED, frozenset()),
}
SOURCES: dict[TaskState, frozenset[TaskState]] = {
    to: frozenset(state for state, moves in MOVES.items() if to in moves) for to in TaskState
}
"""From which states each state is entered: what every compare-and-set demands."""

_LABELS = {state: state.name.capitalize() for state in TaskState}
_STATES = {name: state for state, name in _LABELS.items()}
NEVER_SEEN = frozenset({"Dequeued", "Processed", "Invalid"})
"""Official names of states that tasks here never rest in: lists of them are empty."""


def label(state: TaskState) -> str:
    """The official name: `Enqueued`, `Running`, …"""
    return _LABELS[state]


def by_label(name: str) -> TaskState | None:
    """The state of an official name; None if there is none."""
    return _STATES.get(name)


class Failure(StrEnum):
    """Why an attempt did not succeed: this alone decides what comes next."""

    USER = "user"  #: the function failed; uses up an attempt
    THROTTLED = "throttled"  #: a limit refused it; only its age bounds how often it is tried again
    SYSTEM = "system"  #: Functory failed; likewise
    GONE = "gone"  #: there is no such function, or its payload cannot be read: another attempt is of no use
    LOST = "lost"  #: the node died with it; counted apart, as the task itself may be the killer


FAILURE: dict[Status, Failure] = {
    Status.FUNCTION_ERROR: Failure.USER,
    Status.INIT_ERROR: Failure.USER,
    Status.TIMEOUT: Failure.USER,
    Status.OUT_OF_MEMORY: Failure.USER,
    Status.EXITED: Failure.USER,
    Status.THROTTLED: Failure.THROTTLED,
    Status.SYSTEM: Failure.SYSTEM,
    Status.CANCELLED: Failure.SYSTEM,
}

DEFAULT_RETRIES = 3
MAX_RETRIES = 8
DEFAULT_AGE_S = 86_400
MAX_AGE_S = 604_800
MAX_DELAY_S = 3_600
MAX_TASK_ID = 128
LOWEST_PRIORITY = 9
DEFAULT_PRIORITY = 5


class AsyncConfig(msgspec.Struct, frozen=True, kw_only=True):
    """How asynchronous invocations of one function and qualifier are treated (`PutAsyncInvokeConfig`)."""

    account_id: str = ""
    function_name: str = ""
    qualifier: str = "LATEST"
    max_retries: int = DEFAULT_RETRIES
    """`maxAsyncRetryAttempts`: attempts after the first one that a failing function gets (0-8)."""
    max_age_s: int = DEFAULT_AGE_S
    """`maxAsyncEventAgeInSeconds`: nothing is tried once a task is so old (1-604,800)."""
    task_mode: bool = False
    """`asyncTask`. Every task can be listed and stopped here; the flag is kept for clients that set it."""
    on_success: str = ""
    """ARN or URL that is told of a success; empty = nobody."""
    on_failure: str = ""
    """ARN or URL that is told of a failure, an expiry or a stop; empty = nobody."""
    created_at_ms: int = 0
    modified_at_ms: int = 0


class TaskEvent(msgspec.Struct, frozen=True, array_like=True):
    """One line of a task's history. `array_like`: stored as a list, so fields are only ever appended."""

    state: TaskState
    at_ms: int
    detail: str = ""


class Content(msgspec.Struct, frozen=True, kw_only=True):
    """A payload or a result: in the row, or in the blob store."""

    data: bytes = b""
    ref: str = ""
    """Where it lies if it is not in the row: `{blob key}#{CRC-32}`; empty if `data` is all of it."""
    size_bytes: int = 0
    """Its whole length. Larger than what is kept where a result was too long to keep."""


EMPTY = Content()


def inline(data: bytes) -> Content:
    """A content that lies in the row."""
    return Content(data=data, size_bytes=len(data)) if data else EMPTY


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """A task as lists show it."""

    account_id: str
    function_name: str
    qualifier: str
    task_id: str
    request_id: str
    state: TaskState
    priority: int
    accepted_at_ms: int
    due_at_ms: int
    """The earliest start of the next attempt, or of the last one."""
    expires_at_ms: int
    started_at_ms: int
    """The first start; 0 = not yet."""
    ended_at_ms: int
    """0 = not yet."""
    attempts: int
    """Attempts that ran to an end of the function's own making."""
    deferrals: int
    """Attempts that a limit or a fault of the platform prevented."""
    crashes: int
    """How often a node died with it."""
    error_type: str
    error: str
    instance_id: str
    progress: str
    """What the function last said about how far it is, as JSON; empty if nothing."""
    events: tuple[TaskEvent, ...]
    payload: Content
    result: Content
    max_retries: int = DEFAULT_RETRIES
    on_success: str = ""
    on_failure: str = ""
