"""What stands around functions, put in force: versions and aliases in the routes, reserved places in admit, instances
kept ready in the pools.

    a change is committed → refresh(account, function) → read all of it → routes, admit, pools → the caller is answered

One function at a time is read and applied whole, so whatever order changes come in, the last one read stands.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence

import msgspec
from msgspec import structs

from functory.clock import Clock, Timer
from functory.instances import minimum
from functory.instances.pools import Pools
from functory.invoke.admit import Admit
from functory.invoke.route import Canary, Routes, Target
from functory.model import ids
from functory.model.function import Function
from functory.model.limits import ConcurrencyConfig, ProvisionConfig, ScalingConfig
from functory.model.version import Alias, Version
from functory.store import rules
from functory.store.base import Store

Key = tuple[str, str]


class Around(msgspec.Struct):
    """All that stands around one function."""

    versions: list[Version] = []
    aliases: list[Alias] = []
    reserved: list[ConcurrencyConfig] = []
    provisions: list[ProvisionConfig] = []
    scalings: list[ScalingConfig] = []


class Surroundings:
    """A Service: what is stored is in force once it has started."""

    def __init__(self, store: Store, *, routes: Routes, admit: Admit, pools: Pools, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._routes = routes
        self._admit = admit
        self._pools = pools
        self._lock = asyncio.Lock()
        self._kept: dict[Key, dict[str, Function]] = {}
        self._latest: dict[Key, int] = {}
        self._planned: dict[Key, tuple[int, Around]] = {}
        """Functions whose kept instances change by themselves, and when they next do (ms since 1970)."""
        self._timer: Timer | None = None

    async def start(self) -> None:
        """Everything of all functions."""
        found: dict[Key, Around] = defaultdict(Around)
        for version in await self._store.versions.all():
            found[version.function.account_id, version.function.name].versions.append(version)
        for alias in await self._store.aliases.all():
            found[alias.account_id, alias.function_name].aliases.append(alias)
        for reserved in await self._store.concurrency.all():
            found[reserved.account_id, reserved.function_name].reserved.append(reserved)
        for provision in await self._store.provisions.all():
            found[provision.account_id, provision.function_name].provisions.append(provision)
        for scaling in await self._store.scalings.all():
            found[scaling.account_id, scaling.function_name].scalings.append(scaling)
        for key, around in found.items():
            self._apply(key, around)

    async def stop(self) -> None:
        """No more plans; the pools end their instances."""
        if self._timer is not None:
            self._timer.cancel()

    async def refresh(self, account_id: str, name: str) -> None:
        """Reads what stands around one function and puts it in force."""
        async with self._lock:
            if self._routes.latest(account_id, name) is None:
                return
            page = rules.MAX_LIMIT
            around = Around(
                versions=list(await self._store.versions.list(account_id, name, limit=page)),
                aliases=list(await self._store.aliases.list(account_id, name, limit=page)),
                reserved=list(await self._store.concurrency.list(account_id, function=name, limit=page)),
                provisions=list(await self._store.provisions.list(account_id, function=name, limit=page)),
                scalings=list(await self._store.scalings.list(account_id, function=name, limit=page)),
            )
            self._apply((account_id, name), around)

    def changed(self, function: Function) -> None:
        """LATEST has another revision: what is kept ready for it is kept of that one."""
        number = self._latest.get((function.account_id, function.name), 0)
        if number:
            self._pools.keep(function, 0 if function.restriction else number)

    def deleted(self, function: Function) -> None:
        """Nothing is kept for it any more; its versions' instances finish what they run and go."""
        key = (function.account_id, function.name)
        self._latest.pop(key, None)
        self._planned.pop(key, None)
        for kept in self._kept.pop(key, {}).values():
            self._pools.keep(kept, 0)
        self._retire_versions(key)

    def _retire_versions(self, key: Key) -> None:
        for target in self._routes.targets(*key).values():
            if isinstance(target, Function):
                self._pools.retire(target)

    def _apply(self, key: Key, around: Around) -> None:
        function = self._routes.latest(*key)
        if function is None:
            return
        before = self._routes.targets(*key)
        targets = _targets(around, before)
        self._routes.bind(function, targets)
        for number in before.keys() - targets.keys():
            gone = before[number]
            if isinstance(gone, Function) and gone.version == number:
                self._pools.retire(gone)
        self._admit.reserve(key[0], function.function_id, next((one.reserved for one in around.reserved), None))
        self._plan(key, function, around, targets)
        self._watch()
        if function.restriction is not None:
            self._retire_versions(key)

    def _plan(self, key: Key, function: Function, around: Around, targets: Mapping[str, Target]) -> None:
        """Keeps what is to be kept now, and notes when that changes."""
        now_ms = self._clock.now_ms()
        plans = [(one, *minimum.at(one, now_ms)) for one in around.provisions]
        provisions = [structs.replace(one, target=number) for one, number, _ in plans]
        changes = [at_ms for _, _, at_ms in plans if at_ms is not None]
        if changes:
            self._planned[key] = (min(changes), around)
        else:
            self._planned.pop(key, None)
        now = structs.replace(around, provisions=provisions)
        self._keep(key, function, _wanted(function, now, targets))

    def _watch(self) -> None:
        """Looks again when the next plan is due, at the latest in an hour: the wall clock may be set."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._planned:
            first_ms = min(at_ms for at_ms, _ in self._planned.values())
            wait_s = min(3600.0, max(0.0, (first_ms - self._clock.now_ms()) / 1000))
            self._timer = self._clock.call_later(wait_s, self._due)

    def _due(self) -> None:
        self._timer = None
        now_ms = self._clock.now_ms()
        for key, (at_ms, around) in list(self._planned.items()):
            function = self._routes.latest(*key)
            if at_ms <= now_ms and function is not None:
                self._plan(key, function, around, self._routes.targets(*key))
        self._watch()

    def _keep(self, key: Key, function: Function, wanted: dict[str, tuple[Function, int]]) -> None:
        if function.restriction is not None:
            wanted = {}  # as in the official service: a disabled function keeps no instances
        for pool_id, kept in self._kept.get(key, {}).items():
            if pool_id not in wanted:
                self._pools.keep(kept, 0)
        for kept, number in wanted.values():
            self._pools.keep(kept, number)
        self._kept[key] = {pool_id: kept for pool_id, (kept, _) in wanted.items()}
        self._latest[key] = wanted.get(function.pool_id, (function, 0))[1]


def _targets(around: Around, known: Mapping[str, Target]) -> dict[str, Target]:
    """What each qualifier means. A version that is known stays the same object: pools tell revisions by identity."""
    functions: dict[str, Function] = {}
    for version in around.versions:
        number, function = version.function.version, version.function
        old = known.get(number)
        functions[number] = old if isinstance(old, Function) and old == function else function
    targets: dict[str, Target] = dict(functions)
    for alias in around.aliases:
        main, extra = functions.get(alias.version), functions.get(alias.extra_version)
        if main is not None:
            canary = extra is not None and alias.extra_weight > 0
            targets[alias.name] = Canary(main, extra, alias.extra_weight) if canary and extra else main
    return targets


def _wanted(function: Function, around: Around, targets: Mapping[str, Target]) -> dict[str, tuple[Function, int]]:
    """How many instances stand ready, by pool. Qualifiers that mean the same version add up."""
    minimums: dict[str, int] = defaultdict(int)
    for qualifier, number in _minimums(around.provisions, around.scalings):
        minimums[qualifier] = max(minimums[qualifier], number)
    wanted: dict[str, tuple[Function, int]] = {}
    for qualifier, number in minimums.items():
        target = function if qualifier == ids.LATEST else targets.get(qualifier)
        for one, share in _shares(target, number):
            wanted[one.pool_id] = (one, wanted.get(one.pool_id, (one, 0))[1] + share)
    return {pool_id: (one, number) for pool_id, (one, number) in wanted.items() if number}


def _minimums(provisions: Sequence[ProvisionConfig], scalings: Sequence[ScalingConfig]) -> Iterable[tuple[str, int]]:
    yield from ((one.qualifier, one.target) for one in provisions)
    yield from ((one.qualifier, one.min_instances) for one in scalings)


def _shares(target: Target | None, number: int) -> list[tuple[Function, int]]:
    """An alias of two versions keeps instances of both, as it shares its calls."""
    if target is None:
        return []
    if isinstance(target, Function):
        return [(target, number)]
    extra = round(number * target.weight)
    return [(target.main, number - extra), (target.extra, extra)]
