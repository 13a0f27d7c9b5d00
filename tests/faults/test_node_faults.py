"""The node is killed or its disk is full in the middle of a deploy: what was answered is there, nothing is half."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
import signal
import subprocess
import threading
import zipfile
from pathlib import Path

import pytest

from e2e.node_process import NodeProcess
from functory.sdk import ApiError, Client, ConnectionFailed

SIZE = 3_000_000
ROUNDS = 6


def package(number: int) -> bytes:
    """A zip whose function answers its own number, with a large file whose hash it checks."""
    filling = os.urandom(SIZE)
    source = (
        f"import hashlib, os\nhere = os.path.dirname(__file__)\n"
        f"def handler(e, c):\n    data = open(os.path.join(here, 'filling'), 'rb').read()\n"
        f"    assert hashlib.sha256(data).hexdigest() == '{hashlib.sha256(filling).hexdigest()}'\n"
        f"    return '{number}'\n"
    )
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("index.py", source)
        archive.writestr("filling", filling)
    return buffer.getvalue()


FIELDS = {"runtime": "python3", "handler": "index.handler", "timeout": 30}


def deploy_until_killed(node: NodeProcess, answered: list[int], packages: list[bytes]) -> None:
    with Client(node.credentials) as client, contextlib.suppress(ConnectionFailed, ApiError):
        for number in range(answered[-1] + 1, len(packages)):
            client.functions.update("f", {}, packages[number])
            answered.append(number)


def test_after_a_kill_in_the_middle_of_a_deploy_the_function_is_old_or_new_and_whole(tmp_path: Path) -> None:
    packages = [package(number) for number in range(40)]
    answered = [0]
    node = NodeProcess(tmp_path, "--log-level", "warning")
    node.start()
    with Client(node.credentials) as client:
        client.functions.create("f", FIELDS, packages[0])
    for turn in range(ROUNDS):
        deploying = threading.Thread(target=deploy_until_killed, args=(node, answered, packages))
        deploying.start()
        # Another moment of the deploy each time; what is hit is left to chance.
        deploying.join(0.03 + 0.027 * turn)
        node.process.send_signal(signal.SIGKILL)
        deploying.join()
        node._end()
        node = NodeProcess(tmp_path, "--log-level", "warning")
        node.start()
        with Client(node.credentials) as client:
            answer = client.invoke("f", b"")
            assert not answer.error_type, answer.payload
            now = int(answer.payload)
            assert now in (answered[-1], answered[-1] + 1), f"answered {answered[-1]}, found {now}"
            answered.append(now)
    leftovers = [path for path in (tmp_path / ".functory" / "code").iterdir() if len(path.name) != 64]
    assert node.stop() == 0
    assert leftovers == []


def test_a_full_disk_refuses_the_deploy_and_leaves_the_old_function_running(small_disk: Path) -> None:
    node = NodeProcess(small_disk, "--log-level", "warning")
    node.start()
    refusals: set[tuple[int, str]] = set()
    with Client(node.credentials) as client:
        client.functions.create("f", FIELDS, package(0))
        kept = 0
        for number in range(1, 12):
            try:
                client.functions.update("f", {}, package(number))
                kept = number
            except ApiError as error:
                refusals.add((error.status, error.code))
        assert client.invoke("f", b"").payload == b"%d" % kept
        assert refusals == {(503, "StorageFull")}
        with pytest.raises(ApiError) as failure:
            client.functions.create("g", FIELDS, package(99))
        assert failure.value.code == "StorageFull"
        with pytest.raises(ApiError) as missing:
            client.functions.get("g")
        assert missing.value.code == "FunctionNotFound"
    assert node.stop() == 0


def test_a_second_node_on_the_same_folder_is_refused_in_a_sentence(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path)
    node.start()
    second = subprocess.run([*node.process.args], capture_output=True, text=True, timeout=30, check=False)  # type: ignore[misc]
    assert second.returncode != 0
    assert "nother node uses" in second.stderr
    assert "Traceback" not in second.stderr
    assert node.stop() == 0


def test_when_the_spawner_is_killed_calls_fail_clearly_and_service_is_back(tmp_path: Path) -> None:
    node = NodeProcess(tmp_path, "--log-level", "warning")
    node.start()
    with Client(node.credentials) as client:
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as archive:
            archive.writestr("index.py", "def handler(e, c):\n    return e\n")
        client.functions.create("f", FIELDS, buffer.getvalue())
        assert client.invoke("f", b"1").payload == b"1"
        children = Path(f"/proc/{node.process.pid}/task/{node.process.pid}/children").read_text().split()
        for child in map(int, children):
            if b"functory.spawner" in Path(f"/proc/{child}/cmdline").read_bytes():
                os.kill(child, signal.SIGKILL)
        for _ in range(50):
            with contextlib.suppress(ApiError):
                if client.invoke("f", b"again").payload == b"again":
                    break
        else:
            pytest.fail(f"no answer; the node said:\n{node.log}")
    assert node.stop() == 0
