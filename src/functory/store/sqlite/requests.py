"""Records and logs in SQLite: chunks in a table per day."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import apsw

from functory.model import errors
from functory.model.record import LogLines, Record
from functory.store import chunks, queries, rules, spending
from functory.store.sqlite import spending as spent
from functory.store.sqlite.readers import Readers
from functory.store.sqlite.writer import Writer

SQL = queries.load("requests")


class SqliteRequests:
    """`store.base.Requests`."""

    def __init__(self, writer: Writer, readers: Readers) -> None:
        self._writer = writer
        self._readers = readers

    async def append(self, records: Sequence[Record], logs: Sequence[LogLines]) -> None:
        """Adds a batch; packing it is the writer thread's work."""
        await self._writer.submit(lambda connection: _append(connection, records, logs))

    async def list(
        self, account_id: str, *, function: str = "", failed_only: bool = False, before: str = "", limit: int = 100
    ) -> Sequence[Record]:
        """Newest first."""
        rules.check_requests(account_id, function, limit)
        _, end = rules.bounds("", before)
        query = ("newest_failed" if failed_only else "newest") + ("_of_function" if function else "")
        values: dict[str, str | int] = {"account_id": account_id}
        if function:
            values["function_name"] = function

        def read(connection: apsw.Connection) -> list[Record]:
            rows = _rows(connection, "records", query, values, end)
            return chunks.newest_records(rows, before=end, failed_only=failed_only, limit=limit)

        return await self._readers.run(read)

    async def get(self, account_id: str, request_id: str) -> Record:
        """One record; `RequestNotFound`."""
        rules.check_text("accountId", account_id)
        place = rules.place(request_id)

        def read(connection: apsw.Connection) -> Record:
            for (body,) in _at(connection, "records", "records_at", place.order, {"account_id": account_id}):
                for record in chunks.unpack_records(body):
                    if record.request_id == request_id:
                        return record
            raise errors.RequestNotFound(f"no record of request {request_id} is kept")

        return await self._readers.run(read)

    async def logs(self, request_id: str) -> Sequence[LogLines]:
        """What this request printed, oldest first."""
        place = rules.place(request_id)

        def read(connection: apsw.Connection) -> list[LogLines]:
            return chunks.logs_of(request_id, _at(connection, "logs", "logs_at", place.order, {}))

        return await self._readers.run(read)

    async def function_logs(
        self, account_id: str, function: str, *, after: str = "", before: str = "", limit: int = 100
    ) -> Sequence[LogLines]:
        """The newest `limit` logs of a function between two requests, oldest first."""
        rules.check_text("accountId", account_id)
        rules.check_text("functionName", function)
        rules.check_limit(limit)
        start, end = rules.bounds(after, before)
        key = chunks.function_key(account_id, function)

        def read(connection: apsw.Connection) -> list[LogLines]:
            rows = _rows(connection, "logs", "logs_of_function", {"function_name": key}, end)
            return chunks.newest_logs(rows, after=start, before=end, limit=limit)

        return await self._readers.run(read)

    async def drop_before(self, day: str) -> int:
        """Drops whole days, each in a write of its own, so that nobody waits for all of them."""
        rules.check_day(day)
        days = await self._readers.run(lambda connection: _days(connection, "records") | _days(connection, "logs"))
        old = sorted(each for each in days if each < day)
        for each in old:
            await self._drop(each)
        return len(old)

    async def _drop(self, day: str) -> None:
        def drop(connection: apsw.Connection) -> None:
            connection.execute(_for_day("drop_records", day))
            connection.execute(_for_day("drop_logs", day))

        await self._writer.submit(drop)


def _append(connection: apsw.Connection, records: Sequence[Record], logs: Sequence[LogLines]) -> None:
    _add(connection, "records", chunks.of_records(records))
    _add(connection, "logs", chunks.of_logs(logs))
    spent.add(connection, spending.of_records(records))


def _add(connection: apsw.Connection, table: str, rows: Iterable[chunks.RecordChunk | chunks.LogChunk]) -> None:
    made = _days(connection, table)
    for row in rows:
        if row.day not in made:
            connection.execute(_for_day(f"create_{table}", row.day))
            made.add(row.day)
        connection.execute(_for_day(f"add_{table}", row.day), row[1:])


def _for_day(query: str, day: str) -> str:
    return SQL[query].replace("{day}", day)


def _days(connection: apsw.Connection, table: str) -> set[str]:
    names = [name for (name,) in connection.execute(SQL["days"])]
    return {name.removeprefix(f"{table}_") for name in names if name.startswith(f"{table}_")}


def _rows(
    connection: apsw.Connection, table: str, query: str, values: Mapping[str, str | int], end: rules.Place
) -> Iterator[Any]:
    """The chunks that begin before `end`, the newest day first, in each day the latest end first."""
    place = min(end.order, rules.END)
    bound = {**values, "place": place, "minute_end": rules.minute_end(place)}
    newest = rules.day_of(place)
    for day in sorted(_days(connection, table), reverse=True):
        if day <= newest:
            yield from connection.execute(_for_day(query, day), bound)


def _at(connection: apsw.Connection, table: str, query: str, order: int, values: Mapping[str, str]) -> Iterable[Any]:
    """The chunks that may hold one request; none if its day is not kept."""
    day = rules.day_of(order)
    # Asked by a query: what `table_exists` knows may be older than this transaction.
    if day not in _days(connection, table):
        return []
    return connection.execute(_for_day(query, day), {**values, "place": order, "minute_end": rules.minute_end(order)})
