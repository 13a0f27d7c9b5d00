"""Keeps instances ready: what provision and scaling configurations ask for, acted on as time and use go on.

    a configuration is committed → hold ─┐
    a scheduled action is due ───────────┼→ decide: base or schedule, tracking policies, the largest → pools.keep
    ten seconds of use have passed ──────┘

`instances.minimum` says what schedules mean, `instances.tracking` what policies want; here they are put together for
each qualifier, and shared out over the versions that it means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

import msgspec

from functory.clock import Clock, Timer
from functory.instances import minimum, tracking
from functory.instances.following import Following, Window
from functory.instances.pools import Pools
from functory.instances.standing import NOTHING, Keep
from functory.invoke.route import Routes, Target
from functory.model import ids
from functory.model.function import Function
from functory.model.limits import Ready, Standing

Key = tuple[str, str]
LONGEST_S = 3600.0
"""The wall clock may be set: nothing waits longer without another look."""
Known = Mapping[tuple[str, str], Mapping[str, int]]
"""What policies wanted before a restart: by kind and qualifier, then by name."""


class _Held(msgspec.Struct):
    """One function's configurations, and what is kept because of them."""

    followed: list[Following]
    """One per configuration."""
    kept: dict[str, Function] = {}
    """What instances are kept of, by pool."""
    latest: Keep = NOTHING
    """What is kept of LATEST: its next revision gets the same."""
    change_ms: int | None = None
    """When a schedule or a window next changes it."""


