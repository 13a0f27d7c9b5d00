"""POLICY: how much memory the node's instances may hold together. Pure: numbers in, numbers out.

A machine that swaps what is running is lost to all its functions, so the bound is kept before it comes to that, over
what instances really hold, not over their limits: most functions use a tenth of the memory they are given, and a node
that added the limits up would stand empty.

* Nearly full (nine tenths): nothing is made ahead of need, and what stands by is paged out at once, where it can be.
* Full: whoever waits gets the room of unused instances, the least worth first (`evict.py`).
* Full of what runs or is kept: nothing new is made. Callers wait their bounded time, then are told that they ask too
  much of the node: 429, the same request may succeed later.

A new instance is taken to hold as much as the others do on average, and never less than a small one really does.
"""

from __future__ import annotations

import msgspec

NEARLY_FULL = 0.9
SMALLEST_BYTES = 2 << 20
"""What a small Python instance holds."""
MACHINE_SHARE = 0.7
"""Of the machine's memory, unless the operator says otherwise: the rest is the kernel's cache, the node's, others'."""


def share_of(machine_bytes: int) -> int:
    """What instances may hold on a machine of this memory, unless told otherwise; 0 = not known, so not bounded."""
    return int(machine_bytes * MACHINE_SHARE)


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What all instances of the node hold, at one moment."""

    budget_bytes: int
    """What they may hold; 0 = not bounded."""
    held_bytes: int
    instances: int

    @property
    def short(self) -> bool:
        """Nearly full."""
        return bool(self.budget_bytes) and self.held_bytes >= self.budget_bytes * NEARLY_FULL


def expected_bytes(memory: Memory) -> int:
    """What one more instance is taken to hold."""
    return max(SMALLEST_BYTES, memory.held_bytes // memory.instances if memory.instances else 0)


def room(memory: Memory, most: int) -> int:
    """How many more instances fit in; at most `most`."""
    if not memory.budget_bytes:
        return most
    return max(0, min(most, (memory.budget_bytes - memory.held_bytes) // expected_bytes(memory)))


def too_many(memory: Memory) -> int:
    """How many instances of average size have to go for it to fit in again."""
    over = memory.held_bytes - memory.budget_bytes if memory.budget_bytes else 0
    return -(-over // expected_bytes(memory)) if over > 0 else 0
