"""The same no-op on Celery. `celery -A peer_celery worker` runs it; as a script it submits and measures."""

from __future__ import annotations

import os
import sys

from celery import Celery  # type: ignore[import-not-found]
from redis import Redis  # type: ignore[import-not-found]

URL = os.environ["REDIS_URL"]
app = Celery("peer", broker=URL)
app.conf.update(task_acks_late=True, task_ignore_result=True, broker_connection_retry_on_startup=True)
counter = Redis.from_url(os.environ["COUNTER_URL"])


@app.task(name="noop")  # type: ignore[untyped-decorator]
def noop(payload: str) -> None:
    """Counts itself: the only thing that both sides can see."""
    counter.incr("done")


if __name__ == "__main__":
    from peer_measure import measure  # type: ignore[import-not-found]

    measure(noop.delay, counter, int(sys.argv[1]))
