"""Who makes instances, as the pools know it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from functory.lifecycle import Service
from functory.model.instance import Exit, Gauges, GroupFiles, InstanceSpec
from functory.model.invocation import Invocation
from functory.spawner.protocol import TierReport


class Network(Protocol):
    """A relayed instance's network, as the instance's owner sees it."""

    on_denied: Callable[[bytes], None] | None
    """Told what the instance was refused, as lines for its log."""

    def take(self) -> tuple[int, int]:
        """Bytes that came in and went out since the last time."""

    def tell_late(self, invocation: Invocation, text: bytes) -> None:
        """A line of an invocation that is over, and recorded perhaps."""


class Spawned(msgspec.Struct, frozen=True, kw_only=True):
    """An instance whose process runs; it has not said HELLO yet. The descriptors are the caller's to close."""

    pid: int
    request_fd: int
    """Write end, non-blocking."""
    reply_fd: int
    """Read end, non-blocking."""
    log_fd: int
    """Read end of the instance's raw descriptors 1 and 2, non-blocking. Must always be read: it blocks its writers."""
    gauges: Gauges | None = None
    """Where its usage is told; None where it has no control group."""
    files: GroupFiles = GroupFiles()
    """Where it can be frozen, and what it holds be read."""
    relayed: tuple[int, ...] = ()
    """Sockets in its network, in the order of `sandbox.networks`; only where the network is `allow`."""
    network: Network | None = None
    """Set where somebody relays it."""


class Spawner(Service, Protocol):
    """Makes instances. The pool knows only this."""

    @property
    def tier(self) -> TierReport:
        """What the boxes are worth."""

    async def spawn(self, spec: InstanceSpec, on_exit: Callable[[Exit], None], parent: str = "") -> Spawned:
        """A new process for `spec`; `Unavailable` with the reason if it cannot be made.

        `parent`: the id of a template that it shall be a fork of. If that is gone or not ready, it is made without.
        `on_exit` is called once, on the loop's thread, when the main process has ended and its tree is gone.
        """

    def kill(self, instance_id: str) -> None:
        """End the whole tree now. Harmless for one that is gone; `on_exit` still comes."""
