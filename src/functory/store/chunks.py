"""Chunks: how records and logs are packed into rows, and read back in order. Pure functions.

A row per invocation would cost 20 µs of processor time each; packed a thousand to a row it is less than 1 µs. What it
costs is at reading: a chunk is unpacked whole. Records come in the order in which calls end, pages are wanted in the
order in which they began, and a call may last a day: so the ranges of chunks overlap. A chunk never crosses the end of
a minute, which bounds how many overlap a given place, and gives each chunk one day.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import msgspec

from functory.model import errors
from functory.model.record import LogLines, Record
from functory.store import rules

MOST = 1000
"""The most records or logs in a chunk."""
MOST_LOG_BYTES = 1 << 20
"""A chunk of logs is closed once its text is longer."""

_pack = msgspec.msgpack.Encoder().encode
_unpack_records = msgspec.msgpack.Decoder(list[Record]).decode
_unpack_logs = msgspec.msgpack.Decoder(list[LogLines]).decode


class RecordChunk(NamedTuple):
    """A row of records; the fields after `day` are its columns in order."""

    day: str
    account_id: str
    function_name: str
    first: int
    last: int
    size: int
    failed: int
    body: bytes


class LogChunk(NamedTuple):
    """A row of logs; the fields after `day` are its columns in order."""

    day: str
    function_key: str
    first: int
    last: int
    size: int
    body: bytes


class LogPlace(NamedTuple):
    """Where a piece of log stands: by request, then by time, then as it was written."""

    place: rules.Place
    at_ms: int
    row: int
    position: int


def pack(value: Sequence[Record] | Sequence[LogLines]) -> bytes:
    """The bytes of a chunk; `InvalidArgument` for a value that cannot be written."""
    try:
        return _pack(value)
    except (UnicodeEncodeError, OverflowError, TypeError) as reason:
        raise errors.InvalidArgument(f"a record cannot be written: {reason}") from reason


def unpack_records(body: bytes) -> list[Record]:
    """The records of a chunk."""
    try:
        return _unpack_records(body)
    except msgspec.DecodeError as reason:
        raise errors.StorageCorrupt(f"a chunk of records cannot be read: {reason}") from reason


def unpack_logs(body: bytes) -> list[LogLines]:
    """The logs of a chunk."""
    try:
        return _unpack_logs(body)
    except msgspec.DecodeError as reason:
        raise errors.StorageCorrupt(f"a chunk of logs cannot be read: {reason}") from reason


def of_records(records: Sequence[Record]) -> list[RecordChunk]:
    """The rows of a batch."""
    groups: dict[tuple[str, str, int], tuple[list[Record], list[int]]] = {}
    minute = rules.PLACES_PER_MINUTE
    for record, order in zip(records, rules.orders([record.request_id for record in records]), strict=True):
        key = (record.account_id, record.function_name, order // minute)
        group = groups.get(key)
        if group is None:
            groups[key] = ([record], [order])
        else:
            group[0].append(record)
            group[1].append(order)
    return [
        _record_chunk(account_id, function_name, members[at : at + MOST], places[at : at + MOST])
        for (account_id, function_name, _), (members, places) in groups.items()
        for at in range(0, len(members), MOST)
    ]


def _record_chunk(account_id: str, function_name: str, records: list[Record], places: list[int]) -> RecordChunk:
    first, last = min(places), max(places)
    failed = rules.failures(records)
    return RecordChunk(rules.day_of(first), account_id, function_name, first, last, len(records), failed, pack(records))


def of_logs(logs: Sequence[LogLines]) -> list[LogChunk]:
    """The rows of a batch."""
    groups: dict[tuple[str, int], list[tuple[int, LogLines]]] = {}
    for entry, order in zip(logs, rules.orders([entry.request_id for entry in logs]), strict=True):
        groups.setdefault(
            (function_key(entry.account_id, entry.function_name), order // rules.PLACES_PER_MINUTE), []
        ).append((order, entry))
    return [_log_chunk(name, part) for (name, _), members in groups.items() for part in _log_parts(members)]


def function_key(account_id: str, function_name: str) -> str:
    """What the column `function_name` of logs holds: no two accounts share a line of logs."""
    return f"{account_id}/{function_name}"


def _log_parts(members: list[tuple[int, LogLines]]) -> Iterator[list[tuple[int, LogLines]]]:
    part: list[tuple[int, LogLines]] = []
    size_bytes = 0
    for member in members:
        part.append(member)
        size_bytes += len(member[1].text)
        if len(part) == MOST or size_bytes > MOST_LOG_BYTES:
            yield part
            part, size_bytes = [], 0
    if part:
        yield part


def _log_chunk(name: str, part: list[tuple[int, LogLines]]) -> LogChunk:
    places = [order for order, _ in part]
    first, last = min(places), max(places)
    return LogChunk(rules.day_of(first), name, first, last, len(part), pack([entry for _, entry in part]))


def newest_records(
    rows: Iterable[tuple[int, bytes]], *, before: rules.Place, failed_only: bool, limit: int
) -> list[Record]:
    """The newest `limit` records before a place, newest first. `rows`: (last, body), the latest `last` first."""
    found: list[tuple[rules.Place, Record]] = []
    for last, body in rows:
        if len(found) == limit and last < found[-1][0].order:
            break  # this chunk and all that follow end before the page does
        found += places_before(before, unpack_records(body), failed_only=failed_only)
        found.sort(key=_place, reverse=True)
        del found[limit:]
    return [record for _, record in found]


def places_before(
    before: rules.Place, records: Sequence[Record], *, failed_only: bool
) -> Iterator[tuple[rules.Place, Record]]:
    """The wanted records before a place, with their own."""
    kept = [record for record in records if record.status in rules.FAILED] if failed_only else records
    for record, order in zip(kept, rules.orders([record.request_id for record in kept]), strict=True):
        place = rules.Place(order, record.request_id)
        if place < before:
            yield place, record


def newest_logs(
    rows: Iterable[tuple[int, int, bytes]], *, after: rules.Place, before: rules.Place, limit: int
) -> list[LogLines]:
    """The newest `limit` logs between two places, oldest first. `rows`: (last, number of the row, body)."""
    found: list[tuple[LogPlace, LogLines]] = []
    for last, row, body in rows:
        if last < after.order or (len(found) == limit and last < found[-1][0].place.order):
            break
        found += places_between(after, before, row, unpack_logs(body))
        found.sort(key=_log_place, reverse=True)
        del found[limit:]
    return [entry for _, entry in reversed(found)]


def logs_of(request_id: str, rows: Iterable[tuple[int, int, bytes]]) -> list[LogLines]:
    """What one request printed, oldest first."""
    place = rules.place(request_id)
    found = [
        (LogPlace(place, entry.at_ms, row, index), entry)
        for _, row, body in rows
        for index, entry in enumerate(unpack_logs(body))
        if entry.request_id == request_id
    ]
    return [entry for _, entry in sorted(found, key=_log_place)]


def places_between(
    after: rules.Place, before: rules.Place, row: int, logs: Sequence[LogLines]
) -> Iterator[tuple[LogPlace, LogLines]]:
    """The logs between two places, with their own. `row` grows with every write."""
    orders = rules.orders([entry.request_id for entry in logs])
    for index, (entry, order) in enumerate(zip(logs, orders, strict=True)):
        place = rules.Place(order, entry.request_id)
        if after < place < before:
            yield LogPlace(place, entry.at_ms, row, index), entry


def _place(found: tuple[rules.Place, Record]) -> rules.Place:
    return found[0]


def _log_place(found: tuple[LogPlace, LogLines]) -> LogPlace:
    return found[0]
