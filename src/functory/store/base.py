"""Seam: records that change together or not at all.

A `Store` is a few small record stores over one database. What every back end promises:

* A write returns once it is durable: after a power cut it is there. Where it raises, nothing of it is there.
* One write is one transaction; writes of different callers never see each other half done, and one that fails
  (a duplicate, a lost race) does not disturb those committed in the same group.
* A change of a function is a compare-and-set on its epoch: `ConcurrentUpdate` if the stored epoch is another.
* Reads see every write that returned before them.
* `StorageFull` when the disk is full, `StorageCorrupt` when the database is damaged or newer than this code; other
  failures of the back end are `SystemFault` with the cause kept.
* All methods are called on the loop's thread and never block it. After `stop`, all raise `Unavailable`.

Paging is by key: `after` is the last key of the page before, so pages are stable under inserts.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from functory.lifecycle import Service
from functory.model.account import AccessKey
from functory.model.function import Function, LayerRef
from functory.model.record import LogLines, Record


class Functions(Protocol):
    """Functions, by account and name."""

    async def create(self, function: Function) -> None:
        """Adds it; `FunctionAlreadyExists` if the name is taken."""

    async def replace(self, function: Function) -> None:
        """Writes `function` over the revision `function.epoch - 1`.

        `FunctionNotFound` if it is gone, `ConcurrentUpdate` if the stored epoch or function_id is another.
        """

    async def delete(self, account_id: str, name: str) -> Function:
        """Removes it and answers what it was; `FunctionNotFound`."""

    async def get(self, account_id: str, name: str) -> Function:
        """The current revision; `FunctionNotFound`."""

    async def list(self, account_id: str, *, prefix: str = "", after: str = "", limit: int = 100) -> Sequence[Function]:
        """At most `limit` functions in order of name, whose name starts with `prefix` and is greater than `after`."""

    async def all(self) -> Sequence[Function]:
        """All functions of all accounts: what a starting node loads into its routes."""


class Keys(Protocol):
    """Accounts' access keys, and the node's own secrets."""

    async def put(self, key: AccessKey) -> None:
        """Adds or replaces a key. The secret is stored encrypted."""

    async def all(self) -> Sequence[AccessKey]:
        """All keys."""

    async def secret(self, name: str, new: bytes) -> bytes:
        """The stored secret of this name; if there is none, `new` is stored and answered."""


class Layers(Protocol):
    """Dependency layers by the hash of what they were built from."""

    async def put(self, key: str, layer: LayerRef) -> None:
        """Remembers that `key` was built; repeating it is harmless."""

    async def get(self, key: str) -> LayerRef | None:
        """The layer built for `key`, if there is one."""

    async def by_arn(self, arn: str) -> LayerRef | None:
        """The layer of this name."""


class Requests(Protocol):
    """Records and logs of invocations, in a table per day (UTC)."""

    async def append(self, records: Sequence[Record], logs: Sequence[LogLines]) -> None:
        """Adds a batch. Written in chunks: one row per function and batch, not one per record."""

    async def list(
        self, account_id: str, *, function: str = "", failed_only: bool = False, before: str = "", limit: int = 100
    ) -> Sequence[Record]:
        """Newest first: at most `limit` records with an id before `before` (a request id, exclusive)."""

    async def get(self, account_id: str, request_id: str) -> Record:
        """One record; `RequestNotFound`."""

    async def logs(self, request_id: str) -> Sequence[LogLines]:
        """What this request printed, oldest first; empty if nothing."""

    async def function_logs(
        self, function: str, *, after: str = "", before: str = "", limit: int = 100
    ) -> Sequence[LogLines]:
        """What requests of a function printed: the newest `limit` entries between two request ids, oldest first."""

    async def drop_before(self, day: str) -> int:
        """Drops whole days before `day` (`YYYYMMDD`), answers how many."""


class Store(Service, Protocol):
    """The whole store."""

    @property
    def functions(self) -> Functions:
        """Functions."""

    @property
    def keys(self) -> Keys:
        """Access keys and secrets."""

    @property
    def layers(self) -> Layers:
        """Dependency layers."""

    @property
    def requests(self) -> Requests:
        """Records and logs."""
