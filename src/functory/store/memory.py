"""The store's in-memory twin: the same promises and the same strictness, but for durability."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from functory.model import errors
from functory.model.account import AccessKey
from functory.model.function import Function, LayerRef
from functory.model.limits import ConcurrencyConfig, ProvisionConfig, ScalingConfig
from functory.model.record import LogLines, Record
from functory.model.task import AsyncConfig
from functory.store import bodies, chunks, parts, rules, spending
from functory.store.accounts import Accounts
from functory.store.aliases import Aliases
from functory.store.configs import Configs
from functory.store.layer_versions import LayerVersions
from functory.store.memory_bindings import MemoryDomains, MemoryTriggers
from functory.store.memory_parts import MemoryAudit, MemoryRows
from functory.store.memory_spending import MemorySpending
from functory.store.roles import Roles
from functory.store.versions import Versions
from functory.store.vpcs import Vpcs


class _Gate:
    """Whether the store runs; every method passes through it."""

    def __init__(self) -> None:
        self.open = False

    def check(self) -> None:
        if not self.open:
            raise errors.Unavailable("the store is not running")


class MemoryFunctions:
    """`store.base.Functions`. Keeps bodies, not objects: a caller who changes a dict changes only its own."""

    def __init__(self, gate: _Gate) -> None:
        self._gate = gate
        self._bodies: dict[tuple[str, str], bytes] = {}
        self.bodies = self._bodies
        """By account and name, for the rows that belong to functions."""
        self.gone: Callable[[str, str], None] = lambda _account, _name: None
        """Told when a function is deleted."""

    def has(self, account_id: str, name: str) -> bool:
        """Whether it is there."""
        return (account_id, name) in self._bodies

    async def create(self, function: Function) -> None:
        """Adds it; `FunctionAlreadyExists`."""
        key, body = _function_row(function)
        self._gate.check()
        if key in self._bodies:
            raise errors.FunctionAlreadyExists(function.name)
        self._bodies[key] = body

    async def replace(self, function: Function) -> None:
        """Writes it over the revision before; `FunctionNotFound`, `ConcurrentUpdate`."""
        key, body = _function_row(function)
        stored = self._get(*key)
        if (stored.function_id, stored.epoch) != (function.function_id, function.epoch - 1):
            raise errors.ConcurrentUpdate(f"function '{function.name}' was changed by somebody else meanwhile")
        self._bodies[key] = body

    async def delete(self, account_id: str, name: str, *, epoch: int = 0) -> Function:
        """Removes it and answers what it was; `FunctionNotFound`, `ConcurrentUpdate` if not at `epoch` (0 = any)."""
        rules.check_text("accountId", account_id)
        function = self._get(account_id, rules.known_name(name))
        rules.check_epoch(function.epoch, epoch, f"function '{name}'")
        del self._bodies[account_id, name]
        self.gone(account_id, name)
        return function

    async def get(self, account_id: str, name: str) -> Function:
        """The current revision; `FunctionNotFound`."""
        rules.check_text("accountId", account_id)
        return self._get(account_id, rules.known_name(name))

    async def list(self, account_id: str, *, prefix: str = "", after: str = "", limit: int = 100) -> Sequence[Function]:
        """A page in order of name."""
        rules.check_page(account_id, after, limit)
        self._gate.check()
        names = sorted(
            name for account, name in self._bodies if account == account_id and name > after and name.startswith(prefix)
        )
        return [bodies.to_function(self._bodies[account_id, name]) for name in names[:limit]]

    async def all(self) -> Sequence[Function]:
        """All functions of all accounts."""
        self._gate.check()
        return [bodies.to_function(body) for _, body in sorted(self._bodies.items())]

    def _get(self, account_id: str, name: str) -> Function:
        self._gate.check()
        body = self._bodies.get((account_id, name))
        if body is None:
            raise errors.FunctionNotFound(name)
        return bodies.to_function(body)


class MemoryKeys:
    """`store.base.Keys`."""

    def __init__(self, gate: _Gate) -> None:
        self._gate = gate
        self._keys: dict[str, AccessKey] = {}
        self._secrets: dict[str, bytes] = {}

    async def put(self, key: AccessKey) -> None:
        """Adds or replaces a key."""
        rules.check_key(key)
        self._gate.check()
        self._keys[key.access_key_id] = key

    async def delete(self, access_key_id: str) -> None:
        """Removes a key."""
        self._gate.check()
        self._keys.pop(access_key_id, None)

    async def all(self) -> Sequence[AccessKey]:
        """All keys."""
        self._gate.check()
        return [key for _, key in sorted(self._keys.items(), key=lambda item: item[0])]

    async def secret(self, name: str, new: bytes) -> bytes:
        """The stored secret of this name; if there is none, `new` is stored and answered."""
        rules.check_text("the secret's name", name)
        self._gate.check()
        return self._secrets.setdefault(name, new)


class MemoryLayers:
    """`store.base.Layers`."""

    def __init__(self, gate: _Gate) -> None:
        self._gate = gate
        self._layers: dict[str, LayerRef] = {}

    async def put(self, key: str, layer: LayerRef) -> None:
        """Remembers that `key` was built."""
        rules.check_layer(key, layer)
        self._gate.check()
        self._layers.pop(key, None)  # so that the newest comes last
        self._layers[key] = layer

    async def get(self, key: str) -> LayerRef | None:
        """The layer built for `key`, if there is one."""
        rules.check_text("the layer's key", key)
        self._gate.check()
        return self._layers.get(key)

    async def by_arn(self, arn: str) -> LayerRef | None:
        """The newest layer of this name."""
        rules.check_text("the layer's ARN", arn)
        self._gate.check()
        return next((layer for layer in reversed(self._layers.values()) if layer.arn == arn), None)


class MemoryRequests:
    """`store.base.Requests`: plain lists, searched whole."""

    def __init__(self, gate: _Gate, added_up: MemorySpending) -> None:
        self._gate = gate
        self._added_up = added_up
        self._records: list[Record] = []
        self._logs: list[LogLines] = []

    async def append(self, records: Sequence[Record], logs: Sequence[LogLines]) -> None:
        """Adds a batch."""
        self._gate.check()
        rules.orders([record.request_id for record in records] + [entry.request_id for entry in logs])
        chunks.pack(records)
        chunks.pack(logs)
        self._records += records
        self._logs += logs
        self._added_up.take(spending.of_records(records))

    async def list(
        self, account_id: str, *, function: str = "", failed_only: bool = False, before: str = "", limit: int = 100
    ) -> Sequence[Record]:
        """Newest first."""
        rules.check_requests(account_id, function, limit)
        _, end = rules.bounds("", before)
        self._gate.check()
        kept = [
            record
            for record in self._records
            if record.account_id == account_id
            and function in ("", record.function_name)
            and (not failed_only or record.status in rules.FAILED)
            and rules.place(record.request_id) < end
        ]
        return sorted(kept, key=lambda record: rules.place(record.request_id), reverse=True)[:limit]

    async def get(self, account_id: str, request_id: str) -> Record:
        """One record; `RequestNotFound`."""
        rules.check_text("accountId", account_id)
        rules.place(request_id)
        self._gate.check()
        for record in self._records:
            if (record.account_id, record.request_id) == (account_id, request_id):
                return record
        raise errors.RequestNotFound(f"no record of request {request_id} is kept")

    async def logs(self, request_id: str) -> Sequence[LogLines]:
        """What this request printed, oldest first."""
        rules.place(request_id)
        self._gate.check()
        return _oldest_first([entry for entry in self._logs if entry.request_id == request_id])

    async def function_logs(
        self, account_id: str, function: str, *, after: str = "", before: str = "", limit: int = 100
    ) -> Sequence[LogLines]:
        """The newest `limit` logs of a function between two requests, oldest first."""
        rules.check_text("accountId", account_id)
        rules.check_text("functionName", function)
        rules.check_limit(limit)
        start, end = rules.bounds(after, before)
        self._gate.check()
        kept = [
            entry
            for entry in self._logs
            if (entry.account_id, entry.function_name) == (account_id, function)
            and start < rules.place(entry.request_id) < end
        ]
        return _oldest_first(kept)[-limit:]

    async def drop_before(self, day: str) -> int:
        """Drops whole days."""
        rules.check_day(day)
        self._gate.check()
        days = {_day(record) for record in self._records} | {_day(entry) for entry in self._logs}
        old = {each for each in days if each < day}
        self._records = [record for record in self._records if _day(record) not in old]
        self._logs = [entry for entry in self._logs if _day(entry) not in old]
        return len(old)


class MemoryStore:
    """`store.base.Store` for tests: what it holds is gone with the object, and outlives `stop` for a next `start`."""

    def __init__(self) -> None:
        self._gate = _Gate()
        self.functions = MemoryFunctions(self._gate)
        self.keys = MemoryKeys(self._gate)
        self.layers = MemoryLayers(self._gate)
        self.spending = MemorySpending(self._gate.check, self.functions.has)
        self.requests = MemoryRequests(self._gate, self.spending)
        self.triggers = MemoryTriggers(self._gate.check, self.functions.has)
        self.domains = MemoryDomains(self._gate.check)
        rows = self._rows = MemoryRows(self._gate.check, self.functions.bodies)
        self.functions.gone = self._function_gone
        self.versions = Versions(rows)
        self.aliases = Aliases(rows)
        self.async_configs = Configs(rows, parts.ASYNC, AsyncConfig, errors.AsyncConfigNotFound)
        self.concurrency = Configs(rows, parts.CONCURRENCY, ConcurrencyConfig, errors.ConcurrencyConfigNotFound)
        self.provisions = Configs(rows, parts.PROVISION, ProvisionConfig, errors.ProvisionConfigNotFound)
        self.scalings = Configs(rows, parts.SCALING, ScalingConfig, errors.ScalingConfigNotFound)
        self.layer_versions = LayerVersions(rows)
        self.accounts = Accounts(rows)
        self.roles = Roles(rows)
        self.vpcs = Vpcs(rows)
        self.audit = MemoryAudit(self._gate.check)

    def _function_gone(self, account_id: str, name: str) -> None:
        self.triggers.function_gone(account_id, name)
        self.spending.function_gone(account_id, name)
        self._rows.drop(account_id, name)

    async def start(self) -> None:
        """Open."""
        self._gate.open = True

    async def stop(self) -> None:
        """Refuse everything."""
        self._gate.open = False


def _function_row(function: Function) -> tuple[tuple[str, str], bytes]:
    rules.check_function(function)
    return (function.account_id, function.name), bodies.of_function(function)


def _oldest_first(logs: Sequence[LogLines]) -> list[LogLines]:
    return sorted(logs, key=lambda entry: (rules.place(entry.request_id), entry.at_ms))


def _day(entry: Record | LogLines) -> str:
    return rules.day_of(rules.place(entry.request_id).order)
