"""Submits from one process while the peer's workers run, and waits until all are done. Prints two rates."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from typing import Any

PAYLOAD = "x" * 100
WARM = 50


def measure(submit: Callable[[str], Any], counter: Any, count: int) -> None:
    """`{"submits": per second, "tasks": per second}`."""
    for _ in range(WARM):
        submit(PAYLOAD)
    _wait(counter, WARM)
    begin = time.monotonic()
    for _ in range(count):
        submit(PAYLOAD)
    submitted = time.monotonic()
    _wait(counter, WARM + count)
    ended = time.monotonic()
    sys.stdout.write(json.dumps({"submits": count / (submitted - begin), "tasks": count / (ended - begin)}))


def _wait(counter: Any, count: int) -> None:
    while int(counter.get("done") or 0) < count:
        time.sleep(0.005)
