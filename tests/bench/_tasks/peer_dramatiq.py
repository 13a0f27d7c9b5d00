"""The same no-op on Dramatiq. `dramatiq peer_dramatiq` runs it; as a script it submits and measures."""

from __future__ import annotations

import os
import sys

import dramatiq  # type: ignore[import-not-found]
from dramatiq.brokers.redis import RedisBroker  # type: ignore[import-not-found]
from redis import Redis  # type: ignore[import-not-found]

URL = os.environ["REDIS_URL"]
dramatiq.set_broker(RedisBroker(url=URL))
counter = Redis.from_url(os.environ["COUNTER_URL"])


@dramatiq.actor  # type: ignore[untyped-decorator]
def noop(payload: str) -> None:
    """Counts itself: the only thing that both sides can see."""
    counter.incr("done")


if __name__ == "__main__":
    from peer_measure import measure  # type: ignore[import-not-found]

    measure(noop.send, counter, int(sys.argv[1]))
