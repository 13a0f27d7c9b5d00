"""Functions that misbehave, on a real node: each is contained, named to its caller, and named in its record."""

from __future__ import annotations

import io
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from e2e.node_process import NodeProcess
from functory.sdk import Client
from functory.sdk.answers import Invoked

Deploy = Callable[..., str]


def zipped(source: str, name: str = "index.py") -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(name, source)
    return buffer.getvalue()


@pytest.fixture
def deploy(client: Client, request: pytest.FixtureRequest) -> Iterator[Deploy]:
    """Makes a function from source; it is deleted afterwards."""
    made: list[str] = []

    def make(source: str, **fields: object) -> str:
        name = f"hostile-{os.getpid()}-{abs(hash(request.node.name)) % 10**8}-{len(made)}"
        client.functions.create(
            name, {"runtime": "python3", "handler": "index.handler", "timeout": 10, **fields}, zipped(source)
        )
        made.append(name)
        return name

    yield make
    for name in made:
        client.functions.delete(name)


def status_of(client: Client, answer: Invoked) -> str:
    """How the request's record says it ended."""
    return client.requests.get(answer.request_id, wait_s=5).status


def message_of(answer: Invoked) -> str:
    return str(json.loads(answer.payload)["errorMessage"])


@pytest.mark.parametrize(
    ("source", "status", "words"),
    [
        ("import os\ndef handler(e, c):\n    os._exit(3)", "exited", "exit code 3"),
        ("import sys\ndef handler(e, c):\n    sys.exit(4)", "exited", "exit code 4"),
        ("import os, signal\ndef handler(e, c):\n    os.kill(os.getpid(), signal.SIGKILL)", "exited", "signal 9"),
        ("import ctypes\ndef handler(e, c):\n    ctypes.string_at(0)", "exited", "signal 11"),
        ("import os\ndef handler(e, c):\n    os.abort()", "exited", "signal 6"),
        ("def handler(e, c):\n    raise ValueError('no')", "function_error", "no"),
        ("def handler(e, c):\n    return object()", "function_error", "object"),
        ("def handler(e, c):\n    return {1: {2}}", "function_error", "set"),
        ("def handler(e, c):\n    raise ValueError('x' * 10_000_000)", "function_error", "xxx"),
        ("def handler(e, c):\n    def f(): f()\n    f()", "function_error", "recursion"),
        (
            "class E(Exception):\n    def __str__(self): raise E()\ndef handler(e, c):\n    raise E()",
            "function_error",
            "",
        ),
        ("def handler(e, c):\n    raise KeyboardInterrupt('stop')", "function_error", "stop"),
        ("def handler(e, c):\n    return b'x' * (1 << 40)", "out_of_memory", "memory"),
        ("def other(e, c):\n    pass", "init_error", "handler"),
        ("import nothing_of_that_name", "init_error", "nothing_of_that_name"),
        ("def handler(:", "init_error", "index.py"),
        ("raise SystemExit(2)", "exited", "exit code 2"),
        ("handler = 5", "init_error", "cannot be called"),
        ("import os\nos._exit(7)", "exited", "exit code 7"),
        ("import os\ndef handler(e, c):\n    os.write(4, b'garbage' * 10)\n    return b''", "exited", "channel"),
    ],
    ids=[
        "exit",
        "sys.exit",
        "kill self",
        "segfault",
        "abort",
        "raise",
        "object",
        "set in dict",
        "10 MB message",
        "recursion",
        "str raises",
        "interrupt",
        "memory",
        "missing handler",
        "missing module",
        "syntax",
        "exit on import",
        "handler no function",
        "os exit on import",
        "writes to the channel",
    ],
)
def test_a_failure_is_named_and_the_node_goes_on(
    client: Client, deploy: Deploy, source: str, status: str, words: str
) -> None:
    name = deploy(source)
    answer = client.invoke(name, b"x")
    assert answer.status == 200
    assert answer.error_type
    assert words.lower() in message_of(answer).lower()
    assert len(answer.payload) <= 300_000
    assert status_of(client, answer) == status
    fine = deploy("def handler(e, c):\n    return e")
    assert client.invoke(fine, b"fine").payload == b"fine"


@pytest.mark.parametrize(
    "source",
    [
        "def handler(e, c):\n    while True: pass",
        "import time\ndef handler(e, c):\n    time.sleep(600)",
        "import signal, time\nfor n in (1, 2, 15): signal.signal(n, signal.SIG_IGN)\n"
        "def handler(e, c):\n    while True:\n        time.sleep(1)",
        "async def handler(e, c):\n    import asyncio\n    await asyncio.sleep(600)",
    ],
    ids=["spins", "sleeps", "ignores signals", "async"],
)
def test_a_handler_that_hangs_is_ended_at_its_deadline(client: Client, deploy: Deploy, source: str) -> None:
    answer = client.invoke(deploy(source, timeout=1), b"")
    assert "timed out after 1 seconds" in message_of(answer)
    record = client.requests.get(answer.request_id, wait_s=5)
    assert record.status == "timeout"
    assert 1000 <= record.billed_ms < 2000


