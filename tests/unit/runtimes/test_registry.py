"""Which runtimes there are, what they promise, and how their instances are made."""

from __future__ import annotations

import sys

import pytest

from functory.model import errors
from functory.model.function import Custom, Function, HealthCheck
from functory.runtimes import handlers
from functory.runtimes.base import Runtimes
from functory.runtimes.custom import CustomRuntime
from functory.runtimes.goapi import GoRuntime
from functory.runtimes.node import NodeRuntime, find_node
from functory.runtimes.python import find_interpreters

ZYGOTE = "/usr/bin/python3"


def _function(runtime: str, **fields: object) -> Function:
    known = {
        "account_id": "1",
        "name": "f",
        "function_id": "id",
        "handler": "main",
        "code_digest": "",
        "code_checksum": "",
        "code_size_bytes": 0,
        "created_at_ms": 0,
        "modified_at_ms": 0,
    }
    return Function(runtime=runtime, **(known | fields))  # type: ignore[arg-type]


def _runtimes() -> Runtimes:
    return Runtimes(
        find_interpreters({}), NodeRuntime("/usr/bin/node", "20.1.2", ZYGOTE), CustomRuntime(ZYGOTE, 120),
        GoRuntime(ZYGOTE, 120),
    )  # fmt: skip


def test_an_unknown_runtime_is_refused_with_the_list_of_what_there_is() -> None:
    with pytest.raises(errors.InvalidArgument, match=r"'ruby'.* it has python3, .*nodejs20, custom, .*go1"):
        _runtimes().resolve("ruby")


def test_every_name_is_described_and_resolves_to_the_same() -> None:
    runtimes = _runtimes()
    rows = runtimes.describe()
    assert len({row["name"] for row in rows}) == len(rows) >= 15
    for row in rows:
        assert runtimes.resolve(row["name"]) == (row["interpreter"], row["version"], row["note"])


def test_a_name_that_another_version_stands_in_for_says_so() -> None:
    runtimes = _runtimes()
    assert runtimes.resolve("nodejs20") == ("/usr/bin/node", "20.1.2", "")
    assert runtimes.resolve("nodejs18")[2] == "nodejs18 runs on Node.js 20.1.2 here"
    assert "this machine's system" in runtimes.resolve("custom.debian11")[2]


def test_node_gets_a_heap_below_its_memory() -> None:
    start = _runtimes().start(_function("nodejs20", memory_mb=1024))
    assert start.argv == ("/usr/bin/node", "--max-old-space-size=768", "@/node.cjs")
    assert start.program is None


def test_a_custom_function_runs_its_command_or_bootstrap() -> None:
    runtimes = _runtimes()
    plain = runtimes.start(_function("custom"))
    assert plain.program is not None
    assert (plain.program.command, plain.program.port, plain.start_timeout_s) == (("/code/bootstrap",), 0, 120)
    health = HealthCheck(path="/h")
    custom = Custom(command=("python3", "app.py"), args=("-q",), port=8080, health=health)
    said = runtimes.start(_function("custom.debian12", custom=custom)).program
    assert said is not None
    assert (said.command, said.port, said.health) == (("python3", "app.py", "-q"), 8080, health)


def test_go_runs_the_program_that_the_handler_names() -> None:
    program = _runtimes().start(_function("go1", handler="bin/main")).program
    assert program is not None
    assert (program.command, program.serves_http) == (("/code/bin/main",), False)


@pytest.mark.parametrize("given", ["/nowhere/node", sys.executable])
def test_a_node_that_is_set_but_cannot_be_used_is_refused(given: str) -> None:
    with pytest.raises(errors.InvalidArgument, match="nodejs"):
        find_node(given, ZYGOTE)


def test_no_node_on_path_is_no_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert find_node("", ZYGOTE) is None


@pytest.mark.parametrize(
    ("runtime", "good", "bad"),
    [
        ("python3", ["index.handler", "a/b.c"], ["index", "a b.c", ""]),
        ("nodejs20", ["index.handler", "src/app-1.main", "dist/index.$x", "@a/b.c"], ["index", "../x.y", "/x.y"]),
        ("go1", ["main", "bin/main-1.2"], ["/main", "../main", "a b", ""]),
        ("custom", ["index.handler", "anything at all"], []),
    ],
)
def test_handlers_have_the_form_of_their_runtime(runtime: str, good: list[str], bad: list[str]) -> None:
    for value in good:
        handlers.check("handler", value, runtime)
    for value in bad:
        with pytest.raises(errors.InvalidArgument, match="handler"):
            handlers.check("handler", value, runtime)
