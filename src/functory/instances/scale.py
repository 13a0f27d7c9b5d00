"""POLICY: how many instances a function gets. Pure: numbers in, a number out.

An instance costs a start (milliseconds) and memory; waiting costs the caller time. So:

* Nobody is there: each waiting invocation is worth an instance, as with the official service. The caller waits anyhow,
  and a second one behind an unknown first might wait a whole run time.
* Somebody is there and the function is known to be quick: waiting for a free instance is cheaper than starting one as
  long as the expected wait (waiting × mean run time / slots) is shorter than a start. Eight callers of a 50 µs function
  are served best by one or two instances, not by eight that evict each other from the processor's caches.
* The estimate can be wrong (one call hangs, the others queue behind it): whoever has waited for two start times proves
  it wrong, and gets instances as in the first case.
* Never more than the limits allow, and never more being started than invocations wait.
"""

from __future__ import annotations

import msgspec

DEFAULT_START_MS = 8.0
"""What a start is taken to cost before one was measured."""


class Demand(msgspec.Struct, frozen=True, kw_only=True):
    """What one function needs, at one moment."""

    waiting: int
    """Invocations without an instance."""
    oldest_wait_ms: float
    """How long the first of them has waited."""
    alive: int
    """Instances that can run something."""
    starting: int
    concurrency: int
    """Invocations an instance may run at once."""
    mean_run_ms: float
    """Moving mean of the run time; negative if nothing has run yet."""
    start_ms: float
    """What a start has cost lately."""
    room: int
    """How many more instances the limits allow."""


def starts_wanted(demand: Demand) -> int:
    """How many instances to start now."""
    if demand.waiting <= 0 or demand.room <= 0:
        return 0
    needed = -(-demand.waiting // demand.concurrency)
    if demand.alive > 0 and demand.mean_run_ms >= 0:
        slots = demand.alive * demand.concurrency
        expected_wait_ms = demand.waiting * demand.mean_run_ms / slots
        if expected_wait_ms <= demand.start_ms and demand.oldest_wait_ms <= 2 * demand.start_ms:
            return 0
    return max(0, min(needed - demand.starting, demand.room))
