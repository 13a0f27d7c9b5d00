"""Schedules and tracking policies acted on by a real node, and there again after a restart."""

from __future__ import annotations

import json
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from e2e.node_process import NodeProcess
from e2e.test_hostile_functions import zipped
from functory.sdk import Client

pytestmark = pytest.mark.server

SLEEP = "import time\ndef handler(event, context):\n    time.sleep(float(event))\n    return 'slept'\n"
PATH = "/2023-03-30/functions/sleeper/provision-config"


def provision(client: Client, method: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    text = json.dumps(body).encode() if body is not None else b""
    answer = client.requests._transport.call(f"{method.title()}ProvisionConfig", method, PATH, body=text)
    found: dict[str, Any] = json.loads(answer.body)
    return found


def wait_for(client: Client, target: int, limit_s: float) -> None:
    """Until so many are wanted, and there."""
    until = time.monotonic() + limit_s
    while (shown := provision(client, "GET"))["target"] != target or shown["current"] != target:
        assert time.monotonic() < until, shown
        time.sleep(0.05)


def test_a_schedule_and_a_policy_make_instances_ready_and_a_restart_goes_on_there() -> None:
    with tempfile.TemporaryDirectory(prefix="functory-standing-", dir="/var/tmp") as folder:
        node = NodeProcess(Path(folder))
        node.start()
        with Client(node.credentials) as client:
            client.functions.create(
                "sleeper", {"runtime": "python3", "handler": "index.handler", "timeout": 60}, zipped(SLEEP)
            )
            due = (datetime.now(UTC) + timedelta(seconds=2)).strftime("%Y-%m-%dT%H:%M:%SZ")
            policy = {"name": "busy", "metricType": "ProvisionedConcurrencyUtilization", "metricTarget": 0.4}
            shown = provision(
                client,
                "PUT",
                {
                    "target": 1,
                    "scheduledActions": [{"name": "soon", "scheduleExpression": f"at({due})", "target": 2}],
                    "targetTrackingPolicies": [policy | {"minCapacity": 1, "maxCapacity": 4}],
                },
            )
            assert shown["target"] == 1
            callers = [threading.Thread(target=client.invoke, args=("sleeper", b"12")) for _ in range(2)]
            for caller in callers:
                caller.start()
            wait_for(client, 2, limit_s=8)
            wait_for(client, 4, limit_s=15)
            for caller in callers:
                caller.join()
        assert node.stop() == 0, node.log
        node = NodeProcess(Path(folder))
        node.start()
        try:
            with Client(node.credentials) as client:
                wait_for(client, 4, limit_s=10)
        finally:
            assert node.stop() == 0, node.log
