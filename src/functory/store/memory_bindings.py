"""Triggers and domains in memory: the twins of the SQLite ones, with the same strictness."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from functory.model import errors
from functory.model.domain import Domain
from functory.model.trigger import PER_FUNCTION, Trigger, TriggerKind
from functory.store import bindings, rules


class MemoryTriggers:
    """`store.base.Triggers`. `has_function`: whether an account has a function; `check`: raises once stopped."""

    def __init__(self, check: Callable[[], None], has_function: Callable[[str, str], bool]) -> None:
        self._check = check
        self._has_function = has_function
        self._stored: dict[tuple[str, str, str], Trigger] = {}
        self._fired: dict[str, int] = {}

    async def create(self, trigger: Trigger) -> None:
        """Adds it; `FunctionNotFound`, `TriggerAlreadyExists`, `LimitExceeded`."""
        self._ready(trigger)
        if not self._has_function(trigger.account_id, trigger.function_name):
            raise errors.FunctionNotFound(trigger.function_name)
        if trigger.key in self._stored:
            raise bindings.trigger_taken(trigger)
        if len(self._of(trigger.account_id, trigger.function_name)) >= PER_FUNCTION:
            raise bindings.too_many(trigger)
        self._check_http(trigger)
        self._stored[trigger.key] = trigger
        self._fired[trigger.trigger_id] = trigger.modified_at_ms

    async def replace(self, trigger: Trigger) -> None:
        """Writes it over the revision before; `TriggerNotFound`, `ConcurrentUpdate`, `TriggerAlreadyExists`."""
        self._ready(trigger)
        self._check_http(trigger)
        stored = self._get(trigger.key)
        if (stored.trigger_id, stored.epoch) != (trigger.trigger_id, trigger.epoch - 1):
            raise errors.ConcurrentUpdate(f"trigger '{trigger.name}' was changed by somebody else meanwhile")
        self._stored[trigger.key] = trigger
        self._fired[trigger.trigger_id] = max(self._fired[trigger.trigger_id], trigger.modified_at_ms)

    async def delete(self, account_id: str, function_name: str, name: str, *, epoch: int = 0) -> Trigger:
        """Removes it and answers what it was; `TriggerNotFound`, `ConcurrentUpdate` if not at `epoch` (0 = any)."""
        rules.known_name(function_name)
        trigger = self._get((account_id, function_name, name))
        rules.check_epoch(trigger.epoch, epoch, f"trigger '{name}'")
        del self._stored[trigger.key]
        return trigger

    async def get(self, account_id: str, function_name: str, name: str) -> Trigger:
        """The current revision; `TriggerNotFound`."""
        rules.known_name(function_name)
        return self._get((account_id, function_name, name))

    async def list(
        self, account_id: str, function_name: str, *, prefix: str = "", after: str = "", limit: int = 100
    ) -> Sequence[Trigger]:
        """A page in order of name."""
        rules.check_page(account_id, after, limit)
        self._check()
        found = [one for one in self._of(account_id, function_name) if one.name > after and one.name.startswith(prefix)]
        return sorted(found, key=lambda one: one.name)[:limit]

    async def all(self) -> Sequence[tuple[Trigger, int]]:
        """All triggers of all accounts, each with the last due time that was fired."""
        self._check()
        return [(one, self._fired[one.trigger_id]) for _, one in sorted(self._stored.items())]

    async def claim(self, trigger: Trigger, due_ms: int) -> bool:
        """Whether this due time is the caller's to fire."""
        self._check()
        stored = self._stored.get(trigger.key)
        if stored is None or (stored.trigger_id, stored.epoch) != (trigger.trigger_id, trigger.epoch):
            return False
        if self._fired[trigger.trigger_id] >= due_ms:
            return False
        self._fired[trigger.trigger_id] = due_ms
        return True

    def function_gone(self, account_id: str, function_name: str) -> None:
        """The function is deleted, and its triggers with it."""
        for one in self._of(account_id, function_name):
            del self._stored[one.key]

    def _of(self, account_id: str, function_name: str) -> Sequence[Trigger]:
        return [one for key, one in self._stored.items() if key[:2] == (account_id, function_name)]

    def _check_http(self, trigger: Trigger) -> None:
        if trigger.kind is not TriggerKind.HTTP:
            return
        for one in self._of(trigger.account_id, trigger.function_name):
            if one.kind is TriggerKind.HTTP and one.qualifier == trigger.qualifier and one.name != trigger.name:
                raise bindings.second_http(trigger)

    def _ready(self, trigger: Trigger) -> None:
        bindings.check_trigger(trigger)
        rules.known_name(trigger.function_name)
        bindings.trigger_body(trigger)
        self._check()

    def _get(self, key: tuple[str, str, str]) -> Trigger:
        self._check()
        stored = self._stored.get(key)
        if stored is None:
            raise bindings.trigger_missing(key[2])
        return stored


class MemoryDomains:
    """`store.base.Domains`."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._stored: dict[str, Domain] = {}

    async def create(self, domain: Domain) -> None:
        """Adds it; `DomainNameAlreadyExists`."""
        self._ready(domain)
        if domain.name in self._stored:
            raise bindings.domain_taken(domain.name)
        self._stored[domain.name] = domain

    async def replace(self, domain: Domain) -> None:
        """Writes it over the revision before; `DomainNameNotFound`, `ConcurrentUpdate`."""
        self._ready(domain)
        if self._get(domain.account_id, domain.name).epoch != domain.epoch - 1:
            raise errors.ConcurrentUpdate(f"custom domain '{domain.name}' was changed by somebody else meanwhile")
        self._stored[domain.name] = domain

    async def delete(self, account_id: str, name: str, *, epoch: int = 0) -> Domain:
        """Removes it and answers what it was; `DomainNameNotFound`, `ConcurrentUpdate` if not at `epoch` (0 = any)."""
        domain = self._get(account_id, name)
        rules.check_epoch(domain.epoch, epoch, f"custom domain '{name}'")
        del self._stored[name]
        return domain

    async def get(self, account_id: str, name: str) -> Domain:
        """The current revision, with its private key; `DomainNameNotFound`."""
        return self._get(account_id, name)

    async def list(self, account_id: str, *, prefix: str = "", after: str = "", limit: int = 100) -> Sequence[Domain]:
        """A page in order of name, without private keys."""
        rules.check_page(account_id, after, limit)
        self._check()
        names = sorted(
            name
            for name, one in self._stored.items()
            if one.account_id == account_id and name > after and name.startswith(prefix)
        )
        return [bindings.without_key(self._stored[name]) for name in names[:limit]]

    async def all(self) -> Sequence[Domain]:
        """All domains of all accounts, with their private keys."""
        self._check()
        return [one for _, one in sorted(self._stored.items())]

    def _ready(self, domain: Domain) -> None:
        bindings.check_domain(domain)
        bindings.domain_body(domain)
        self._check()

    def _get(self, account_id: str, name: str) -> Domain:
        self._check()
        stored = self._stored.get(name)
        if stored is None or stored.account_id != account_id:
            raise bindings.domain_missing(name)
        return stored
