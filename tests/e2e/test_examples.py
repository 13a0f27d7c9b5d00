"""Every example is deployed as its page says, from each of its files, and does what it shows."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from contracts import go_program
from e2e.node_process import NodeProcess
from functory.sdk import Client

pytestmark = [pytest.mark.server, pytest.mark.timeout(300)]

EXAMPLES = Path(__file__).resolve().parents[2] / "examples"
NAMES = sorted(path.name for path in EXAMPLES.iterdir() if path.is_dir())
Run = Callable[..., str]


@pytest.fixture
def run(node: NodeProcess) -> Run:
    """`functory …` beside the node's data; its standard output."""
    return lambda *arguments: node.cli(*arguments, timeout_s=250).stdout


@pytest.fixture
def example(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """A copy of the example, built if it has to be."""
    folder = tmp_path / str(request.param)
    shutil.copytree(EXAMPLES / request.param, folder)
    if request.param == "hello-go":
        (folder / "main").write_bytes(go_program.build(EXAMPLES / "hello-go"))
        (folder / "main").chmod(0o755)
    if request.param == "hello-node" and shutil.which("node") is None:
        pytest.skip("Node.js is not on this machine")
    return folder


def _changes(run: Run, source: Path) -> list[str]:
    steps = json.loads(run("deploy", str(source), "--plan", "--json"))
    return [f"{step['action']} {step['noun']} {step['name']}" for step in steps if step["action"] != "keep"]


def test_the_page_of_examples_names_all_of_them() -> None:
    page = (EXAMPLES / "README.md").read_text("utf-8")
    listed = [line.split("[")[1].partition("]")[0] for line in page.splitlines() if line.startswith("| [")]
    assert sorted(listed) == NAMES
    assert all((EXAMPLES / name / "README.md").is_file() for name in NAMES)


@pytest.mark.parametrize("example", [name for name in NAMES if name != "shop"], indirect=True, ids=str)
def test_both_files_of_an_example_deploy_the_same(run: Run, client: Client, example: Path) -> None:
    run("deploy", str(example))
    assert _changes(run, example) == []
    assert _changes(run, example / "s.yaml") == [], "s.yaml says the same"
    run("remove", str(example), "-y")
    run("deploy", str(example / "s.yaml"))
    assert _changes(run, example) == []
    if example.name.startswith("hello"):
        assert b"Hello, Ada!" in client.invoke(example.name, b"Ada").payload
    run("remove", str(example / "s.yaml"), "-y")


@pytest.mark.parametrize("example", ["shop"], indirect=True)
def test_the_shop_does_what_its_page_says(node: NodeProcess, run: Run, client: Client, example: Path) -> None:
    run("deploy", str(example))
    assert _changes(run, example) == []
    headers = {"host": "shop.example.com"}
    with httpx.Client(trust_env=False, base_url=node.endpoint) as http:
        assert http.get("/", headers=headers).text == "<h1>The shop (dev) has cake, tea</h1>"
        ordered = http.post("/orders", headers=headers, json={"item": "tea"})
        assert ordered.json() == {"item": "tea", "price": 3}
        assert http.post("/orders", headers=headers, json={"item": "car"}).status_code == 400
    task = client.submit("shop-orders", b'{"item": "cake"}')
    assert b"cake" in task.result(wait_s=20)
    (example / "front" / "index.py").write_text((example / "front" / "index.py").read_text() + "# new\n")
    assert _changes(run, example) == ["update function shop-front", "create version 2", "update alias live"]
    run("remove", str(example), "-y")
    assert not list(client.functions.list("shop-"))
