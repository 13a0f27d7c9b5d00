"""The node's side of the spawner: ask for instances, hear of their ends."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

import msgspec

from functory.lifecycle import Service
from functory.model.instance import Exit, InstanceSpec


class TierReport(msgspec.Struct, frozen=True, kw_only=True):
    """How strong the isolation is: said aloud at start, in /healthz and by `functory doctor`."""

    name: str
    """`A`, `A1`, `B`, `B0`, `C` or `D`."""
    summary: str
    """A sentence: what is shut off, and what is not."""
    missing: tuple[str, ...] = ()
    """What would make it better, one sentence each."""


class Spawned(msgspec.Struct, frozen=True, kw_only=True):
    """An instance whose process runs; it has not said HELLO yet. The descriptors are the caller's to close."""

    pid: int
    request_fd: int
    """Write end, non-blocking."""
    reply_fd: int
    """Read end, non-blocking."""
    log_fd: int
    """Read end of the instance's raw descriptors 1 and 2, non-blocking."""


class Spawner(Service, Protocol):
    """Makes instances. The pool knows only this."""

    @property
    def tier(self) -> TierReport:
        """What the boxes are worth."""

    async def spawn(self, spec: InstanceSpec, on_exit: Callable[[Exit], None]) -> Spawned:
        """A new process for `spec`; `Unavailable` with the reason if it cannot be made.

        `on_exit` is called once, on the loop's thread, when the main process has ended and its tree is gone.
        """

    def kill(self, instance_id: str) -> None:
        """End the whole tree now. Harmless for one that is gone; `on_exit` still comes."""
