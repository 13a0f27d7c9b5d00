"""Asynchronous tasks on a real node, from the 202 to whoever is told of the end."""

from __future__ import annotations

import hashlib
import hmac
import io
import json
import re
import socket
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import pytest

from e2e.hook_server import Arrived, HookServer, hook_server
from e2e.node_process import NodeProcess, clean_environment
from functory.sdk import ApiError, Client, Submitted, TaskFailed, TaskNotEnded

pytestmark = pytest.mark.server

T = TypeVar("T")
FC = "/2023-03-30/functions"
PATIENCE_S = 20.0
ECHO = "def handler(event, context):\n    return event\n"
FAIL = "def handler(event, context):\n    print('tried')\n    raise ValueError(event.decode())\n"
WAIT = """
import os, socket

def handler(event, context):
    gate = socket.create_connection(("127.0.0.1", int(os.environ["GATE"])))
    gate.sendall(context.request_id.encode())
    return gate.recv(100)
"""


def make(client: Client, name: str, code: str, **fields: Any) -> str:
    """A function, new on this node; its ARN."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("index.py", code)
    whole = {"runtime": "python3", "handler": "index.handler", "timeout": 30, **fields}
    return client.functions.create(name, whole, out.getvalue()).function_arn


def configure(client: Client, name: str, **fields: Any) -> None:
    """PutAsyncInvokeConfig."""
    path = f"{FC}/{name}/async-invoke-config"
    client._transport.call("PutAsyncInvokeConfig", "PUT", path, body=msgspec.json.encode(fields))


@pytest.fixture
def gate() -> Iterator[socket.socket]:
    """Where functions wait until the test lets them go on."""
    listening = socket.create_server(("127.0.0.1", 0))
    listening.settimeout(PATIENCE_S)
    yield listening
    listening.close()


def waiting(client: Client, name: str, gate: socket.socket, **fields: Any) -> str:
    port = str(gate.getsockname()[1])
    return make(client, name, WAIT, environmentVariables={"GATE": port}, **fields)


@pytest.fixture
def hook() -> Iterator[HookServer]:
    """Somebody who is told of ends."""
    with hook_server() as server:
        yield server


def test_a_202_becomes_a_result_and_a_history(client: Client) -> None:
    make(client, "later", ECHO)
    submitted = client.submit("later", b"\x00 bytes \xff", task_id="first")
    assert submitted.task_id == "first"
    assert submitted.result(PATIENCE_S) == b"\x00 bytes \xff"
    task = submitted.get()
    assert (task.status, task.request_id) == ("Succeeded", submitted.request_id)
    assert [event.status for event in task.events] == ["Enqueued", "Running", "Succeeded"]
    assert task.end_time >= task.started_time > 0
    record = client.requests.get(submitted.request_id, wait_s=PATIENCE_S)
    assert (record.kind, record.status) == ("async", "ok")


def test_payloads_up_to_the_limit_run_and_longer_ones_are_refused_before_the_202(client: Client) -> None:
    make(client, "bulky", ECHO)
    whole = bytes(range(256)) * 512
    assert client.submit("bulky", whole).result(PATIENCE_S) == whole
    for size in (131_073, 3_000_000):
        with pytest.raises(ApiError) as refused:
            client.submit("bulky", b"x" * size, task_id="toolong")
        assert refused.value.code == "EntityTooLarge"
    with pytest.raises(ApiError) as missing:
        client.tasks.get("bulky", "toolong")
    assert missing.value.code == "StatefulAsyncInvocationNotFound"


def test_a_damaged_payload_fails_its_task_which_names_the_checksum(node: NodeProcess, client: Client) -> None:
    make(client, "damaged", ECHO)
    submitted = client.submit("damaged", bytes(100_000), delay_s=1)
    (blob,) = [path for path in node.data.rglob(f"*{submitted.request_id}*") if path.is_file()]
    blob.write_bytes(bytes(50_000) + b"!" + bytes(49_999))
    task = submitted.wait(PATIENCE_S)
    assert (task.status, task.task_payload) == ("Failed", "")
    assert re.search(r"has CRC-32 [0-9a-f]{8} instead of [0-9a-f]{8}", task.task_error_message)


def test_the_same_ids_from_64_clients_at_once_are_one_task_each(node: NodeProcess, client: Client) -> None:
    make(client, "once", ECHO)
    clients, ids = 64, [f"the-one-{number}" for number in range(8)]
    all_there = threading.Barrier(clients)

    def submit(number: int) -> list[str]:
        said = []
        with Client(node.credentials) as own:
            for task_id in ids:
                all_there.wait(PATIENCE_S)
                try:
                    said.append(own.submit("once", str(number), task_id=task_id).task_id)
                except ApiError as refused:
                    said.append(f"{refused.status} {refused.code}")
        return said

    with ThreadPoolExecutor(clients) as threads:
        said = list(threads.map(submit, range(clients)))
    for task_id, answers in zip(ids, zip(*said, strict=True), strict=True):
        assert sorted(answers) == ["409 StatefulAsyncInvocationAlreadyExists"] * (clients - 1) + [task_id]
        assert client.tasks.wait("once", task_id, PATIENCE_S).succeeded
    assert {one.task_id for one in client.tasks.list("once")} == set(ids)


@pytest.mark.parametrize(
    ("name", "options", "code"),
    [
        ("nobody", {}, "FunctionNotFound"),
        ("strict", {"qualifier": "nothing"}, "AliasNotFound"),
        ("strict", {"qualifier": "7"}, "VersionNotFound"),
        ("strict", {"delay_s": 3601}, "InvalidArgument"),
        ("strict", {"delay_s": -1}, "InvalidArgument"),
        ("strict", {"task_id": "9 lives"}, "InvalidArgument"),
        ("strict", {"priority": 10}, "InvalidArgument"),
    ],
)
def test_what_cannot_run_is_refused_instead_of_accepted(
    client: Client, name: str, options: dict[str, Any], code: str
) -> None:
    if "strict" not in [one.function_name for one in client.functions.list("strict")]:
        make(client, "strict", ECHO)
    with pytest.raises(ApiError) as refused:
        client.submit(name, b"", **options)
    assert refused.value.code == code


def test_a_delayed_task_says_why_it_waits_and_starts_when_it_is_due(client: Client) -> None:
    make(client, "delayed", ECHO)
    submitted = client.submit("delayed", b"", delay_s=1.5)
    why = client.tasks.why("delayed", submitted.task_id)
    assert (why.status, why.reason) == ("Enqueued", "Delayed")
    assert 0 < why.wait_ms <= 1500
    task = submitted.wait(PATIENCE_S)
    assert 1400 <= task.started_time - task.events[0].timestamp <= 4000


def test_a_failing_function_is_tried_as_often_as_configured(client: Client) -> None:
    make(client, "failing", FAIL)
    configure(client, "failing", maxAsyncRetryAttempts=1)
    submitted = client.submit("failing", b"no luck")
    with pytest.raises(TaskFailed) as failed:
        submitted.result(PATIENCE_S)
    task = failed.value.task
    assert (task.status, task.already_retried_times) == ("Failed", 1)
    assert [event.status for event in task.events] == ["Enqueued", "Running", "Retrying", "Running", "Failed"]
    assert "no luck" in task.task_error_message
    assert json.loads(task.return_payload)["errorType"] == "ValueError"


def test_a_failure_is_told_to_another_function_once(client: Client) -> None:
    told = make(client, "undertaker", ECHO)
    make(client, "mortal", FAIL)
    to = {"onFailure": {"destination": told}, "onSuccess": {"destination": told}}
    configure(client, "mortal", maxAsyncRetryAttempts=0, destinationConfig=to)
    dead = client.submit("mortal", b"last words").wait(PATIENCE_S)
    assert dead.status == "Failed"
    assert dead.destination_status in ("Enqueued", "Running", "Succeeded"), "it may be on its way already, or there"
    received = told_of(client, "undertaker", dead.request_id)
    assert received["requestContext"]["condition"] == "UnhandledInvocationError"
    assert received["requestContext"]["approximateInvokeCount"] == 1
    assert received["requestPayload"] == "last words"
    assert json.loads(received["responsePayload"])["errorMessage"] == "last words"
    assert [one.status for one in client.tasks.list("undertaker")] == ["Succeeded"]
    assert eventually(
        lambda: client.tasks.wait("mortal", dead.task_id, PATIENCE_S).destination_status == "Succeeded" or None
    )


def told_of(client: Client, function: str, request_id: str) -> dict[str, Any]:
    """What the function was told of a task, once it has been."""

    def look() -> dict[str, Any] | None:
        for task in client.tasks.list(function):
            said = json.loads(client.tasks.wait(function, task.task_id, PATIENCE_S).return_payload)
            if said["requestContext"]["requestId"] == request_id:
                return dict(said)
        return None

    return eventually(look)


def eventually(look: Callable[[], T | None]) -> T:
    """What `look` finds, asked again and again until it finds something."""
    until = time.monotonic() + PATIENCE_S
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < until, "it did not come"


def test_an_end_is_posted_with_a_signature_and_again_until_it_is_taken(client: Client, hook: HookServer) -> None:
    make(client, "posting", ECHO)
    to = {"onSuccess": {"destination": f"{hook.url}/ends?of=posting"}}
    configure(client, "posting", destinationConfig=to)
    hook.answers.put(503)
    submitted = client.submit("posting", b"news")
    refused, taken = hook.arrived.get(timeout=PATIENCE_S), hook.arrived.get(timeout=PATIENCE_S)
    for one in (refused, taken):
        assert one.path == "/ends?of=posting"
        check_signature(one, client.tasks.delivery_secret())
    assert refused.headers["x-functory-delivery"] == taken.headers["x-functory-delivery"]
    said = json.loads(taken.body)
    assert (said["requestContext"]["requestId"], said["requestContext"]["condition"]) == (submitted.request_id, "")
    assert (said["requestPayload"], said["responsePayload"]) == ("news", "news")
    after = client.submit("posting", b"more")
    assert json.loads(hook.arrived.get(timeout=PATIENCE_S).body)["requestContext"]["requestId"] == after.request_id
    assert hook.arrived.empty(), "each end is told once"


def check_signature(arrived: Arrived, secret: str) -> None:
    """As `docs/tasks.md` says how."""
    headers = arrived.headers
    message = f"{headers['x-functory-timestamp']}.{headers['x-functory-delivery']}.".encode() + arrived.body
    expected = "v1=" + hmac.new(secret.encode(), message, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(expected, headers["x-functory-signature"])


def test_a_destination_that_will_not_have_it_leaves_a_dead_letter_that_can_be_sent_again(
    client: Client, hook: HookServer
) -> None:
    make(client, "rejected", ECHO)
    configure(client, "rejected", destinationConfig={"onSuccess": {"destination": hook.url}})
    hook.answers.put(410)
    request_id = client.submit("rejected", b"").request_id
    first = hook.arrived.get(timeout=PATIENCE_S)
    dead = eventually(lambda: [one for one in client.tasks.dead() if one.request_id == request_id])
    assert [(one.destination, one.status) for one in dead] == [(hook.url, "Failed")]
    assert "410" in dead[0].error
    assert client.tasks.redeliver(dead[0])
    assert hook.arrived.get(timeout=PATIENCE_S).body == first.body
    assert not client.tasks.redeliver(dead[0]), "a second time it is known to be under way"


def test_a_url_near_the_node_is_refused_when_it_is_configured_unless_the_operator_allows_it(client: Client) -> None:
    make(client, "curious", ECHO)
    for url in ("http://169.254.169.254/latest/", "http://[::1]:80/", "http://10.0.0.1/"):
        with pytest.raises(ApiError) as refused:
            configure(client, "curious", destinationConfig={"onFailure": {"destination": url}})
        assert (refused.value.status, refused.value.code) == (400, "InvalidArgument")
        assert "http_destinations" in refused.value.message
    configure(client, "curious", destinationConfig={"onFailure": {"destination": "http://127.0.0.1:9/"}})


def test_a_waiting_task_stops_at_once_and_an_ended_one_cannot_be_stopped(client: Client) -> None:
    make(client, "stoppable", ECHO)
    waits = client.submit("stoppable", b"", delay_s=600)
    client.tasks.stop("stoppable", waits.task_id)
    assert waits.get().status == "Stopped"
    client.tasks.stop("stoppable", waits.task_id)
    ended = client.submit("stoppable", b"")
    ended.result(PATIENCE_S)
    with pytest.raises(ApiError) as refused:
        client.tasks.stop("stoppable", ended.task_id)
    assert refused.value.status == 409


def test_a_running_task_is_ended_when_it_does_not_end_itself(tmp_path: Path, gate: socket.socket) -> None:
    own = NodeProcess(tmp_path, "--task-stop-grace-s", "0.2")
    own.start()
    with Client(own.credentials) as client:
        waiting(client, "endless", gate)
        submitted = client.submit("endless", b"")
        running, _ = gate.accept()
        with running:
            assert running.recv(100).decode() == submitted.request_id
            assert client.tasks.why("endless", submitted.task_id).reason == "Running"
            with pytest.raises(TaskNotEnded):
                submitted.wait(0.01)
            client.tasks.stop("endless", submitted.task_id)
            running.settimeout(PATIENCE_S)
            assert running.recv(1) == b"", "its process was killed"
        task = submitted.wait(PATIENCE_S)
    assert task.status == "Stopped"
    assert [event.status for event in task.events] == ["Enqueued", "Running", "Stopping", "Stopped"]
    assert own.stop() == 0


def test_tasks_of_one_function_keep_to_its_reserved_concurrency(client: Client, gate: socket.socket) -> None:
    waiting(client, "narrow", gate)
    path = f"{FC}/narrow/concurrency"
    client._transport.call("PutConcurrencyConfig", "PUT", path, body=b'{"reservedConcurrency": 1}')
    tasks = [client.submit("narrow", b"") for _ in range(2)]
    first, _ = gate.accept()
    why = client.tasks.why("narrow", tasks[1].task_id)
    assert (why.reason, why.ahead) == ("ConcurrencyLimit", 0)
    for turn in (first, None):
        connection = turn or gate.accept()[0]
        with connection:
            connection.sendall(b"go on")
    assert [task.result(PATIENCE_S) for task in tasks] == [b"go on"] * 2


SPEAKS = """
import os, socket

