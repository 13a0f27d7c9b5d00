"""The rules of what may be put, moved and asked, shared by all back ends: plain functions, no I/O."""

from __future__ import annotations

from collections.abc import Sequence

from functory.model import errors
from functory.model.task import MOVES, WAITING, TaskState
from functory.queue.base import MAX_KEY_CHARS, Item, Move, Query

MAX_AGE_MS = 400 * 86_400_000
MAX_LIMIT = 1_000
MAX_BATCH = 10_000


def check_items(items: Sequence[Item]) -> None:
    """Passes if these items can be put."""
    for item in items:
        if not 1 <= len(item.key) <= MAX_KEY_CHARS:
            raise errors.InvalidArgument(f"a key of {len(item.key)} characters: 1 to {MAX_KEY_CHARS} are allowed")
        if not 0 <= item.priority <= 9:
            raise errors.InvalidArgument(f"priority {item.priority} is not between 0 and 9")
        if not 0 <= item.delay_ms <= MAX_AGE_MS or not 0 < item.max_age_ms <= MAX_AGE_MS:
            raise errors.InvalidArgument(f"delay {item.delay_ms} ms with age {item.max_age_ms} ms is not possible")
        if item.owner and (item.delay_ms or item.lease_ms <= 0):
            raise errors.InvalidArgument("what is leased from the start has a lease and no delay")
        if not item.group.account_id or not item.group.name:
            raise errors.InvalidArgument("a group has an account and a name")


def check_moves(moves: Sequence[Move]) -> None:
    """Passes if these moves can be made at all."""
    for move in moves:
        if move.to is TaskState.RUNNING:
            raise errors.InvalidArgument("only a lease makes a row Running")
        if move.puts and (move.to in WAITING or move.to is TaskState.STOPPING):
            raise errors.InvalidArgument(f"a move to {move.to.name} puts nothing: only an end does")
        if move.delay_ms < 0 or move.keep_ms < 0:
            raise errors.InvalidArgument("a row cannot wait or be kept for less than 0 ms")
        check_items(move.puts)
    if len({move.ref.id for move in moves}) != len(moves):
        raise errors.InvalidArgument("one row is moved twice in one settlement")


def check_query(query: Query) -> Query:
    """The query, if it can be answered."""
    if not 1 <= query.limit <= MAX_LIMIT:
        raise errors.InvalidArgument(f"limit {query.limit} is not between 1 and {MAX_LIMIT}")
    return query


def may(source: TaskState, to: TaskState) -> bool:
    """Whether a row may make this move."""
    return to in MOVES[source]
