"""Functions that are not Python, on a real node: deployed by the command line, called, timed out, logged, billed."""

from __future__ import annotations

import io
import json
import shutil
import threading
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest

from contracts import go_program
from e2e.node_process import NodeProcess
from functory.sdk import ApiError, Client
from functory.sdk.answers import Invoked

pytestmark = pytest.mark.server

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
SUBJECTS = Path(__file__).resolve().parents[1] / "contracts" / "subjects"


def _need(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not on this machine")


def _zip(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            entry = zipfile.ZipInfo(name.replace("__", "."))
            entry.external_attr = 0o755 << 16
            archive.writestr(entry, content)
    return buffer.getvalue()


Create = Callable[..., str]


@pytest.fixture
def create(client: Client) -> Iterator[Create]:
    """Makes a function; it is deleted afterwards."""
    made: list[str] = []

    def make(name: str, code: bytes, **fields: object) -> str:
        client.functions.create(name, {"handler": "index.handler", "timeout": 10, **fields}, code)
        made.append(name)
        return name

    yield make
    for name in made:
        client.functions.delete(name)


def _message(answer: Invoked) -> str:
    return str(json.loads(answer.payload)["errorMessage"])


# --- the examples -----------------------------------------------------------------------------------------------------


def test_the_node_example_greets(node: NodeProcess, client: Client) -> None:
    _need("node")
    assert "created" in node.cli("deploy", str(EXAMPLES / "hello-node")).stderr
    answer = node.cli("invoke", "hello-node", "-e", "Ada", "--tail")
    assert answer.stdout == "Hello, Ada!"
    assert "greeting Ada" in answer.stderr
    record = client.requests.get(next(client.requests.list(function="hello-node")).request_id, wait_s=5)
    assert record.status == "ok"
    assert record.memory_peak_bytes > 4 << 20, "the memory of Node itself, as the kernel says"


def test_the_custom_example_greets(node: NodeProcess, client: Client) -> None:
    node.cli("deploy", str(EXAMPLES / "hello-custom"))
    assert node.cli("invoke", "hello-custom", "-e", "Ada", "--tail").stdout == "Hello, Ada!"
    record = client.requests.get(next(client.requests.list(function="hello-custom")).request_id, wait_s=5)
    assert record.memory_peak_bytes > 8 << 20, "the memory of the program, not of who supervises it"
    assert "unchanged" in node.cli("deploy", str(EXAMPLES / "hello-custom")).stderr


def test_the_go_example_greets(node: NodeProcess, tmp_path: Path) -> None:
    program = go_program.build(EXAMPLES / "hello-go")
    folder = shutil.copytree(EXAMPLES / "hello-go", tmp_path / "hello-go")
    (folder / "main").write_bytes(program)
    (folder / "main").chmod(0o755)
    node.cli("deploy", str(folder))
    answer = node.cli("invoke", "hello-go", "-e", "Ada", "--tail")
    assert answer.stdout == '"Hello, Ada!"'
    assert "greeting Ada" in answer.stderr


@pytest.mark.parametrize("runtime", ["nodejs20", "custom"])
def test_what_new_makes_echoes(node: NodeProcess, runtime: str) -> None:
    _need("node" if runtime.startswith("node") else "python3")
    name = f"new-{runtime}"
    node.cli("new", name, "--runtime", runtime)
    node.cli("deploy", name)
    assert node.cli("invoke", name, "-e", "hi there").stdout == "hi there"


# --- failures and their names -----------------------------------------------------------------------------------------


def test_failures_of_node_functions_have_their_official_types(client: Client, create: Create) -> None:
    _need("node")
    source = b"""
        exports.handler = (event, context, callback) => {
          if (event == 'callback') callback(new Error('told'))
          else if (event == 'throw') throw new TypeError('thrown')
          else if (event == 'exit') process.exit(7)
          else if (event == 'memory') { const all = []; for (;;) all.push(new Array(1e5).fill({})) }
        }
    """
    name = create("node-failures", _zip(index__js=source), runtime="nodejs18", timeout=20, memorySize=128, cpu=0.1)
    assert client.functions.get(name).state_reason is not None
    seen = {event: client.invoke(name, event.encode()) for event in ("callback", "throw", "exit", "memory")}
    assert {event: answer.error_type for event, answer in seen.items()} == {
        "callback": "HandledInvocationError",
        "throw": "UnhandledInvocationError",
        "exit": "UnhandledInvocationError",
        "memory": "FunctionResourceExhausted",
    }
    assert "exit code 7" in _message(seen["exit"])
    assert "128 MB" in _message(seen["memory"])


@pytest.mark.parametrize("runtime", ["nodejs20", "custom", "go1"])
def test_a_timeout_ends_the_program_and_the_next_call_is_served(client: Client, create: Create, runtime: str) -> None:
    fields: dict[str, object] = {"runtime": runtime, "timeout": 1}
    if runtime == "nodejs20":
        _need("node")
        code = _zip(index__js=(SUBJECTS / "index.js").read_bytes())
    elif runtime == "custom":
        code = _zip(server__py=(SUBJECTS / "server.py").read_bytes())
        fields["customRuntimeConfig"] = {"command": ["python3", "/code/server.py"]}
    else:
        code = _zip(main=go_program.build(SUBJECTS / "go"))
        fields["handler"] = "main"
    name = create(f"hang-{runtime}", code, **fields)
    answer = client.invoke(name, b'{"do": "hang"}')
    assert answer.error_type == "FunctionTimeout"
    assert client.requests.get(answer.request_id, wait_s=5).status == "timeout"
    assert client.invoke(name, b"next").payload in (b"next", b'"next"')


def test_a_custom_function_without_its_program_says_so(client: Client, create: Create) -> None:
    name = create("no-bootstrap", _zip(index__py=b""), runtime="custom")
    answer = client.invoke(name, b"")
    assert answer.error_type == "FunctionNotStarted"
    assert "'/code/bootstrap' is not in the code" in _message(answer)


def test_an_unknown_runtime_is_refused_with_what_there_is(client: Client) -> None:
    with pytest.raises(ApiError, match=r"ruby27.*custom.*go1"):
        client.functions.create("odd", {"runtime": "ruby27", "handler": "a.b"}, _zip(a=b""))


# --- together ---------------------------------------------------------------------------------------------------------


def test_one_custom_instance_serves_calls_side_by_side(client: Client, create: Create) -> None:
    name = create(
        "meeting",
        _zip(server__py=(SUBJECTS / "server.py").read_bytes()),
        runtime="custom",
        instanceConcurrency=8,
        customRuntimeConfig={"command": ["python3", "server.py"]},
        instanceLifecycleConfig={"initializer": {"handler": "index.initialize", "timeout": 10}},
    )
    assert client.invoke(name, b'{"do": "state"}').payload == b"initialized"
    met: list[bytes] = []
    callers = [
        threading.Thread(target=lambda: met.append(client.invoke(name, b'{"do": "meet"}').payload)) for _ in range(2)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(20)
    assert met == [b"met", b"met"]


def test_large_payloads_pass_a_custom_function(client: Client, create: Create) -> None:
    _need("node")
    name = create(
        "large",
        _zip(server__js=(SUBJECTS / "server.js").read_bytes()),
        runtime="custom.debian12",
        customRuntimeConfig={"command": ["node", "/code/server.js"], "port": 0},
    )
    event = b"x" * (20 << 20)
    assert client.invoke(name, event).payload == event


def test_an_http_trigger_of_a_custom_function_is_passed_through(
    node: NodeProcess, client: Client, create: Create
) -> None:
    source = b"""
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
class Handler(BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(404)
        self.send_header("x-own", self.headers["x-fc-control-path"])
        self.end_headers()
        self.wfile.write(b"there is no " + self.path.encode())
ThreadingHTTPServer(("0.0.0.0", int(os.environ["PORT"])), Handler).serve_forever()
"""
    config = {"command": ["python3", "app.py"]}
    name = create("web", _zip(app__py=source), runtime="custom", customRuntimeConfig=config)
    client.triggers.create(name, "web", "http", {"authType": "anonymous", "methods": ["GET"]})
    answer = httpx.get(f"{node.endpoint}/fn/{name}/a/b", params={"q": "1"})
    assert (answer.status_code, answer.headers["x-own"]) == (404, "/http-invoke")
    assert answer.text == "there is no /a/b?q=1"
    client.triggers.delete(name, "web")
