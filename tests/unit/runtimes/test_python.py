"""Which interpreter runs a Python function."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from functory.model import errors
from functory.runtimes.python import NAMES, find_interpreters

OWN = ".".join(map(str, sys.version_info[:3]))
MINOR = f"python{sys.version_info[0]}.{sys.version_info[1]}"


@pytest.fixture
def empty_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A search path with nothing on it."""
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return folder


def _program(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


@pytest.mark.usefixtures("empty_path")
def test_every_official_name_is_bound_and_a_stand_in_says_so() -> None:
    found = find_interpreters({})
    assert [one.name for one in found.all()] == list(NAMES)
    for one in found.all():
        assert one.version == OWN
        exact = one.name in ("python3", MINOR)
        assert one.note == ("" if exact else f"{one.name} is not on this node: runs on Python {OWN}")
    assert len(found.paths) == 1


@pytest.mark.usefixtures("empty_path")
def test_functions_run_on_the_interpreter_below_the_nodes_environment() -> None:
    path = Path(find_interpreters({}).get("python3").path)
    assert path == path.resolve()
    assert not path.is_relative_to(sys.prefix) or sys.prefix == sys.base_prefix


def test_an_interpreter_of_the_right_version_on_the_search_path_is_taken_by_its_own_name(empty_path: Path) -> None:
    _program(empty_path / "python3.9", "echo 3.9.18 /opt/python3.9/bin/python3.9")
    _program(empty_path / "python3.12", "echo 3.11.1 /opt/odd/bin/python")  # not what its name says
    found = find_interpreters({})
    assert (found.get("python3.9").path, found.get("python3.9").note) == ("/opt/python3.9/bin/python3.9", "")
    assert found.get("python3.12").version == OWN
    assert found.resolve("python3.9") == ("/opt/python3.9/bin/python3.9", "3.9.18", "")


@pytest.mark.usefixtures("empty_path")
def test_a_configured_interpreter_wins_and_may_have_a_name_of_its_own() -> None:
    found = find_interpreters({"python3.12": sys.executable, "python4": sys.executable})
    assert found.get("python3.12").note == f"python3.12 is not on this node: runs on Python {OWN}"
    assert found.get("python4").version == OWN
    assert [one["name"] for one in found.describe()][-1] == "python4"


def test_a_configured_interpreter_that_does_not_work_is_refused_with_the_reason(empty_path: Path) -> None:
    cases = {
        "/no/such/python": "not there",
        _program(empty_path / "silent", "exit 0"): "does not say its version",
        _program(empty_path / "broken", "exit 3"): "does not say its version",
        _program(empty_path / "old", "echo 3.6.9 /usr/bin/old"): "3.9 is the oldest",
    }
    for path, words in cases.items():
        with pytest.raises(errors.InvalidArgument, match=words):
            find_interpreters({"python3.10": path})


@pytest.mark.usefixtures("empty_path")
def test_an_unknown_runtime_is_refused_with_what_there_is() -> None:
    with pytest.raises(
        errors.InvalidArgument, match=r"'ruby' is not available on this node; it has python3, python3\.9"
    ):
        find_interpreters({}).get("ruby")


def test_the_interpreter_found_can_be_executed() -> None:
    assert all(os.access(path, os.X_OK) for path in find_interpreters({}).paths)
