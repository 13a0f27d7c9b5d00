"""How bad a world is, and how its laws are broken."""

from __future__ import annotations

import msgspec


class Broken(AssertionError):
    """A law was broken; the message names the seed that shows it."""


class Faults(msgspec.Struct, frozen=True, kw_only=True):
    """How bad a world is; probabilities are per event."""

    tasks: int = 10
    lives: int = 4
    """How often the node is started."""
    crash: float = 0.7
    """That a life ends by a crash and not gracefully."""
    ghost: float = 0.3
    """That a crashed node is only frozen."""
    full: float = 0.03
    """That the disk is full when a group is to be committed."""
    stall: float = 0.05
    """That a commit takes seconds."""
    twice: float = 0.2
    """That a client submits what was accepted already."""
    stop: float = 0.15
    suspend: float = 0.25
    """That the node stands still in a life, as a stopped process does, for up to four leases, and goes on."""
    clock: float = 0.2
    """That a life begins with a wall clock that steps. In the end it is put right."""
