"""The command line against a real node: every command, as a user types it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from e2e.node_process import NodeProcess, clean_environment
from functory.sdk import ApiError, Client, Credentials

pytestmark = pytest.mark.server

Run = Callable[..., "subprocess.CompletedProcess[bytes]"]

ECHO = "def handler(event, context):\n    return event\n"
BROKEN = "def handler(event, context):\n    return {}['nothing']\n"
TALKING = "def handler(event, context):\n    print('heard', event.decode())\n    return b'ok'\n"


@pytest.fixture
def run(node: NodeProcess) -> Run:
    """Runs `functory …` beside the node's data folder, where its keys are found."""

    def run(*arguments: str, stdin: bytes = b"", cwd: Path = node.folder, **environ: str) -> object:
        return subprocess.run(
            [sys.executable, "-m", "functory", *arguments],
            input=stdin,
            capture_output=True,
            cwd=cwd,
            env=clean_environment() | environ,
            timeout=60,
            check=False,
        )

    return run  # type: ignore[return-value]


def function(folder: Path, name: str, source: str) -> str:
    """A folder with a function, beside the node's data."""
    (folder / name).mkdir()
    (folder / name / "index.py").write_text(source)
    return name


def deployed(run: Run, node: NodeProcess, name: str, source: str) -> str:
    done = run("deploy", function(node.folder, name, source))
    assert done.returncode == 0, done.stderr.decode()
    return name


def test_from_nothing_to_an_answer_and_back_to_nothing(run: Run) -> None:
    assert run("new", "first").returncode == 0
    created = run("deploy", "first")
    assert created.returncode == 0, created.stderr.decode()
    assert b"created" in created.stderr
    answer = run("invoke", "first", "-e", "hi there")
    assert (answer.returncode, answer.stdout) == (0, b"hi there")
    assert b"\xc2\xb5\xc2\xa2" in answer.stderr, "the summary tells the cost in µ¢"
    assert b"first" in run("ls").stdout
    assert b"index.handler" in run("show", "first").stdout
    removed = run("rm", "first", "-y")
    assert removed.returncode == 0
    assert run("invoke", "first").returncode == 3


def test_only_what_changed_is_sent(run: Run, node: NodeProcess) -> None:
    deployed(run, node, "again", ECHO)
    assert b"unchanged" in run("deploy", "again").stderr
    slower = run("deploy", "again", "--timeout", "9")
    assert b"updated" in slower.stderr
    assert b"timeout" in slower.stderr
    assert b"code" not in slower.stderr
    (node.folder / "again" / "index.py").write_text(ECHO + "# changed\n")
    changed = run("deploy", "again")
    assert b"updated" in changed.stderr
    assert b"code" in changed.stderr
    assert json.loads(run("show", "again", "--json").stdout)["timeout"] == 9, "what is not said stays"


def test_env_flags_add_to_what_the_function_has(run: Run, node: NodeProcess) -> None:
    name = function(
        node.folder,
        "tuned",
        "import os\n\ndef handler(event, context):\n    return os.environ['A'] + os.environ['B']\n",
    )
    assert run("deploy", name, "--env", "A=1", "--env", "B=x=y").returncode == 0
    assert run("deploy", name, "--env", "A=2").returncode == 0
    assert run("invoke", name).stdout == b"2x=y"


def test_a_single_file_is_a_function(run: Run, node: NodeProcess) -> None:
    (node.folder / "report.py").write_text(ECHO)
    done = run("deploy", "report.py", "--memory", "128")
    assert done.returncode == 0, done.stderr.decode()
    shown = json.loads(run("show", "report", "--json").stdout)
    assert (shown["handler"], shown["memorySize"], shown["timeout"]) == ("report.handler", 128, 60)
    assert run("invoke", "report", "-e", "x").stdout == b"x"


