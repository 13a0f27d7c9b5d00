"""Seam: durable work that is never lost.

A piece of work is a row: `put` stores it, `lease` gives it to one owner for a while, `extend` keeps the lease, `settle`
moves it on: `ack` (done), `release` (back in line, now or later), `bury` (dead), and the few other moves of
`model.task.MOVES`. Tasks and deliveries use it now, events and flows later: a **lane** each.

What every back end promises:

* What `put` has answered for is durable. So is every move of `settle`, in one commit with the new rows it `puts`: an
  end state and the record of its destination are there together or not at all.
* Every change is a compare-and-set on (state, epoch). `lease` counts the epoch up, so whoever lost a lease can change
  nothing any more: its moves answer `FENCED` and leave no trace. An ended row is never changed.
* State, place in line and concurrency slot are one row. `lease` never gives out more than the limits it is told,
  counted from the rows themselves in the same transaction; rows that were put under a lease count too.
* Within a group the line is ordered by `due + priority x AGING_MS`: priority counts, and so does waiting: nobody waits
  for ever. Rows that are not due are not in line.
* One key is put once per group for as long as its row is kept; the second `put` of it answers None.
* Calls take effect in the order in which they are made, whether awaited or not: a lease asked for after a settlement
  sees its slots free. What is not awaited must be looked at all the same: a failed call has changed nothing.
* The queue's own clock decides everything; owners are told durations. It never runs back while the node lives.
* `StorageFull`, `StorageCorrupt`, `Unavailable` as in `store.base`. All methods are called on the loop's thread.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence
from enum import IntEnum
from typing import Any, NamedTuple, Protocol

import msgspec

from functory.lifecycle import Service
from functory.model.task import EMPTY, Content, TaskEvent, TaskState

AGING_MS = 60_000
"""How much waiting outweighs one step of priority."""
MAX_ERROR_CHARS = 4_096
"""What is kept of an error's text, which may be ten megabytes."""
MAX_KEY_CHARS = 1_024


class Lane(IntEnum):
    """What kind of work; each has its own owners."""

    TASK = 1
    DELIVERY = 2


class Group(NamedTuple):
    """Whose work: limits and fairness are per group."""

    lane: int
    account_id: str
    name: str
    """The function of a task, the destination of a delivery."""


class Item(msgspec.Struct, frozen=True, kw_only=True):
    """Work to put."""

    group: Group
    key: str
    """Unique in the group."""
    max_age_ms: int
    """Nothing is tried once it is so old, counted from when it is due first."""
    delay_ms: int = 0
    priority: int = 5
    """0 first, 9 last."""
    request_id: str = ""
    qualifier: str = ""
    head: bytes = b""
    """What its owner needs to know about it; the queue does not look inside."""
    payload: Content = EMPTY
    owner: str = ""
    """If set, it is leased to this owner from the start and was never in line."""
    lease_ms: int = 0


class Stored(NamedTuple):
    """What became of a put."""

    id: int
    """Orders rows by acceptance, over all groups."""
    created_ms: int


class Want(NamedTuple):
    """What one group may be given."""

    group: Group
    rows: int
    concurrency: int
    """The most slots of the group."""
    account_concurrency: int
    """The most slots of all groups of its account and lane."""


class Leased(msgspec.Struct, kw_only=True):
    """Work that is ours until the lease ends."""

    id: int
    epoch: int
    group: Group
    key: str
    request_id: str
    qualifier: str
    priority: int
    attempts: int = 0
    deferrals: int = 0
    crashes: int = 0
    created_ms: int
    due_ms: int
    expires_ms: int
    head: bytes
    payload: Content


def lease_of(item: Item, stored: Stored) -> Leased:
    """The lease of an item that was put under one."""
    return Leased(
        id=stored.id,
        epoch=1,
        group=item.group,
        key=item.key,
        request_id=item.request_id,
        qualifier=item.qualifier,
        priority=item.priority,
        created_ms=stored.created_ms,
        due_ms=stored.created_ms,
        expires_ms=stored.created_ms + item.delay_ms + item.max_age_ms,
        head=item.head,
        payload=item.payload,
    )


class Row(Leased, kw_only=True):
    """All of a row, as it stood when it was read."""

    state: TaskState
    rank: int | None
    """Its place in line; None unless it may be leased now."""
    wake_ms: int
    started_ms: int
    ended_ms: int
    error_type: str
    error: str
    instance_id: str
    progress: str
    events: tuple[TaskEvent, ...]
    result: Content


class Grant(msgspec.Struct, frozen=True, kw_only=True):
    """What a lease call gave."""

    leased: Sequence[Leased]
    empty: Collection[Group]
    """Groups whose line has nothing left."""


class Ref(NamedTuple):
    """A lease, or a row as it was read."""

    id: int
    epoch: int


class Move(msgspec.Struct, frozen=True, kw_only=True):
    """What shall become of a row: use the verbs below."""

    ref: Ref
    group: Group
    to: TaskState
    delay_ms: int = 0
    """For a row that goes back to waiting: not before that."""
    keep_ms: int = 0
    """For a row that ends: how long it can be looked at."""
    attempts: int = 0
    deferrals: int = 0
    crashes: int = 0
    """What to add to its counts."""
    detail: str = ""
    """The line in its history."""
    error_type: str = ""
    error: str = ""
    instance_id: str = ""
    result: Content = EMPTY
    puts: tuple[Item, ...] = ()
    """New rows of the same commit; left out if the move is fenced."""


