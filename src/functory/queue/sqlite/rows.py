"""Rows and structs: what is bound to the queries of `queue.sql`, and what comes back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from functory.model.task import EMPTY, SOURCES, WAITING, Content, TaskEvent, TaskState
from functory.queue.base import AGING_MS, MAX_ERROR_CHARS, Group, Item, Leased, Move, Row
from functory.store import queries

_COLUMNS = (
    "id, group_id, key, epoch, request_id, qualifier, priority, attempts, deferrals, crashes, created_ms, due_ms, "
    "expires_ms, head, payload, payload_ref, payload_bytes, state, rank, wake_ms, started_ms, ended_ms, error_type, "
    "error, instance_id, progress, history, result, result_ref, result_bytes"
)
SQL: Mapping[str, str] = {name: sql.replace("{columns}", _COLUMNS) for name, sql in queries.load("queue").items()}

_MASK = {to: sum(1 << state for state in sources) for to, sources in SOURCES.items()}
_encode = msgspec.json.Encoder().encode
_events = msgspec.json.Decoder(TaskEvent).decode_lines
FindGroup = Callable[[int], Group]


def event(state: TaskState, at_ms: int, detail: str = "") -> str:
    """One line of a history."""
    if not detail:
        return f"[{state:d},{at_ms}]\n"
    return _encode(TaskEvent(state, at_ms, _text(detail, 512))).decode() + "\n"


def of_item(item: Item, id_: int, group_id: int, now_ms: int) -> tuple[Any, ...]:
    """The values of `put`."""
    due = now_ms + item.delay_ms
    expires = due + item.max_age_ms
    payload = item.payload
    history = event(TaskState.ENQUEUED, now_ms)
    if item.owner:
        state, rank, wake, epoch = TaskState.RUNNING, None, now_ms + item.lease_ms, 1
        history += event(TaskState.RUNNING, now_ms)
    elif item.delay_ms > 0:
        state, rank, wake, epoch = TaskState.ENQUEUED, None, due, 0
    else:
        state, rank, wake, epoch = TaskState.ENQUEUED, due + item.priority * AGING_MS, expires, 0
    started = now_ms if item.owner else 0
    return (
        id_, item.group.lane, group_id, item.key, int(state), item.priority, rank, due, wake, expires, epoch,
        item.owner or None, now_ms, started, item.request_id, item.qualifier, history, item.head, payload.data,
        payload.ref, payload.size_bytes,
    )  # fmt: skip


def wake_of(item: Item, now_ms: int) -> int:
    """When the sweep has to look at it first."""
    if item.owner:
        return now_ms + item.lease_ms
    return now_ms + (item.delay_ms or item.max_age_ms)


def to_leased(values: tuple[Any, ...], group: FindGroup) -> Leased:
    """A row of `lease`."""
    (id_, group_id, key, epoch, request_id, qualifier, priority, attempts, deferrals, crashes, created, due, expires,
     head, data, ref, size) = values  # fmt: skip
    return Leased(
        id=id_, epoch=epoch, group=group(group_id), key=key, request_id=request_id, qualifier=qualifier,
        priority=priority, attempts=attempts, deferrals=deferrals, crashes=crashes, created_ms=created, due_ms=due,
        expires_ms=expires, head=head, payload=_content(data, ref, size),
    )  # fmt: skip


def to_row(values: tuple[Any, ...], group: FindGroup) -> Row:
    """All columns of a row."""
    (id_, group_id, key, epoch, request_id, qualifier, priority, attempts, deferrals, crashes, created, due, expires,
     head, data, ref, size, state, rank, wake, started, ended, error_type, error, instance_id, progress, history,
     result, result_ref, result_size) = values  # fmt: skip
    return Row(
        id=id_, epoch=epoch, group=group(group_id), key=key, request_id=request_id, qualifier=qualifier,
        priority=priority, attempts=attempts, deferrals=deferrals, crashes=crashes, created_ms=created, due_ms=due,
        expires_ms=expires, head=head, payload=_content(data, ref, size), state=TaskState(state), rank=rank,
        wake_ms=wake, started_ms=started, ended_ms=ended, error_type=error_type, error=error, instance_id=instance_id,
        progress=progress, events=tuple(_events(history)), result=_content(result, result_ref, result_size),
    )  # fmt: skip


def of_end(move: Move, now_ms: int) -> tuple[Any, ...]:
    """The values of `end`."""
    result = move.result
    return (
        int(move.to), now_ms + move.keep_ms, now_ms, move.attempts, move.deferrals, move.crashes,
        _text(move.error_type, 256), _text(move.error, MAX_ERROR_CHARS), _text(move.instance_id, 128),
        result.data, result.ref, result.size_bytes,
        event(move.to, now_ms, move.detail), move.ref.id, move.ref.epoch, _MASK[move.to],
    )  # fmt: skip


def of_back(move: Move, now_ms: int) -> tuple[Any, ...]:
    """The values of `back`."""
    return (
        int(move.to), now_ms + move.delay_ms, now_ms, move.attempts, move.deferrals, move.crashes,
        _text(move.error_type, 256), _text(move.error, MAX_ERROR_CHARS), _text(move.instance_id, 128),
        event(move.to, now_ms, move.detail), move.ref.id, move.ref.epoch, _MASK[move.to],
    )  # fmt: skip


def of_stopping(move: Move, now_ms: int) -> tuple[Any, ...]:
    """The values of `stopping`."""
    return (event(move.to, now_ms, move.detail), *move.ref)


def statement(move: Move) -> tuple[str, Callable[[Move, int], tuple[Any, ...]]]:
    """Which query makes the move, and its values."""
    if move.to in WAITING:
        return "back", of_back
    if move.to is TaskState.STOPPING:
        return "stopping", of_stopping
    return "end", of_end


def _content(data: bytes, ref: str, size: int) -> Content:
    return Content(data=data, ref=ref, size_bytes=size) if size else EMPTY


def _text(text: str, limit: int) -> str:
    """Text that can be stored: cut, and without what UTF-8 cannot write."""
    if len(text) > limit:
        text = text[: limit - 40] + f" … ({len(text)} characters in all)"
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
