"""Reads ahead what an image's start will need: recorded once, asked for at later cold starts.

POLICY: reading ahead pays only where the pages are gone from memory, and asking for them costs a few ten milliseconds
of a thread for a large image. So it is done at the first start after the node's own, and again when an image was not
started for ten minutes; between them its pages are most likely still there. The recording is made once, some seconds
after the first start that finds the layers freshly let go of: it holds what that start and its first requests read.
"""

from __future__ import annotations

import asyncio
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path

import msgspec

from functory.clock import Clock
from functory.observe.logs import fields
from functory.runtimes.images import pages
from functory.runtimes.images.manifest import Image
from functory.runtimes.images.store import ImageStore

log = logging.getLogger("functory.images")

AGAIN_S = 600.0
RECORD_AFTER_S = 5.0


class Prefetch:
    """Told of each start. A Service."""

    def __init__(self, store: ImageStore, *, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._started_ns: dict[str, int] = {}
        """When each image was last started."""
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Nothing is done ahead of need."""

    async def stop(self) -> None:
        """What is not recorded is recorded another time."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def finish(self) -> None:
        """Until all that was begun is done."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    def starting(self, image: Image) -> None:
        """An instance of the image is about to start. Returns at once."""
        now_ns = self._clock.monotonic_ns()
        last_ns = self._started_ns.get(image.digest)
        self._started_ns[image.digest] = now_ns
        if last_ns is None or now_ns - last_ns > AGAIN_S * 1e9:
            task = asyncio.get_running_loop().create_task(self._ask_or_record(image), name="prefetch")
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _ask_or_record(self, image: Image) -> None:
        layers = self._store.root(image).layers
        try:
            recording = await asyncio.to_thread(self._read, image.digest)
            if recording is not None:
                await asyncio.to_thread(pages.ask, layers, recording)
                return
            await self._clock.sleep(RECORD_AFTER_S)
            await _record(self._store.pages(image.digest), layers)
        except OSError as failure:
            log.warning(
                "What an image reads at its start could not be recorded or read ahead; starts are slower for it",
                extra=fields("prefetch_image", image=image.digest, reason=failure),
            )

    def _read(self, digest: str) -> pages.Recording | None:
        try:
            return msgspec.json.decode(self._store.pages(digest).read_bytes(), type=pages.Recording)
        except (FileNotFoundError, msgspec.DecodeError):
            return None


async def _record(file: Path, layers: Sequence[str]) -> None:
    """OSError if the process that records does not get it done."""
    arguments = ("-I", "-m", "functory.runtimes.images.pages", str(file), *layers)
    nothing = asyncio.subprocess.DEVNULL
    child = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdin=nothing, stdout=nothing, env={"PATH": os.defpath}
    )
    try:
        code = await child.wait()
    except BaseException:
        child.kill()
        await child.wait()
        raise
    if code:
        raise OSError(f"the process that records ended with code {code}")
