"""What stands around functions, put in force: versions and aliases in the routes, reserved places in admit, instances
kept ready in the pools.

    a change is committed → refresh(account, function) → read all of it → routes, admit, pools → the caller is answered

One function at a time is read and applied whole, so whatever order changes come in, the last one read stands.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from collections.abc import Mapping

import msgspec

from functory.clock import Clock
from functory.instances.pools import Pools
from functory.invoke.admit import Admit
from functory.invoke.route import Canary, Routes, Target
from functory.model import errors
from functory.model.function import Function
from functory.model.limits import ConcurrencyConfig, ProvisionConfig, Ready, ScalingConfig, Standing
from functory.model.version import Alias, Version
from functory.node.keeper import Keeper, Known
from functory.observe.logs import fields
from functory.store import rules
from functory.store.base import Store

log = logging.getLogger("functory.node")

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
        self._routes = routes
        self._admit = admit
        self._pools = pools
        self._lock = asyncio.Lock()
        self._keeper = Keeper(routes, pools, clock, self._tracked)
        self._writes: set[asyncio.Task[None]] = set()

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
        known: dict[Key, dict[tuple[str, str], Mapping[str, int]]] = defaultdict(dict)
        for (account_id, name, kind, qualifier), numbers in (await self._store.spending.tracked()).items():
            known[account_id, name][kind, qualifier] = numbers
        for key, around in found.items():
            self._apply(key, around, known[key])

    async def stop(self) -> None:
        """No more plans; the pools end their instances."""
        self._keeper.stop()
        await asyncio.gather(*self._writes)

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
        self._keeper.changed(function)

    def ready(self, config: Standing) -> Ready:
        """How many instances a configuration wants now, and how many there are."""
        return self._keeper.ready(config)

    def deleted(self, function: Function) -> None:
        """Nothing is kept for it any more; its versions' instances finish what they run and go."""
        key = (function.account_id, function.name)
        self._keeper.deleted(key)
        self._retire_versions(key)

    def _retire_versions(self, key: Key) -> None:
        for target in self._routes.targets(*key).values():
            if isinstance(target, Function):
                self._pools.retire(target)

    def _tracked(self, config: Standing, numbers: Mapping[str, int]) -> None:
        """Policies want something else: kept for a restart, soon."""
        task = asyncio.get_running_loop().create_task(self._write_tracked(config, numbers), name="keep what is tracked")
        self._writes.add(task)
        task.add_done_callback(self._writes.discard)

    async def _write_tracked(self, config: Standing, numbers: Mapping[str, int]) -> None:
        kind, qualifier = type(config).__name__, config.qualifier
        try:
            await self._store.spending.put_tracked(config.account_id, config.function_name, kind, qualifier, numbers)
        except errors.FunctoryError as failure:
            log.warning(
                "What a tracking policy wants is not kept for a restart; the next change is tried again",
                extra=fields("keep_tracked", function=config.function_name, reason=failure),
            )

    def _apply(self, key: Key, around: Around, known: Known | None = None) -> None:
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
        self._keeper.hold(key, [*around.provisions, *around.scalings], known)
        if function.restriction is not None:
            self._retire_versions(key)


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