def speak(event, context):
    for wrong in (object(), "x" * 4096, float("nan")):
        try:
            context.progress(wrong)
        except ValueError:
            continue
        raise AssertionError(f"{wrong!r} was taken")
    for done in range(1, 1001):
        context.progress({"done": done, "of": 1000})
    with socket.create_connection(("127.0.0.1", int(os.environ["GATE"]))) as gate:
        return gate.recv(100)

"""
MODES = {
    "blocking": ("def handler(event, context):\n    return speak(event, context)\n", 1),
    "threads": ("def handler(event, context):\n    return speak(event, context)\n", 4),
    "async": ("async def handler(event, context):\n    return speak(event, context)\n", 4),
}


@pytest.mark.parametrize("mode", MODES)
def test_a_running_task_says_how_far_it_is(client: Client, gate: socket.socket, mode: str) -> None:
    handler, concurrency = MODES[mode]
    port = str(gate.getsockname()[1])
    fields = {"environmentVariables": {"GATE": port}, "instanceConcurrency": concurrency}
    make(client, f"speaking-{mode}", SPEAKS + handler, **fields)
    submitted = client.submit(f"speaking-{mode}", b"")
    connection, _ = gate.accept()
    with connection:
        said = eventually(lambda: submitted.get().progress)
        assert said == {"done": 1000, "of": 1000}, "the last word counts"
        connection.sendall(b"done")
    assert submitted.result(PATIENCE_S) == b"done"
    assert submitted.get().progress == {"done": 1000, "of": 1000}


def test_progress_of_a_call_that_is_no_task_goes_nowhere(client: Client) -> None:
    make(client, "chatty", "def handler(event, context):\n    context.progress(1)\n    return b'fine'\n")
    assert client.invoke("chatty").payload == b"fine"


def test_lists_are_filtered_and_paged_in_order_of_acceptance(client: Client) -> None:
    make(client, "listed", FAIL)
    configure(client, "listed", maxAsyncRetryAttempts=0)
    names = [f"{letter}{number}" for letter in "ab" for number in range(5)]
    for name in names:
        client.submit("listed", b"", task_id=name).wait(PATIENCE_S)
    middle = client.tasks.get("listed", "b0").events[0].timestamp
    waits = client.submit("listed", b"", task_id="a9", delay_s=600)

    def found(**filters: Any) -> list[str]:
        return [one.task_id for one in client.tasks.list("listed", **filters)]

    assert found() == ["a9", *reversed(names)]
    assert found(oldest_first=True, limit=3) == [*names, "a9"]
    assert found(prefix="b", oldest_first=True, limit=2) == names[5:]
    assert found(status="Enqueued") == ["a9"]
    assert found(status="Failed", prefix="a", limit=1) == names[4::-1]
    assert set(found(started_from_ms=middle)) >= {"a9", *names[5:]}
    assert found(started_to_ms=1) == []
    assert found(qualifier="prod") == []
    assert [(one.function_name, one.counts) for one in client.tasks.summary("listed")] == [
        ("listed", {"Enqueued": 1, "Failed": 10})
    ]
    client.tasks.stop("listed", waits.task_id)


def test_ended_tasks_run_again_one_edited_or_all_of_them(client: Client) -> None:
    make(
        client,
        "moody",
        "def handler(event, context):\n    if event == b'bad':\n        raise ValueError\n    return event\n",
    )
    configure(client, "moody", maxAsyncRetryAttempts=0)
    failed = [client.submit("moody", b"bad", task_id=f"n{number}") for number in range(3)]
    for task in failed:
        assert task.wait(PATIENCE_S).status == "Failed"
    again = client.tasks.rerun("moody", "n0", payload=b"good", new_id="n0-better")
    assert (again.task_id, again.result(PATIENCE_S)) == ("n0-better", b"good")
    assert failed[0].get().status == "Failed", "an end is never taken back"
    started = list(client.tasks.rerun_many("moody", prefix="n"))
    assert len(started) == 3
    assert {client.tasks.wait("moody", one, PATIENCE_S).task_payload for one in started} == {"bad"}
    with pytest.raises(ApiError) as refused:
        client.tasks.rerun("moody", "n0", new_id="n1")
    assert refused.value.code == "StatefulAsyncInvocationAlreadyExists"


def test_tasks_of_a_deleted_function_fail_and_a_new_one_of_its_name_starts_afresh(
    client: Client, hook: HookServer
) -> None:
    make(client, "doomed", ECHO)
    configure(client, "doomed", maxAsyncRetryAttempts=0, destinationConfig={"onFailure": {"destination": hook.url}})
    left = client.submit("doomed", b"left behind", task_id="left", delay_s=1)
    client.functions.delete("doomed")
    said = json.loads(hook.arrived.get(timeout=PATIENCE_S).body)
    assert (said["requestContext"]["requestId"], said["requestContext"]["condition"]) == (
        left.request_id,
        "FunctionNotFound",
    )
    make(client, "doomed", FAIL)
    assert (left.get().status, left.get().task_error_message) == ("Failed", "function 'doomed' does not exist")
    assert client.submit("doomed", b"").wait(PATIENCE_S).already_retried_times == 3, "its configuration went with it"


def test_a_disabled_function_takes_no_tasks_and_those_it_has_wait(client: Client) -> None:
    make(client, "paused", ECHO)
    task = client.submit("paused", b"patience", delay_s=0.5)
    client._transport.call("Disable", "POST", f"{FC}/paused/invoke/disable", body=b'{"reason": "repair"}')
    with pytest.raises(ApiError) as refused:
        client.submit("paused", b"")
    assert refused.value.code == "FunctionInvocationDisabled"
    eventually(lambda: client.tasks.get("paused", task.task_id).status == "Retrying")
    why = client.tasks.why("paused", task.task_id)
    assert (why.reason, "FunctionInvocationDisabled" in why.message) == ("Backoff", True)
    client._transport.call("Enable", "POST", f"{FC}/paused/invoke/enable")
    assert task.result(PATIENCE_S) == b"patience"


def test_the_command_line_hands_over_follows_and_runs_again(node: NodeProcess, client: Client) -> None:
    make(
        client,
        "desk",
        "def handler(event, context):\n    if event == b'bad':\n        raise ValueError('no')\n    return event\n",
    )
    configure(client, "desk", maxAsyncRetryAttempts=0)
    assert node.cli("task", "submit", "desk", "-e", "hi", "--wait").stdout == "hi"
    assert node.cli("task", "submit", "desk", "-e", "bad", "--id", "t1").stdout.strip() == "t1"
    client.tasks.wait("desk", "t1", PATIENCE_S)
    by_invoke = node.cli("invoke", "desk", "--async", "-e", "x").stdout.strip()
    assert client.tasks.wait("desk", by_invoke, PATIENCE_S).succeeded
    assert "t1" in node.cli("task", "ls", "desk", "--status", "failed").stdout
    assert node.cli("task", "ls", "--summary", "desk").stdout.split() == [
        *("FUNCTION", "ENQUEUED", "RUNNING", "SUCCEEDED", "FAILED", "ALL"),
        *("desk", "·", "·", "2", "1", "3"),
    ]
    shown = node.cli("task", "show", "desk", "t1").stdout
    for word in ("t1", "Failed", "Enqueued", "ValueError"):
        assert word in shown
    assert node.cli("task", "rerun", "desk", "t1", "-e", "fine", "--wait").stdout == "fine"
    assert len(json.loads(node.cli("task", "rerun", "desk", "--all", "--json").stdout)) == 1
    node.cli("task", "submit", "desk", "--id", "t2", "--delay", "600")
    assert "Delayed" in node.cli("task", "why", "desk", "t2").stdout
    node.cli("task", "stop", "desk", "t2")
    assert json.loads(node.cli("task", "show", "desk", "t2", "--json").stdout)["status"] == "Stopped"
    node.cli("task", "show", "desk", "t3", code=3)
    node.cli("task", "rerun", "desk", code=2)
    json.loads(node.cli("task", "dead", "--json").stdout)
    assert node.cli("task", "secret").stdout.strip() == client.tasks.delivery_secret()


def test_tail_prints_what_comes_while_it_comes(node: NodeProcess, client: Client) -> None:
    make(client, "tailed", ECHO)
    command = [sys.executable, "-m", "functory", "task", "tail", "tailed", "--json"]
    tail = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=node.folder, env=clean_environment())
    try:
        submitted: list[Submitted] = [client.submit("tailed", str(number)) for number in range(3)]
        assert tail.stdout is not None
        ended: set[str] = set()
        while len(ended) < 3:
            said = json.loads(tail.stdout.readline())
            if said["status"] == "Succeeded":
                ended.add(said["taskId"])
    finally:
        tail.kill()
        tail.communicate()
    assert ended == {one.task_id for one in submitted}
