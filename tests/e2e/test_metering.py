"""What calls use, as their records say it, on a real node with boxes."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from e2e.node_process import NodeProcess
from e2e.test_containment import WITH_GROUPS, House, _house, message_of, roots_node
from functory.sdk import Client
from functory.sdk.requests import Request

__all__ = ["roots_node"]

pytestmark = pytest.mark.server

SPIN = """
import json, os, subprocess, sys, time
BURN = "import time\\nend = time.process_time() + %f\\nwhile time.process_time() < end: pass"
def burn(seconds):
    end = time.thread_time() + seconds
    while time.thread_time() < end: pass
def handler(event, context):
    asked = json.loads(event)
    burn(asked.get("own", 0))
    if asked.get("child"):
        subprocess.run([sys.executable, "-S", "-c", BURN % asked["child"]], check=True)
    if asked.get("mb"):
        block = bytearray(asked["mb"] << 20)
        block[::4096] = b"x" * len(block[::4096])
        del block
    if asked.get("child mb"):
        code = "b = bytearray(%d << 20); b[::4096] = b'x' * len(b[::4096])" % asked["child mb"]
        subprocess.run([sys.executable, "-S", "-c", code], check=True)
    return "done"
"""
FREE = """
import time
end = time.monotonic() + 3
while time.monotonic() < end: pass
print(time.process_time() / 3)
"""
IN_TURNS = """
import threading, time
def handler(event, context):
    end = time.thread_time() + float(event)
    while time.thread_time() < end: pass
    time.sleep(0.2)
    return b"done"
"""
CHILD_KILLED = '''
import subprocess, sys
CODE = """
import os, time
for _ in range(5):
    if not os.fork():
        block = bytearray(200 << 20)
        for at in range(0, len(block), 4096): block[at] = 1
        time.sleep(2)
        os._exit(0)