def move(row: Leased, to: TaskState, **facts: Any) -> Move:
    """Any move of a row, as it was leased or read."""
    return Move(ref=Ref(row.id, row.epoch), group=row.group, to=to, **facts)


def ack(row: Leased, *, keep_ms: int, result: Content = EMPTY, puts: tuple[Item, ...] = ()) -> Move:
    """Done."""
    return move(row, TaskState.SUCCEEDED, keep_ms=keep_ms, attempts=1, result=result, puts=puts)


def release(row: Leased, *, delay_ms: int = 0, detail: str = "") -> Move:
    """Back in line, or there after a delay, as if it had not been leased."""
    tried = row.attempts or row.deferrals or row.crashes
    to = TaskState.RETRYING if tried else TaskState.ENQUEUED
    return move(row, to, delay_ms=delay_ms, detail=detail)


def bury(row: Leased, *, keep_ms: int, error_type: str, error: str, puts: tuple[Item, ...] = ()) -> Move:
    """Dead: nothing will try it again."""
    to = TaskState.FAILED
    return move(row, to, keep_ms=keep_ms, detail=error_type, error_type=error_type, error=error, puts=puts)


class Moved(IntEnum):
    """What became of a move."""

    FENCED = 0  #: the row is in another state or epoch; nothing was changed
    DONE = 1
    STOPPING = 2  #: the lease stands, but the row is to be stopped: only STOPPED is possible


class Ready(NamedTuple):
    """News of a lane."""

    groups: frozenset[Group]
    """Got rows into line."""
    wake_ms: int
    """When the sweep has to look next, by the queue's clock."""


class Swept(msgspec.Struct, frozen=True, kw_only=True):
    """What a sweep did and found."""

    ready: frozenset[Group] = frozenset()
    """Groups whose delayed rows came into line."""
    overdue: Sequence[Row] = ()
    """Rows that are too old, or held under a lease that is over: the caller settles them."""
    purged: int = 0
    dropped: Sequence[str] = ()
    """Blob references of rows that are gone."""
    next_ms: int = 0
    """When to look next."""
    after: tuple[int, int] = (0, 0)
    """Where the next sweep of this pass goes on, so that rows that cannot be settled do not hold up those behind."""
    more: bool = False
    """There is more to do now."""


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """Which rows to list."""

    group: Group
    states: frozenset[TaskState] = frozenset()
    """Empty = all."""
    key_prefix: str = ""
    qualifier: str = ""
    created_from_ms: int = 0
    created_to_ms: int = 0
    """0 = no bound; both inclusive."""
    newest_first: bool = True
    after_id: int = 0
    """The last id of the page before; 0 = from the start."""
    limit: int = 20


class Place(NamedTuple):
    """Where a row stands, for the question why it waits."""

    row: Row
    now_ms: int
    ahead: int
    """Rows before it in its line, counted up to `MAX_AHEAD`."""
    slots: int
    """Slots that its group holds."""


MAX_AHEAD = 100_000


class Queue(Service, Protocol):
    """The whole queue."""

    def now_ms(self) -> int:
        """The clock that decides: wall time, but it never steps back."""

    def put(self, items: Sequence[Item]) -> asyncio.Future[Sequence[Stored | None]]:
        """Stores items, one commit; None for each whose key its group has already."""

    def lease(self, wants: Sequence[Want], *, owner: str, lease_ms: int) -> asyncio.Future[Grant]:
        """Gives out the first of each group's line, within the limits."""

    def extend(self, refs: Sequence[Ref], *, lease_ms: int) -> asyncio.Future[Sequence[TaskState | None]]:
        """Keeps leases for another `lease_ms`: RUNNING, STOPPING (end it!), or None where the lease is lost."""

    def settle(self, moves: Sequence[Move]) -> asyncio.Future[Sequence[Moved]]:
        """Moves rows on, all in one commit, each for itself fenced."""

    def note(self, ref: Ref, progress: str) -> asyncio.Future[bool]:
        """Keeps what a running row says of itself; False if the lease is lost."""

    async def wait(self, lane: int) -> Ready:
        """Returns once a group got rows into line, or an earlier sweep is needed, since the last `wait`."""

    def sweep(self, lane: int, *, limit: int = 500, after: tuple[int, int] = (0, 0)) -> asyncio.Future[Swept]:
        """Lets delayed rows into line, drops what was kept long enough, and finds what is overdue."""

    def lost(
        self, lane: int, *, node: str, owner: str, limit: int = 500, after_id: int = 0
    ) -> asyncio.Future[Sequence[Row]]:
        """Rows held by owners whose name begins with `node`, other than `owner`: its earlier starts."""

    async def lines(self, lane: int) -> Collection[Group]:
        """The groups that have a line now."""

    async def get(self, group: Group, key: str) -> Row | None:
        """A row by its key."""

    async def by_id(self, id: int) -> Row | None:
        """A row by its id."""

    async def list(self, query: Query) -> Sequence[Row]:
        """A page, in order of acceptance."""

    async def counts(self, group: Group) -> dict[TaskState, int]:
        """How many rows of a group stand in each state; exact."""

    async def groups(self, lane: int, account_id: str = "") -> Sequence[Group]:
        """The groups that were ever put to."""

    async def place(self, group: Group, key: str) -> Place | None:
        """A row, and what stands before it."""
