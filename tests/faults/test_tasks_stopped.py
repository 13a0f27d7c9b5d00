"""A node that stands still while its instances go on: what they did in time counts, and is not done again."""

from __future__ import annotations

import signal
import threading
from pathlib import Path

import pytest

from e2e.node_process import NodeProcess
from faults.functions import make
from functory.queue.pump import PumpConfig
from functory.sdk import Client

pytestmark = [pytest.mark.server, pytest.mark.timeout(240)]

PATIENCE_S = 60.0
STILL_S = 3 * PumpConfig().lease_ms / 1000 + 1
SLOW = """
import asyncio

async def handler(event, context):
    await asyncio.sleep(3)
    return event
"""


def test_what_ended_while_the_node_was_stopped_for_three_leases_is_not_run_again(tmp_path: Path) -> None:
    """Answers lie in the pipes when deadlines, heartbeats and sweeps are long due: of one function, all of them are."""
    node = NodeProcess(tmp_path, "--log-level", "warning")
    node.start()
    try:
        with Client(node.credentials) as client:
            for name, timeout_s in (("short", 8), ("long", 120)):
                make(client, name, SLOW, concurrency=4, timeout_s=timeout_s)
            tasks = [client.submit(name, name) for name in ("short", "long") for _ in range(4)]
            while any(one.status != "Running" for name in ("short", "long") for one in client.tasks.page(name).tasks):
                pass
            node.process.send_signal(signal.SIGSTOP)
            threading.Event().wait(STILL_S)
            node.process.send_signal(signal.SIGCONT)
            for task in tasks:
                ended = task.wait(PATIENCE_S)
                assert [event.status for event in ended.events] == ["Enqueued", "Running", "Succeeded"]
                assert task.result() in (b"short", b"long")
    finally:
        code = node.stop()
    assert code == 0