def test_a_module_that_hangs_while_loading_is_ended(client: Client, deploy: Deploy, tmp_path: Path) -> None:
    node = NodeProcess(tmp_path, "--instance-start-timeout-s", "1")
    node.start()
    with Client(node.credentials) as own:
        own.functions.create(
            "slow", {"runtime": "python3", "handler": "index.handler"}, zipped("import time\ntime.sleep(600)")
        )
        answer = own.invoke("slow", b"")
        assert "not ready after 1 seconds" in message_of(answer)
    assert node.stop() == 0


def test_processes_that_a_function_leaves_behind_are_gone_after_its_timeout(client: Client, deploy: Deploy) -> None:
    mark = f"left-{os.getpid()}"
    name = deploy(
        f"""
import os, time
def handler(event, context):
    read, write = os.pipe()
    for _ in range(3):
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                open("/proc/self/comm", "w").write({mark!r})
                os.write(write, b"!")
                while True:
                    time.sleep(1)
            os._exit(0)
    for _ in range(3):
        os.read(read, 1)
    print("three are left")
    while True:
        time.sleep(1)
""",
        timeout=1,
    )
    answer = client.invoke(name, b"", tail=True)
    assert "timed out" in message_of(answer)
    assert b"three are left" in answer.log_tail
    client.invoke(deploy("def handler(e, c): return b''"), b"")  # the spawner has done what came before
    assert mark not in {_name_of(entry) for entry in Path("/proc").iterdir() if entry.name.isdigit()}


def _name_of(process: Path) -> str:
    try:
        return (process / "comm").read_text().strip()
    except OSError:
        return ""


def test_of_100_mb_of_output_a_bounded_part_is_kept(client: Client, deploy: Deploy) -> None:
    name = deploy(
        "def handler(e, c):\n    for _ in range(100):\n        print('x' * 1_000_000)\n    return b'done'", timeout=60
    )
    answer = client.invoke(name, b"", tail=True)
    assert answer.payload == b"done"
    assert 0 < len(answer.log_tail) <= 4096
    client.requests.get(answer.request_id, wait_s=5)
    text = client.requests.logs(answer.request_id).text
    assert "dropped" in text
    assert len(text) < 3_000_000


def test_output_below_python_is_captured_with_its_request(client: Client, deploy: Deploy) -> None:
    name = deploy(
        "import os, subprocess\ndef handler(e, c):\n    os.write(1, b'raw %b\\n' % e)\n"
        "    subprocess.run(['/bin/echo', 'child'])\n    return b''"
    )
    for word in (b"one", b"two"):
        answer = client.invoke(name, word, tail=True)
        assert b"raw " + word in answer.log_tail
        assert b"child" in answer.log_tail
        assert (b"one" in answer.log_tail) == (word == b"one")


def test_the_environment_and_files_of_the_node_are_not_in_reach(client: Client, deploy: Deploy) -> None:
    name = deploy("import os, json\ndef handler(e, c):\n    return json.dumps(dict(os.environ))")
    environment = json.loads(client.invoke(name, b"").payload)
    assert environment["FC_FUNCTION_NAME"] == name
    assert not any("SECRET" in key and value for key, value in environment.items())


@pytest.mark.skipif(
    os.geteuid() != 0, reason="cannot be shown here: only root can give functions a user id of their own"
)
def test_a_function_cannot_read_the_keys_of_the_node() -> None:
    # Not below pytest's own folder, which others may not pass through.
    with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        node = NodeProcess(Path(folder))
        node.start()
        with Client(node.credentials) as own:
            for number, name in enumerate(("credentials.json", "secret.key", "functory.db")):
                source = f"def handler(e, c):\n    return open({str(node.data / name)!r}, 'rb').read()"
                own.functions.create(
                    f"reader{number}", {"runtime": "python3", "handler": "index.handler"}, zipped(source)
                )
                said = message_of(own.invoke(f"reader{number}", b"")).lower()
                assert "denied" in said or "no such file" in said
        assert node.stop() == 0


def test_a_megabyte_travels_both_ways_and_more_than_the_limit_is_refused(client: Client, deploy: Deploy) -> None:
    name = deploy("def handler(e, c):\n    return e")
    body = os.urandom(3_000_000)
    assert client.invoke(name, body).payload == body
    big = deploy("def handler(e, c):\n    return b'x' * 40_000_000", memorySize=1024)
    answer = client.invoke(big, b"")
    assert answer.error_type
    assert status_of(client, answer) in ("function_error", "exited")