def test_bytes_go_through_as_they_are(run: Run, node: NodeProcess) -> None:
    deployed(run, node, "pipe", ECHO)
    payload = bytes(range(256)) * 5000
    assert run("invoke", "pipe", "-", stdin=payload).stdout == payload
    (node.folder / "payload.bin").write_bytes(payload)
    assert run("invoke", "pipe", "-f", "payload.bin", "-o", "answer.bin").stdout == b""
    assert (node.folder / "answer.bin").read_bytes() == payload


def test_a_function_that_fails_is_exit_code_1_with_its_stack(run: Run, node: NodeProcess) -> None:
    deployed(run, node, "broken", BROKEN)
    done = run("invoke", "broken")
    assert done.returncode == 1
    assert b"KeyError" in done.stderr
    assert b"index.py" in done.stderr
    assert json.loads(done.stdout)["errorType"] == "KeyError"
    failed = json.loads(run("requests", "broken", "--failed", "--json").stdout)
    assert [request["status"] for request in failed] == ["function_error"]


def test_what_was_printed_is_shown_by_function_and_by_request(run: Run, node: NodeProcess) -> None:
    deployed(run, node, "talk", TALKING)
    tail = run("invoke", "talk", "-e", "one", "--tail")
    assert b"heard one" in tail.stderr
    request_id = json.loads(run("requests", "talk", "--json").stdout)[0]["requestId"]
    by_request = run("logs", request_id).stdout
    assert b"FC Invoke Start" in by_request
    assert b"heard one" in by_request
    run("invoke", "talk", "-e", "two")
    by_name = run("logs", "talk").stdout
    assert by_name.index(b"heard one") < by_name.index(b"heard two")


