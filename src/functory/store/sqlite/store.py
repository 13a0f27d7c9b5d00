"""The store over one SQLite file."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import apsw

from functory.clock import Clock
from functory.model import errors
from functory.model.limits import ConcurrencyConfig, ProvisionConfig, ScalingConfig
from functory.model.task import AsyncConfig
from functory.store import parts
from functory.store.accounts import Accounts
from functory.store.aliases import Aliases
from functory.store.cipher import Cipher
from functory.store.configs import Configs
from functory.store.layer_versions import LayerVersions
from functory.store.roles import Roles
from functory.store.sealing import Sealing
from functory.store.sqlite import connect
from functory.store.sqlite.audit import SqliteAudit
from functory.store.sqlite.domains import SqliteDomains
from functory.store.sqlite.functions import SqliteFunctions
from functory.store.sqlite.keys import SqliteKeys
from functory.store.sqlite.layers import SqliteLayers
from functory.store.sqlite.parts import SqliteRows, SqliteRuns
from functory.store.sqlite.readers import Readers
from functory.store.sqlite.requests import SqliteRequests
from functory.store.sqlite.spending import SqliteSpending
from functory.store.sqlite.triggers import SqliteTriggers
from functory.store.sqlite.writer import Writer
from functory.store.versions import Versions
from functory.store.vpcs import Vpcs


class SqliteStore:
    """`store.base.Store` in the file `path` and two beside it (`-wal`, `-shm`).

    One process at a time. `cipher` seals secrets (`cipher.from_key_file`); `vfs` names another SQLite file layer, for
    tests that cut the power.
    """

    def __init__(self, path: Path, *, clock: Clock, cipher: Cipher, vfs: str | None = None) -> None:
        self._path = path
        self._writer = self.writer = Writer(partial(connect.writer, path, vfs=vfs))
        self._readers = self.readers = Readers(partial(connect.reader, path, vfs=vfs))
        sealing = self._sealing = Sealing(cipher)
        self.functions = SqliteFunctions(self._writer, self._readers, sealing)
        self.keys = SqliteKeys(self._writer, self._readers, clock, cipher)
        self.layers = SqliteLayers(self._writer, self._readers, clock)
        self.requests = SqliteRequests(self._writer, self._readers)
        self.spending = SqliteSpending(self._writer, self._readers)
        self.triggers = SqliteTriggers(self._writer, self._readers)
        self.domains = SqliteDomains(self._writer, self._readers, cipher)
        runs = SqliteRuns(self._writer, self._readers, sealing)
        self.versions = Versions(runs)
        self.aliases = Aliases(runs)
        self.async_configs = Configs(runs, parts.ASYNC, AsyncConfig, errors.AsyncConfigNotFound)
        self.concurrency = Configs(runs, parts.CONCURRENCY, ConcurrencyConfig, errors.ConcurrencyConfigNotFound)
        self.provisions = Configs(runs, parts.PROVISION, ProvisionConfig, errors.ProvisionConfigNotFound)
        self.scalings = Configs(runs, parts.SCALING, ScalingConfig, errors.ScalingConfigNotFound)
        self.layer_versions = LayerVersions(runs)
        self.accounts = Accounts(runs)
        self.roles = Roles(runs)
        self.vpcs = Vpcs(runs)
        self.audit = SqliteAudit(self._writer, self._readers)

    async def start(self) -> None:
        """Open the file, or make it. `StorageCorrupt` if it is damaged, or not ours, or newer than this code."""
        await self._writer.start()
        try:
            await self._writer.submit(self._seal_old)
            await self._readers.start()
        except BaseException:
            await self._writer.stop()
            raise

    def _seal_old(self, connection: apsw.Connection) -> None:
        self.keys.check(connection)
        self.functions.seal_old(connection)
        SqliteRows(connection, self._sealing).seal_old()

    async def stop(self) -> None:
        """Finish what waits, then close. The writer goes last: closing, it moves the WAL into the file."""
        await self._readers.stop()
        await self._writer.stop()
