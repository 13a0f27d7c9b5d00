"""Put on the path of a node that is measured: notes what stops it, for whoever asks why a start was late.

Lines of `PAUSES_FILE`: `gc 41.3 41.1` (a collection took 41.3 ms, of which the loop's thread had a processor for 41.1)
and `late 12.0 1.5` (a timer of the loop came 12 ms late; the thread had run for 1.5 of them: the machine was busy with
something else, or another thread held the interpreter). Only what takes 5 ms or more is noted.
"""

import asyncio
import gc
import os
import time
from typing import Any

NOTED_MS = 5.0
TICK_S = 0.005


def _install(path: str) -> None:
    began = ran = 0

    def note(line: str) -> None:
        with open(path, "a") as file:
            file.write(line + "\n")

    def collected(phase: str, info: dict[str, Any]) -> None:
        nonlocal began, ran
        if phase == "start":
            began, ran = time.monotonic_ns(), time.thread_time_ns()
            return
        took_ms = (time.monotonic_ns() - began) / 1e6
        if took_ms >= NOTED_MS:
            note(f"gc {took_ms:.1f} {(time.thread_time_ns() - ran) / 1e6:.1f}")

    def watch(loop: Any) -> None:
        due, had = time.monotonic() + TICK_S, time.thread_time_ns()

        def tick() -> None:
            nonlocal due, had
            late_ms = (time.monotonic() - due) * 1000
            if late_ms >= NOTED_MS:
                note(f"late {late_ms:.1f} {(time.thread_time_ns() - had) / 1e6:.1f}")
            due, had = time.monotonic() + TICK_S, time.thread_time_ns()
            loop.call_later(TICK_S, tick)

        loop.call_later(TICK_S, tick)

    gc.callbacks.append(collected)
    run = asyncio.Runner.run

    def watched(self: Any, coro: Any, **options: Any) -> Any:
        watch(self.get_loop())
        return run(self, coro, **options)

    asyncio.Runner.run = watched  # type: ignore[method-assign]


if os.environ.get("PAUSES_FILE"):
    _install(os.environ["PAUSES_FILE"])
