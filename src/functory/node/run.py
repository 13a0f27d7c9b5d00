"""The process of a node: folder, spawner, loop, signals, in that order.

1 lock the data folder      2 start the spawner, while there is one thread and no loop
3 build and start the node  4 say `ready http://…`  5 wait for a signal  6 stop gracefully; a second signal ends at once
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import logging
import os
import signal
import sys
from collections.abc import Callable
from functools import partial

import uvloop

from functory.clock import SystemClock
from functory.config import Settings
from functory.node.compose import Node
from functory.node.folder import Folder
from functory.observe import logs
from functory.runtimes.python import Interpreters, find_interpreters
from functory.spawner import process
from functory.spawner.client import SpawnerClient
from functory.spawner.process import Launched

log = logging.getLogger("functory.node")

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_THRESHOLD = -1, -2, -3


def run(settings: Settings) -> int:
    """Runs a node until SIGINT or SIGTERM; the exit code. Raises `FunctoryError` if it cannot start."""
    logs.set_up(level=settings.log_level, style=settings.log_style)
    _keep_freed_memory()
    folder = Folder(settings.data)
    folder.open()
    try:
        interpreters = find_interpreters({name: path for name, path in settings.interpreters.items() if path})
        launch = partial(
            process.launch,
            prepare=interpreters.paths,
            readable=[str(folder.code), str(folder.layers)],
            isolation=settings.isolation,
        )
        launched = launch()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_serve(settings, folder, launched, launch, interpreters))
    finally:
        folder.close()


async def _serve(
    settings: Settings, folder: Folder, launched: Launched, launch: Callable[[], Launched], interpreters: Interpreters
) -> int:
    clock = SystemClock()
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, _signalled, stop)
    node = Node(settings, folder, SpawnerClient(launched, launch, clock), interpreters, clock)
    await node.start()
    _leave_to_rest()
    try:
        fresh = node.identity.write_credentials(folder.credentials, node.gateway.url)
        _greet(node, fresh=fresh)
        await stop.wait()
        log.info("Stopping: running requests may finish", extra=logs.fields("stop", grace_s=settings.shutdown_grace_s))
    finally:
        await node.stop()
    return 0


def _greet(node: Node, *, fresh: bool) -> None:
    tier = node.spawner.tier
    log.info("Isolation tier %s: %s", tier.name, tier.summary, extra=logs.fields("tier", tier=tier.name))
    if fresh:
        log.info(
            "A key was made; it is in %s",
            node.credentials_path(),
            extra=logs.fields("first_key", access_key_id=node.identity.admin.access_key_id),
        )
    sys.stdout.write(f"ready {node.gateway.url}\n")
    sys.stdout.flush()


def _signalled(stop: asyncio.Event) -> None:
    if stop.is_set():
        # Asked twice: whatever still runs is not waited for. The spawner sees our end and ends everything it made.
        os._exit(130)
    stop.set()


def _leave_to_rest() -> None:
    """What stands once the node has started stands until it ends: the garbage collector need not look at it again.

    It did so in the middle of work, for 25 ms and more of a loop that answers in less than one.
    """
    gc.collect()
    gc.freeze()


def _keep_freed_memory() -> None:
    """Large bodies come and go: without this each one is mapped, faulted in and unmapped again (3.6 times slower)."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return
    for option, value in ((_M_MMAP_THRESHOLD, 64 << 20), (_M_TRIM_THRESHOLD, 256 << 20), (_M_TOP_PAD, 16 << 20)):
        mallopt(option, value)
