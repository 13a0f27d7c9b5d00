"""Dependency layers in SQLite."""

from __future__ import annotations

import apsw

from functory.clock import Clock
from functory.model.function import LayerRef
from functory.store import queries, rules
from functory.store.sqlite.readers import Readers
from functory.store.sqlite.writer import Writer

SQL = queries.load("layers")


class SqliteLayers:
    """`store.base.Layers`."""

    def __init__(self, writer: Writer, readers: Readers, clock: Clock) -> None:
        self._writer = writer
        self._readers = readers
        self._clock = clock

    async def put(self, key: str, layer: LayerRef) -> None:
        """Remembers that `key` was built."""
        rules.check_layer(key, layer)
        row = {
            "key": key,
            "arn": layer.arn,
            "digest": layer.digest,
            "size_bytes": layer.size_bytes,
            "built_at_ms": self._clock.now_ms(),
        }

        def put(connection: apsw.Connection) -> None:
            connection.execute(SQL["put"], row)

        await self._writer.submit(put)

    async def get(self, key: str) -> LayerRef | None:
        """The layer built for `key`, if there is one."""
        values = {"key": rules.check_text("the layer's key", key)}
        return await self._readers.run(lambda connection: _one(connection, "get", values))

    async def by_arn(self, arn: str) -> LayerRef | None:
        """The layer of this name."""
        values = {"arn": rules.check_text("the layer's ARN", arn)}
        return await self._readers.run(lambda connection: _one(connection, "by_arn", values))


def _one(connection: apsw.Connection, query: str, values: dict[str, str]) -> LayerRef | None:
    row = connection.execute(SQL[query], values).fetchone()
    return LayerRef(arn=row[0], digest=row[1], size_bytes=row[2]) if row else None
