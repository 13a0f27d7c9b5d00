"""A spawner whose instances are relayed where their policy says so; all others pass through untouched."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import structs

from functory.model import errors
from functory.model.instance import Exit, InstanceSpec
from functory.network import kernel
from functory.network.client import Relay
from functory.spawner.base import Spawned, Spawner
from functory.spawner.protocol import TierReport


class RelayedSpawner:
    """A `Spawner` over another one and the relay. Instances see nothing of their policy but its effect."""

    def __init__(self, inner: Spawner, relay: Relay) -> None:
        self._inner = inner
        self._relay = relay

    @property
    def tier(self) -> TierReport:
        """What the boxes are worth."""
        return self._inner.tier

    async def start(self) -> None:
        """Both are services of their own."""

    async def stop(self) -> None:
        """Both are services of their own."""

    async def spawn(self, spec: InstanceSpec, on_exit: Callable[[Exit], None], parent: str = "") -> Spawned:
        """A new process for `spec`; `Unavailable` with the reason if it cannot be made."""
        policy = spec.policy
        if policy is None or spec.network != "allow":
            return await self._inner.spawn(spec, on_exit, parent)
        name = spec.instance_id

        gone = False

        def ended(exit_: Exit) -> None:
            nonlocal gone
            gone = True
            self._relay.detach(name)
            on_exit(exit_)

        bare = structs.replace(spec, policy=None, network_rules=kernel.rules(policy))
        spawned = await self._inner.spawn(bare, ended)
        try:
            network = self._relay.attach(name, policy, spawned.relayed)
        except OSError as failure:
            self._inner.kill(name)
            raise errors.Unavailable(f"instance {name} cannot be made: {failure}") from failure
        if gone:
            self._relay.detach(name)
        return structs.replace(spawned, relayed=(), network=network)

    def kill(self, instance_id: str) -> None:
        """End the whole tree now."""
        self._inner.kill(instance_id)
