"""Configurations of asynchronous invocations in SQLite, as JSON. Implements `tasks.configs.StoredConfigs`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import apsw
import msgspec

from functory.model import errors
from functory.model.task import AsyncConfig
from functory.queue.sqlite.database import Reads, Writes
from functory.queue.sqlite.rows import SQL

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(AsyncConfig).decode


class SqliteConfigs:
    """One row per function and qualifier."""

    def __init__(self, writes: Writes, reads: Reads) -> None:
        self._writes = writes
        self._reads = reads

    async def put(self, config: AsyncConfig) -> None:
        """Adds or replaces it."""
        row = (config.account_id, config.function_name, config.qualifier, _encode(config).decode())
        await self._writes.submit(lambda connection: _run(connection, "put_config", row))

    async def delete(self, account_id: str, function_name: str, qualifier: str) -> None:
        """Removes it; harmless if there is none."""
        key = (account_id, function_name, qualifier)
        await self._writes.submit(lambda connection: _run(connection, "delete_config", key))

    async def all(self) -> Sequence[AsyncConfig]:
        """All of them."""
        rows: Any = await self._reads.run(lambda connection: connection.execute(SQL["all_configs"]).fetchall())
        try:
            return [_decode(body) for (body,) in rows]
        except msgspec.DecodeError as reason:
            raise errors.StorageCorrupt(f"a stored async invoke config cannot be read: {reason}") from reason


def _run(connection: apsw.Connection, query: str, values: tuple[str, ...]) -> None:
    connection.execute(SQL[query], values)