for _ in range(5): os.wait()
"""
def handler(event, context):
    if event == b"exit":
        import os
        os._exit(7)
    print("before")
    subprocess.run([sys.executable, "-S", "-c", CODE])
    return "lived on"
'''


@pytest.fixture
def house(request: pytest.FixtureRequest) -> Iterator[House]:
    yield from _house(request.getfixturevalue("roots_node"))


def used(house: House, name: str, event: object) -> Request:
    answer = house.client.invoke(name, json.dumps(event).encode())
    assert not answer.error_type, answer.payload
    return house.client.requests.get(answer.request_id, wait_s=5)


def test_processor_time_is_the_calls_own_with_that_of_its_children(house: House) -> None:
    name = house.deploy(SPIN, cpu=1, memorySize=1024)
    used(house, name, {})
    for event, low, high in (({"own": 0.2}, 180, 300), ({}, 0, 30), ({"own": 0.05, "child": 0.2}, 230, 450)):
        ms = used(house, name, event).cpu_us / 1000
        assert low <= ms <= high, (event, ms)


def test_the_peak_of_memory_is_the_calls_own_with_that_of_its_children(house: House) -> None:
    if house.tier not in WITH_GROUPS:
        pytest.skip(f"cannot be shown here: tier {house.tier} has no control groups")
    name = house.deploy(SPIN)
    before = used(house, name, {}).memory_peak_bytes >> 20
    assert 100 <= (used(house, name, {"mb": 100}).memory_peak_bytes >> 20) - before <= 130
    assert (used(house, name, {}).memory_peak_bytes >> 20) <= before + 20, "the call before is not in it"
    assert 100 <= (used(house, name, {"child mb": 100}).memory_peak_bytes >> 20) - before <= 140


def test_calls_side_by_side_share_what_their_instance_used(house: House) -> None:
    name = house.deploy(IN_TURNS, cpu=1, memorySize=1024, instanceConcurrency=4)
    found: list[Request] = []

    def call() -> None:
        with Client(house.node.credentials) as client:
            answer = client.invoke(name, b"0.1")
            found.append(client.requests.get(answer.request_id, wait_s=5))

    house.client.invoke(name, b"0")
    callers = [threading.Thread(target=call) for _ in range(4)]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    assert len({one.instance_id for one in found}) == 1
    assert 380_000 <= sum(one.cpu_us for one in found) <= 700_000
    first = min(one.started_at_ms for one in found)
    last = max(one.started_at_ms + (one.queued_us + one.duration_us) / 1000 for one in found)
    assert sum(one.billed_ms for one in found) <= last - first + 8, "each moment is paid for once"
    assert all(one.billed_ms * 1000 < one.duration_us for one in found)


def test_a_child_that_is_killed_for_memory_is_named_though_the_function_lives_on(house: House) -> None:
    if house.tier not in WITH_GROUPS:
        pytest.skip(f"cannot be shown here: tier {house.tier} has no control groups")
    name = house.deploy(CHILD_KILLED, memorySize=256, cpu=0.25)
    answer = house.client.invoke(name)
    assert answer.payload == b"lived on", answer.payload
    record = house.client.requests.get(answer.request_id, wait_s=5)
    assert (record.status, record.error_type) == ("ok", "")
    assert record.oom_kills >= 1
    text = house.client.requests.logs(answer.request_id).text
    assert "of the function ended by the kernel: out of memory (limit 256 MB)" in text
    assert "before" in text
    second = house.client.invoke(name, b"exit")
    assert "exit code 7" in message_of(second), "what was killed earlier is not why it ended now"
    assert house.client.requests.get(second.request_id, wait_s=5).status == "exited"


def test_two_that_spin_get_the_share_of_processors_that_was_set(house: House) -> None:
    if house.tier not in WITH_GROUPS:
        pytest.skip(f"cannot be shown here: tier {house.tier} has no control groups")
    shares = {0.1: 0.0, 0.5: 0.0}
    source = "import time\ndef handler(e, c):\n    end = time.monotonic() + 3\n    while time.monotonic() < end: pass\n"
    names = {cpu: house.deploy(source, cpu=cpu, memorySize=mb) for cpu, mb in ((0.1, 128), (0.5, 512))}

    def spin(cpu: float) -> None:
        with Client(house.node.credentials) as client:
            record = client.requests.get(client.invoke(names[cpu]).request_id, wait_s=10)
            shares[cpu] = record.cpu_us / record.duration_us

    callers = [threading.Thread(target=spin, args=(cpu,)) for cpu in shares]
    for caller in callers:
        caller.start()
    # What a process without any bound gets at the same time: beside other work nobody is given more than that.
    free = float(subprocess.run([sys.executable, "-c", FREE], capture_output=True, check=True).stdout)
    for caller in callers:
        caller.join()
    for cpu, share in shares.items():
        assert min(cpu * 0.8, free * 0.6) <= share <= cpu * 1.2, (shares, free)


def test_a_statement_has_calls_and_standing_each_once_over_stop_and_kill() -> None:
    with tempfile.TemporaryDirectory(prefix="functory-cost-", dir="/var/tmp") as folder:
        node = started(folder)
        with Client(node.credentials) as client:
            house = House(node, client)
            plain, kept = (house.deploy("def handler(e, c): return e", cpu=0.5) for _ in range(2))
            client.invoke(plain)
            put_provision(client, kept, 2)
            first = client.invoke(kept)
            assert client.requests.get(first.request_id, wait_s=5).resource_mode == "Provisioned"
            began = time.monotonic()
        assert node.stop() == 0, node.log
        stood_ms = (time.monotonic() - began) * 1000
        node = started(folder)
        try:
            with Client(node.credentials) as client:
                lines = {(one.function_name, one.line): one for one in client.cost.lines()}
                assert set(lines) == {(plain, "onDemand"), (kept, "provisioned"), (kept, "standing")}
                assert (lines[plain, "onDemand"].calls, lines[kept, "provisioned"].calls) == (1, 1)
                standing = lines[kept, "standing"]
                assert 0 < standing.instance_ms <= 2 * (stood_ms + 20_000)
                # 512 MB at 0.15 CU per GB and second, processors idle: 1.5 nano-USD per instance and millisecond.
                assert standing.cost_nano_usd == pytest.approx(standing.instance_ms * 1.5, abs=1)
                assert "kept ready" in node.cli("cost").stdout
            node.process.kill()
            node._end()
            node = started(folder)
            with Client(node.credentials) as client:
                again = {(one.function_name, one.line): one for one in client.cost.lines()}
            assert again == lines, "what was not written in a batch is lost, what was is there once"
        finally:
            node.stop()


def started(folder: str) -> NodeProcess:
    node = NodeProcess(Path(folder))
    node.start()
    return node


def put_provision(client: Client, name: str, target: int) -> None:
    """Asks for instances, and waits until they are there."""
    path = f"/2023-03-30/functions/{name}/provision-config"
    transport = client.requests._transport
    transport.call("PutProvisionConfig", "PUT", path, body=json.dumps({"target": target}).encode())
    until = time.monotonic() + 10
    while json.loads(transport.call("GetProvisionConfig", "GET", path).body)["current"] < target:
        assert time.monotonic() < until
        time.sleep(0.02)
