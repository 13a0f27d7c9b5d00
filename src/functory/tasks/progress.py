"""What running tasks say of how far they are: the latest word of each is kept, no more often than the disk likes.

    instance ─NOTE→ Invocation.on_note → Progress.said ⋯ at most every EVERY_S per node → queue.note (a fenced write)

A function may speak as often as it wants: only its last word counts, and what is lost of it in a crash is only news.
"""

from __future__ import annotations

import asyncio
import logging

import msgspec

from functory.clock import Clock, Timer
from functory.observe.logs import fields
from functory.queue.base import Leased, Queue, Ref

log = logging.getLogger("functory.tasks")

EVERY_S = 0.2
MAX_BYTES = 4_096


class Progress:
    """Gathers words and writes them. Called on the loop's thread."""

    def __init__(self, queue: Queue, *, clock: Clock) -> None:
        self._queue = queue
        self._clock = clock
        self._latest: dict[Ref, bytes] = {}
        self._timer: Timer | None = None

    def said(self, leased: Leased, word: bytes) -> None:
        """A running row says `word`, which should be JSON; anything else is dropped."""
        if len(word) > MAX_BYTES:
            return
        self._latest[Ref(leased.id, leased.epoch)] = word
        if self._timer is None:
            self._timer = self._clock.call_later(EVERY_S, self._write)

    def stop(self) -> None:
        """Nothing more is written."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._latest.clear()

    def _write(self) -> None:
        self._timer = None
        latest, self._latest = self._latest, {}
        for ref, word in latest.items():
            try:
                # It came from user code and goes into answers as it is: only what is JSON may pass.
                text = msgspec.json.encode(msgspec.json.decode(word)).decode()
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                continue
            self._queue.note(ref, text).add_done_callback(_written)


def _written(done: asyncio.Future[bool]) -> None:
    failure = None if done.cancelled() else done.exception()
    if failure is not None:
        log.warning("The progress of a task cannot be stored", extra=fields("note_progress", reason=failure))
