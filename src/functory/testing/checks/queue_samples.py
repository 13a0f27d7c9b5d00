"""What the checks of queues put, lease and look at."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, TypeAlias

from functory.model.task import TaskState
from functory.queue import base
from functory.queue.base import Group, Item, Leased, Moved, Queue, Want
from functory.testing.checks import samples
from functory.testing.clock import JumpingClock

MakeQueue: TypeAlias = Callable[[JumpingClock], AbstractAsyncContextManager[Queue]]
"""Opens a queue on a clock; every call opens the same data again."""
Check: TypeAlias = Callable[[MakeQueue], Awaitable[None]]

HOUR_MS = 3_600_000
LANE = 7
GROUP = Group(LANE, samples.ACCOUNT, "resize")
OTHER = Group(LANE, samples.ACCOUNT, "mail")


def item(key: str, group: Group = GROUP, **changes: Any) -> Item:
    """Something to put."""
    return Item(**{"group": group, "key": key, "max_age_ms": HOUR_MS, "request_id": f"r-{key}", **changes})


async def put(queue: Queue, *keys: str, **changes: Any) -> None:
    """Puts items, which must be new."""
    stored = await queue.put([item(key, **changes) for key in keys])
    assert None not in stored, stored


async def lease(
    queue: Queue, rows: int = 1, group: Group = GROUP, *, owner: str = "n/1", **limits: int
) -> list[Leased]:
    """Leases from one group."""
    want = Want(group, rows, limits.get("concurrency", 100), limits.get("account", 1000))
    return list((await queue.lease([want], owner=owner, lease_ms=15_000)).leased)


async def settle(queue: Queue, *moves: base.Move) -> Sequence[Moved]:
    """Moves rows."""
    return await queue.settle(moves)


def keys(rows: Sequence[Leased]) -> list[str]:
    """Their keys."""
    return [row.key for row in rows]


async def state(queue: Queue, key: str, group: Group = GROUP) -> TaskState | None:
    """The state of a row."""
    row = await queue.get(group, key)
    return row.state if row else None
