"""A world in which everything that can go wrong with tasks does, decided by a seed.

The real accept, dispatch, settle, sweep and deliver code runs over real SQLite in memory, on virtual time. Around it:

* a disk that is slow, stalls, is full for a while, or dies: before a commit (what waited is lost) or after it (what was
  stored was never answered)
* nodes that crash, stop gracefully, and come back; some as ghosts: a frozen process whose results arrive when another
  has long taken over
* nodes that stand still for several leases and go on, with timers long due and results that lie and wait
* instances that are quick, slow or for ever, answer, fail, throttle, exit; functions that are deleted
* clients that hear nothing and submit again, stop tasks, run them again
* destinations that refuse, delay, take a thing and forget to say so
* a wall clock that steps, and is put right in the end

Laws, looked at after every commit and at the end:

1  what was acknowledged is there, and comes to an end
2  an end never changes
3  every end has exactly one record for its destination, if it has one, and none if not
4  no function holds more slots than its limit, as long as no full disk has refused an end
5  no task has more attempts than it may, and none Succeeded without an answer
6  who lost a lease changes nothing
7  what has answered well is not run again in the same life of the node, however long that stood still

`run(seed)` raises `Broken` with the seed; the same seed runs the same way:

    python -m functory.testing.simulation 4711              # that one
    python -m functory.testing.simulation 4711 --count 500  # and those after it
"""

from __future__ import annotations

import asyncio

from functory.testing.simulation.faults import Broken, Faults
from functory.testing.simulation.world import World
from functory.testing.virtual import VirtualLoop

__all__ = ["Broken", "Faults", "run"]


def run(seed: int, faults: Faults | None = None) -> str:
    """Lives through the world of a seed; answers its fingerprint, raises `Broken`."""
    with VirtualLoop() as loop:
        world = World(loop, seed, faults or Faults())
        world.main = loop.create_task(world.live())
        try:
            loop.run_until_complete(world.main)
        except (Exception, asyncio.CancelledError) as broken:
            raise Broken(f"seed {seed}: {broken} {''.join(world.unhandled)}") from broken
        return world.fingerprint()