def test_following_logs_shows_what_comes_until_interrupted(run: Run, node: NodeProcess) -> None:
    deployed(run, node, "live", TALKING)
    run("invoke", "live", "-e", "before")
    process = subprocess.Popen(
        [sys.executable, "-u", "-m", "functory", "logs", "live", "-f"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=node.folder, env=clean_environment(),
    )  # fmt: skip
    with process:
        watchdog = threading.Timer(30, process.kill)
        watchdog.start()
        assert process.stdout is not None
        assert b"heard before" in process.stdout.readline()
        run("invoke", "live", "-e", "after")
        assert b"heard after" in process.stdout.readline()
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
        watchdog.cancel()
    assert (process.returncode, said) == (130, b"")


def test_a_request_is_drawn_with_the_parts_of_its_cold_start(run: Run, node: NodeProcess) -> None:
    deployed(run, node, "drawn", ECHO)
    run("invoke", "drawn", "-e", "x")
    run("invoke", "drawn", "-e", "x")
    warm, cold = json.loads(run("requests", "drawn", "--json").stdout)
    assert cold["cold"] is not None
    assert warm["cold"] is None
    assert warm["costNanoUsd"] > 0
    drawn = run("request", cold["requestId"]).stdout.decode()
    for part in ("queue", "fork", "import", "init", "run", "cold", "µ¢"):
        assert part in drawn
    listed = run("requests", "drawn").stdout.decode().splitlines()
    assert cold["requestId"] in listed[1], "the newest stands last"
    assert warm["requestId"] in listed[2]


def test_what_the_node_refuses_is_exit_code_3_and_said_kindly(run: Run) -> None:
    for arguments in (["invoke", "nobody"], ["show", "nobody"], ["rm", "nobody", "-y"], ["logs", "nobody"]):
        done = run(*arguments)
        assert done.returncode == 3, arguments
        assert b"nobody" in done.stderr
        assert b"Traceback" not in done.stderr
    assert run("request", "1-65a77fbb-157f3f32-e1ee24b17e49").returncode == 3


def test_a_wrong_secret_is_refused(run: Run, node: NodeProcess) -> None:
    keys = {"FUNCTORY_ACCESS_KEY_ID": node.credentials.access_key_id, "FUNCTORY_ACCESS_KEY_SECRET": "wrong"}
    done = run("ls", "--endpoint", node.endpoint, **keys)
    assert done.returncode == 3
    assert b"SignatureNotMatch" in done.stderr


def test_the_doctor_finds_the_node_well(run: Run, node: NodeProcess) -> None:
    done = run("doctor")
    assert done.returncode == 0, done.stdout.decode()
    for word in (node.endpoint, "tier", "python3", "clock", "free"):
        assert word in done.stdout.decode()
    levels = {check["what"]: check["level"] for check in json.loads(run("doctor", "--json").stdout)}
    assert levels["node"] == levels["keys"] == "ok"


def test_the_doctor_says_when_the_keys_are_of_another_node(run: Run, node: NodeProcess) -> None:
    keys = {"FUNCTORY_ACCESS_KEY_ID": "LTAI00000000000000000000", "FUNCTORY_ACCESS_KEY_SECRET": "x"}
    done = run("doctor", "--endpoint", node.endpoint, **keys)
    assert done.returncode == 1
    assert "belong to another node" in done.stdout.decode()


def test_removing_asks_and_without_a_terminal_wants_a_yes(run: Run, node: NodeProcess) -> None:
    deployed(run, node, "kept", ECHO)
    assert run("rm", "kept").returncode == 2
    assert run("show", "kept").returncode == 0


def test_a_token_calls_only_its_function(run: Run, node: NodeProcess, client: Client) -> None:
    deployed(run, node, "open_one", ECHO)
    deployed(run, node, "closed_one", ECHO)
    token = client.create_token(["open_one"], expires_in_s=60)
    with httpx.Client(headers={"authorization": f"Bearer {token.token}"}, trust_env=False) as caller:
        path = f"{node.endpoint}/2023-03-30/functions/{{}}/invocations"
        assert caller.post(path.format("open_one"), content=b"x").text == "x"
        assert caller.post(path.format("closed_one"), content=b"x").status_code == 403


def test_lists_go_on_over_pages(run: Run, node: NodeProcess, client: Client) -> None:
    for number in range(3):
        deployed(run, node, f"page{number}", ECHO)
    names = [found.function_name for found in client.functions.list("page", page_size=2)]
    assert names == ["page0", "page1", "page2"]
    for _ in range(5):
        last = client.invoke("page0", b"x").request_id
    client.requests.get(last, wait_s=5)
    found = [request.request_id for request in client.requests.list(function="page0", page_size=2)]
    assert found == sorted(found, reverse=True)
    assert len(found) == 5


def test_a_refusal_carries_code_and_request_id(client: Client) -> None:
    with pytest.raises(ApiError) as caught:
        client.functions.get("nobody")
    assert (caught.value.status, caught.value.code) == (404, "FunctionNotFound")
    assert caught.value.request_id


def test_a_second_node_on_a_taken_port_says_so(node: NodeProcess, tmp_path: Path) -> None:
    port = node.endpoint.rpartition(":")[2]
    done = subprocess.run(
        [sys.executable, "-m", "functory", "up", "--port", port, "--data", str(tmp_path / "data")],
        capture_output=True, cwd=tmp_path, env=clean_environment(), timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode not in (0, None)
    assert b"Traceback" not in done.stderr
    assert port.encode() in done.stderr or b"in use" in done.stderr


def test_interrupting_the_node_ends_it_well(tmp_path: Path) -> None:
    own = NodeProcess(tmp_path)
    own.start()
    with Client(own.credentials) as client:
        assert client.health().status == "ok"
    os.kill(own.process.pid, signal.SIGINT)
    assert own.process.wait(10) == 0
    own.stop()


def test_keys_survive_a_restart(tmp_path: Path) -> None:
    keys: list[Credentials] = []
    for _ in range(2):
        own = NodeProcess(tmp_path)
        own.start()
        keys.append(own.credentials)
        assert own.stop() == 0
    assert keys[0].access_key_id == keys[1].access_key_id
    assert (tmp_path / ".functory" / "credentials.json").stat().st_mode & 0o077 == 0