class Keeper:
    """Acts on the configurations of all functions."""

    def __init__(
        self,
        routes: Routes,
        pools: Pools,
        clock: Clock,
        on_tracked: Callable[[Standing, Mapping[str, int]], None] = lambda _config, _numbers: None,
    ) -> None:
        """`on_tracked`: told what a configuration's policies want, by name, when that has changed."""
        self._routes = routes
        self._pools = pools
        self._clock = clock
        self._on_tracked = on_tracked
        self._held: dict[Key, _Held] = {}
        self._windows: dict[str, Window] = {}
        self._due_timer: Timer | None = None
        self._look_timer: Timer | None = None

    def stop(self) -> None:
        """No more decisions; the pools end their instances."""
        for timer in (self._due_timer, self._look_timer):
            if timer is not None:
                timer.cancel()

    def hold(self, key: Key, configs: Sequence[Standing], known: Known | None = None) -> None:
        """These are the function's configurations from now on."""
        held = self._held.setdefault(key, _Held([]))
        old = held.followed
        held.followed = [
            next((one for one in old if one.config == config), None)
            or Following(config, (known or {}).get((type(config).__name__, config.qualifier), {}))
            for config in configs
        ]
        for one in held.followed:
            if known is None and one.followers and one not in old:
                self._on_tracked(one.config, one.numbers)  # or a restart would go on where another policy was
        self._decide(key, held)
        if not held.followed and not held.kept:
            del self._held[key]
        self._watch()

    def changed(self, function: Function) -> None:
        """LATEST has another revision: what is kept ready of it is kept of that one."""
        held = self._held.get((function.account_id, function.name))
        if held is not None and held.latest != NOTHING:
            self._pools.keep(function, NOTHING if function.restriction else held.latest)

    def deleted(self, key: Key) -> None:
        """Nothing is kept for it any more."""
        held = self._held.pop(key, None)
        for function in held.kept.values() if held is not None else ():
            self._pools.keep(function, NOTHING)

    def ready(self, config: Standing) -> Ready:
        """How a configuration stands now."""
        held = self._held.get((config.account_id, config.function_name))
        followed = next((one for one in held.followed if one.config == config), None) if held is not None else None
        wanted = _wanted(followed or Following(config, {}), self._clock.now_ms())
        found = [self._pools.kept(one) for one, _ in self._shares(config, wanted)]
        ready = sum(number for number, _ in found)
        failure = next((why for _, why in found if why), "")
        latest = self._routes.latest(config.account_id, config.function_name)
        if latest is not None and latest.restriction is not None:
            failure = "the function is disabled: no instances are kept"
        return Ready(wanted, min(ready, wanted), failure if ready < wanted else "")

    # --- decisions ----------------------------------------------------------------------------------------------------

    def _decide(self, key: Key, held: _Held) -> None:
        function = self._routes.latest(*key)
        if function is None:
            return
        now_ms = self._clock.now_ms()
        changes = [at for one in held.followed for at in (minimum.at(one.config, now_ms)[1], one.next(now_ms))]
        held.change_ms = min((at for at in changes if at is not None), default=None)
        # As in the official service: a disabled function keeps no instances. Nor does one whose image is not here.
        idle = function.restriction is not None or function.runs is not function
        wanted = {} if idle else self._by_pool(held, now_ms)
        for pool_id, kept in held.kept.items():
            if pool_id not in wanted:
                self._pools.keep(kept, NOTHING)
        for one, keep in wanted.values():
            self._pools.keep(one, keep)
        held.kept = {pool_id: one for pool_id, (one, _) in wanted.items()}
        held.latest = wanted.get(function.pool_id, (function, NOTHING))[1]

    def _by_pool(self, held: _Held, now_ms: int) -> dict[str, tuple[Function, Keep]]:
        """What is kept of each version. Of one qualifier's configurations the larger counts; qualifiers add up."""
        qualifiers: dict[str, tuple[Standing, int, bool, bool]] = {}
        for one in held.followed:
            config, number = one.config, _wanted(one, now_ms)
            bounded = config.official.get("enableOnDemandScaling") is False
            always = bool(config.official.get("alwaysAllocateCPU"))
            _, other, also_bounded, also_always = qualifiers.get(config.qualifier, (config, 0, False, False))
            qualifiers[config.qualifier] = (
                config,
                max(number, other),
                bounded or also_bounded,
                always or also_always,
            )
        wanted: dict[str, tuple[Function, Keep]] = {}
        for config, number, bounded, always in qualifiers.values():
            for function, share in self._shares(config, number):
                keep = Keep(share, share if bounded else None, always)
                if share or bounded:
                    before = wanted.get(function.pool_id, (function, NOTHING))[1]
                    wanted[function.pool_id] = (function, before.plus(keep))
        return wanted

    def _shares(self, config: Standing, number: int) -> list[tuple[Function, int]]:
        key = (config.account_id, config.function_name)
        if config.qualifier == ids.LATEST:
            latest = self._routes.latest(*key)
            return [(latest, number)] if latest is not None else []
        return _shares(self._routes.targets(*key).get(config.qualifier), number)

    # --- time ---------------------------------------------------------------------------------------------------------

    def _watch(self) -> None:
        """Sets the timers: for the next schedule that is due, and for the next look at the use."""
        if self._due_timer is not None:
            self._due_timer.cancel()
            self._due_timer = None
        first_ms = min((one.change_ms for one in self._held.values() if one.change_ms is not None), default=None)
        if first_ms is not None:
            wait_s = min(LONGEST_S, max(0.0, (first_ms - self._clock.now_ms()) / 1000))
            self._due_timer = self._clock.call_later(wait_s, self._due)
        if self._look_timer is None and any(self._tracked()):
            self._look_timer = self._clock.call_later(tracking.EVERY_S, self._look)
            self._sample()

    def _due(self) -> None:
        self._due_timer = None
        now_ms = self._clock.now_ms()
        for key, held in list(self._held.items()):
            if held.change_ms is not None and held.change_ms <= now_ms:
                self._decide(key, held)
        self._watch()

    def _tracked(self) -> Iterator[tuple[Key, _Held, Following]]:
        return ((key, held, one) for key, held in self._held.items() for one in held.followed if one.followers)

    def _look(self) -> None:
        """Looks at the use of all that policies follow."""
        self._look_timer = None
        now_ms = self._clock.now_ms()
        uses = self._sample()
        for key, held, one in list(self._tracked()):
            found = (uses[function.pool_id] for function, _ in self._shares(one.config, 0))
            if one.look(now_ms, found):
                self._on_tracked(one.config, one.numbers)
                self._decide(key, held)
        self._watch()

    def _sample(self) -> dict[str, tracking.Use]:
        functions = {
            function.pool_id: function for _, _, one in self._tracked() for function, _ in self._shares(one.config, 0)
        }
        windows = {pool_id: self._windows.get(pool_id) or Window() for pool_id in functions}
        self._windows = windows
        return {
            pool_id: windows[pool_id].add(
                self._pools.used(function),
                tracking.Size(function.instance_concurrency, function.cpu, function.memory_mb),
            )
            for pool_id, function in functions.items()
        }


def _wanted(one: Following, now_ms: int) -> int:
    return max(minimum.at(one.config, now_ms)[0], one.number(now_ms))


def _shares(target: Target | None, number: int) -> list[tuple[Function, int]]:
    """An alias of two versions keeps instances of both, as it shares its calls."""
    if target is None:
        return []
    if isinstance(target, Function):
        return [(target, number)]
    extra = round(number * target.weight)
    return [(target.main, number - extra), (target.extra, extra)]
