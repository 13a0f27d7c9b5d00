"""Exit codes and manners: what can be seen without a node."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import click
import pytest

from functory.cli import failures, main
from functory.cli.failures import Exit
from functory.model import errors as model_errors
from functory.sdk import project
from functory.sdk.errors import ApiError, ConnectionFailed, CredentialsNotFound, PackageError


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """No credentials of the machine are found."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("FUNCTORY_ENDPOINT", "FUNCTORY_ACCESS_KEY_ID", "FUNCTORY_ACCESS_KEY_SECRET"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (ApiError(404, "FunctionNotFound", "m"), Exit.REFUSED),
        (ConnectionFailed("m"), Exit.UNREACHABLE),
        (CredentialsNotFound("m"), Exit.USAGE),
        (PackageError("m"), Exit.USAGE),
        (click.UsageError("m"), Exit.USAGE),
        (model_errors.InvalidArgument("m"), Exit.USAGE),
    ],
)
def test_each_kind_of_failure_has_its_exit_code(failure: Exception, code: Exit) -> None:
    assert failures.code_of(failure) == code


def test_an_unknown_command_and_a_missing_argument_are_usage_errors(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["lss"]) == Exit.USAGE
    assert main.run(["show"]) == Exit.USAGE
    assert main.run(["deploy", ".", "--memory", "lots"]) == Exit.USAGE
    assert "functory show --help" in capsys.readouterr().err


@pytest.mark.parametrize(("words", "meant"), [(["lss"], "'ls'"), (["alias", "creat"], "'create'")], ids=str)
def test_a_slip_of_the_fingers_is_told_what_was_probably_meant(
    words: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.run(words) == Exit.USAGE
    assert meant in capsys.readouterr().err


NODE = {"functory.node", "functory.config", "functory.control", "starlette", "uvloop", "apsw", "cryptography"}


@pytest.mark.parametrize(
    ("words", "unneeded"),
    [
        (["--help"], NODE | {"functory.sdk.client", "httpx", "yaml", "asyncio"}),
        (["up", "--help"], NODE - {"functory.config"} | {"functory.cli.demo", "httpx", "yaml"}),
        (["ls"], NODE | {"functory.cli.demo", "functory.cli.deploy", "yaml", "asyncio", "pygments", "rich.syntax"}),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_a_command_imports_what_it_needs_and_no_other_command(words: list[str], unneeded: set[str]) -> None:
    script = (
        "import sys\nfrom functory.cli import main\ntry: main.main()\nexcept SystemExit: pass\n"
        "print('imported', *sys.modules, file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", script, *words], capture_output=True, text=True, check=True)
    imported = set(done.stderr.rpartition("imported ")[2].split())
    assert "functory.cli.menu" in imported
    assert imported & unneeded == set()


def test_without_keys_the_reason_and_the_way_out_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["ls"]) == Exit.USAGE
    said = capsys.readouterr()
    assert said.out == ""
    assert "No access key was found" in said.err
    assert "./dev up" in said.err


def test_a_node_that_is_not_there_is_exit_code_4(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        endpoint = f"http://127.0.0.1:{taken.getsockname()[1]}"
        (elsewhere / ".functory").mkdir()
        keys = {"endpoint": endpoint, "accountId": "1", "accessKeyId": "k", "accessKeySecret": "s"}
        (elsewhere / ".functory" / "credentials.json").write_text(json.dumps(keys))
        assert main.run(["ls"]) == Exit.UNREACHABLE
        assert main.run(["doctor"]) == Exit.FUNCTION_ERROR
    said = capsys.readouterr()
    assert "Connection refused" in said.err
    assert "Connection refused" in said.out
    assert "Traceback" not in said.err + said.out


def test_new_makes_a_function_and_overwrites_nothing(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["new", "hello"]) == Exit.OK
    assert sorted(path.name for path in (elsewhere / "hello").iterdir()) == [
        "functory.toml", "index.py", "requirements.txt",
    ]  # fmt: skip
    (elsewhere / "hello" / "index.py").write_text("mine")
    assert main.run(["new", "hello"]) == Exit.USAGE
    assert (elsewhere / "hello" / "index.py").read_text() == "mine"
    assert "is there already" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("runtime", "files"),
    [
        ("nodejs20", ["functory.toml", "index.js"]),
        ("custom", ["bootstrap", "functory.toml"]),
        ("go1", [".functoryignore", "functory.toml", "go.mod", "main.go"]),
    ],
)
def test_new_makes_a_function_of_each_runtime_that_can_be_deployed(
    elsewhere: Path, runtime: str, files: list[str]
) -> None:
    assert main.run(["new", "hello", "--runtime", runtime]) == Exit.OK
    folder = elsewhere / "hello"
    assert sorted(path.name for path in folder.iterdir()) == files
    said = project.load(folder)
    assert said.runtime == runtime
    assert not (folder / "bootstrap").exists() or os.access(folder / "bootstrap", os.X_OK)
    if runtime == "go1":
        (folder / "main").write_text("what the build makes")
    project.check_handler(folder, runtime, said.handler or project.find_handler(folder, runtime))


def test_new_knows_no_example_for_an_unknown_runtime(elsewhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["new", "hello", "--runtime", "ruby27"]) == Exit.USAGE
    assert "python, nodejs, custom, go1" in capsys.readouterr().err


def test_new_refuses_a_name_that_no_function_may_have(elsewhere: Path) -> None:
    assert main.run(["new", "2nd"]) == Exit.USAGE
    assert not (elsewhere / "2nd").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["invoke", "f", "-e", "x", "-f", "y"],
        ["invoke", "f", "-f", "missing.json"],
        ["deploy", "missing"],
        ["deploy", ".", "--env", "novalue"],
        ["logs", "1-65a77fbb-157f3f32-e1ee24b17e49", "-f"],
        ["up", "--port", "lots"],
        ["up", "--queue-max", "-5"],
    ],
    ids=" ".join,
)
def test_what_cannot_be_used_is_refused_before_any_call(elsewhere: Path, arguments: list[str]) -> None:
    (elsewhere / ".functory").mkdir()
    # A port that nobody can listen on: a call would end with another code.
    keys = {"endpoint": "http://127.0.0.1:1", "accessKeyId": "k", "accessKeySecret": "s"}
    (elsewhere / ".functory" / "credentials.json").write_text(json.dumps(keys))
    assert main.run(arguments) == Exit.USAGE


def test_the_version_is_printed() -> None:
    done = subprocess.run([sys.executable, "-m", "functory", "--version"], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("functory ")


def test_a_reader_that_stops_reading_is_no_error() -> None:
    command = f"{sys.executable} -m functory --help | true; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
