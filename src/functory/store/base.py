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

from collections.abc import Mapping, Sequence
from typing import Protocol

from functory.lifecycle import Service
from functory.model.account import AccessKey
from functory.model.audit import AuditEvent
from functory.model.domain import Domain
from functory.model.function import Function, LayerRef
from functory.model.limits import ConcurrencyConfig, ProvisionConfig, ScalingConfig
from functory.model.record import LogLines, Record
from functory.model.spending import Spent
from functory.model.task import AsyncConfig
from functory.model.trigger import Trigger
from functory.store.accounts import Accounts
from functory.store.aliases import Aliases
from functory.store.configs import Configs
from functory.store.layer_versions import LayerVersions
from functory.store.roles import Roles
from functory.store.versions import Versions
from functory.store.vpcs import Vpcs


class Functions(Protocol):
    """Functions, by account and name."""

    async def create(self, function: Function) -> None:
        """Adds it; `FunctionAlreadyExists` if the name is taken."""

    async def replace(self, function: Function) -> None:
        """Writes `function` over the revision `function.epoch - 1`.

        `FunctionNotFound` if it is gone, `ConcurrentUpdate` if the stored epoch or function_id is another.
        """

    async def delete(self, account_id: str, name: str, *, epoch: int = 0) -> Function:
        """Removes it and answers what it was; `FunctionNotFound`, `ConcurrentUpdate` if not at `epoch` (0 = any)."""

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

    async def delete(self, access_key_id: str) -> None:
        """Removes a key; harmless if there is none."""

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
        self, account_id: str, function: str, *, after: str = "", before: str = "", limit: int = 100
    ) -> Sequence[LogLines]:
        """What requests of a function printed: the newest `limit` entries between two request ids, oldest first."""

    async def drop_before(self, day: str) -> int:
        """Drops whole days before `day` (`YYYYMMDD`), answers how many."""


class Spending(Protocol):
    """Usage added up by function, hour and line. `Requests.append` adds what its records come to, in one write."""

    async def add(self, rows: Sequence[Spent]) -> None:
        """Adds to what is there, all or nothing."""

    async def sums(
        self, account_id: str, *, from_ms: int, until_ms: int, function: str = "", after: str = "", limit: int = 100
    ) -> Sequence[Spent]:
        """The lines of at most `limit` functions with a name greater than `after`, in order of name, summed over the
        hours that begin between two moments."""

    async def drop_before(self, at_ms: int) -> None:
        """Drops the hours that began before a moment."""

    async def put_tracked(
        self, account_id: str, function: str, kind: str, qualifier: str, numbers: Mapping[str, int]
    ) -> None:
        """Keeps how many instances the policies of a configuration want, by name; it goes with the function."""

    async def tracked(self) -> Mapping[tuple[str, str, str, str], Mapping[str, int]]:
        """What all of them wanted last, by account, function, kind and qualifier."""


class Triggers(Protocol):
    """Triggers, by account, function and name. They go when their function goes."""

    async def create(self, trigger: Trigger) -> None:
        """Adds it. `FunctionNotFound`, `TriggerAlreadyExists` (the name is taken, or the version or alias has another
        HTTP trigger), `LimitExceeded`."""

    async def replace(self, trigger: Trigger) -> None:
        """Writes `trigger` over the revision `trigger.epoch - 1`.

        `TriggerNotFound`, `ConcurrentUpdate`, `TriggerAlreadyExists` (as at `create`).
        """

    async def delete(self, account_id: str, function_name: str, name: str, *, epoch: int = 0) -> Trigger:
        """Removes it and answers what it was; `TriggerNotFound`, `ConcurrentUpdate` if not at `epoch` (0 = any)."""

    async def get(self, account_id: str, function_name: str, name: str) -> Trigger:
        """The current revision; `TriggerNotFound`."""

    async def list(
        self, account_id: str, function_name: str, *, prefix: str = "", after: str = "", limit: int = 100
    ) -> Sequence[Trigger]:
        """At most `limit` triggers of a function in order of name."""

    async def all(self) -> Sequence[tuple[Trigger, int]]:
        """All triggers, each with the last due time that was claimed (ms), or when it was last changed."""

    async def claim(self, trigger: Trigger, due_ms: int) -> bool:
        """Whether this due time is the caller's to fire: true once for each, and only for this revision."""


class Domains(Protocol):
    """Custom domains, by name. A private key is stored sealed; lists do not have it."""

    async def create(self, domain: Domain) -> None:
        """Adds it; `DomainNameAlreadyExists` if any account has it."""

    async def replace(self, domain: Domain) -> None:
        """Writes `domain` over the revision `domain.epoch - 1`; `DomainNameNotFound`, `ConcurrentUpdate`."""

    async def delete(self, account_id: str, name: str, *, epoch: int = 0) -> Domain:
        """Removes it and answers what it was; `DomainNameNotFound`, `ConcurrentUpdate` if not at `epoch` (0 = any)."""

    async def get(self, account_id: str, name: str) -> Domain:
        """The current revision with its private key; `DomainNameNotFound`."""

    async def list(self, account_id: str, *, prefix: str = "", after: str = "", limit: int = 100) -> Sequence[Domain]:
        """At most `limit` domains of an account in order of name, without private keys."""

    async def all(self) -> Sequence[Domain]:
        """All domains of all accounts, with private keys."""


class Audit(Protocol):
    """Who did what. Bounded: the oldest events go (`store.audit`)."""

    async def append(self, events: Sequence[AuditEvent]) -> None:
        """Adds a batch, in order."""

    async def list(
        self, account_id: str, *, before: int = 0, changes_only: bool = False, limit: int = 100
    ) -> Sequence[tuple[int, AuditEvent]]:
        """Newest first: at most `limit` events with a number before `before` (0 = all), each with its number."""


class Store(Service, Protocol):
    """The whole store.

    Of `versions` to `roles` the rules stand once for all back ends, in the modules of their names; a back end brings
    rows and transactions (`store.parts`).
    """

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

    @property
    def spending(self) -> Spending:
        """Usage added up."""

    @property
    def triggers(self) -> Triggers:
        """Triggers."""

    @property
    def domains(self) -> Domains:
        """Custom domains."""

    @property
    def versions(self) -> Versions:
        """Published versions."""

    @property
    def aliases(self) -> Aliases:
        """Aliases."""

    @property
    def async_configs(self) -> Configs[AsyncConfig]:
        """How asynchronous calls are treated, by function and qualifier."""

    @property
    def concurrency(self) -> Configs[ConcurrencyConfig]:
        """Reserved concurrency, by function; the qualifier is empty."""

    @property
    def provisions(self) -> Configs[ProvisionConfig]:
        """Provisioned instances, by function and qualifier."""

    @property
    def scalings(self) -> Configs[ScalingConfig]:
        """Bounds of the number of instances, by function and qualifier."""

    @property
    def layer_versions(self) -> LayerVersions:
        """Uploaded layers."""

    @property
    def vpcs(self) -> Vpcs:
        """VPCs and bindings to them."""

    @property
    def accounts(self) -> Accounts:
        """Accounts."""

    @property
    def roles(self) -> Roles:
        """Roles of functions."""

    @property
    def audit(self) -> Audit:
        """Who did what."""
