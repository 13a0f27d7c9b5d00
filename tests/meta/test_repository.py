"""What may lie in the repository: no address of a package index, no path of one machine, no lock file with either."""

from __future__ import annotations

import re
import subprocess
import tomllib
from pathlib import Path

import pytest

REQUIREMENTS = ("run", "dev", "bench")
# Written in pieces, so that this file does not hold what it forbids.
INDEX_HOSTS = [".".join(pieces) for pieces in (("pypi", "org"), ("pythonhosted", "org"), ("npmjs", "org"))]
MACHINE_PATHS = ["/".join(pieces) for pieces in (("", "work", "main"), ("", "work", "shared"), ("", "root", ""))]


def _tracked(root: Path) -> list[Path]:
    """What is in the repository or would be with the next commit."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, check=True).stdout.decode()
    return [root / name for name in listed.split("\0") if name and (root / name).is_file()]


def test_no_file_names_a_package_index_or_a_place_on_one_machine(root: Path) -> None:
    forbidden = INDEX_HOSTS + MACHINE_PATHS + ([f"{root}/"] if len(root.parts) > 3 else [])
    found = [
        f"{path.relative_to(root)} holds {text!r}"
        for path in _tracked(root)
        for text in forbidden
        if text.encode() in path.read_bytes()
    ]
    assert not found, "\n".join(found)


def test_no_file_is_huge_or_a_build_product(root: Path) -> None:
    for path in _tracked(root):
        assert path.stat().st_size < 1_000_000, f"{path} is over 1 MB"
        assert path.suffix not in {".pyc", ".whl", ".so", ".zip", ".gz"}, f"{path} is a build product"


@pytest.mark.parametrize("name", ["uv.lock", ".venv/x", ".venv-bench/x", ".functory/x", ".cache/x", "dist/x"])
def test_what_a_machine_makes_for_itself_is_ignored(root: Path, name: str) -> None:
    assert subprocess.run(["git", "check-ignore", "-q", name], cwd=root, check=False).returncode == 0


@pytest.mark.parametrize("name", REQUIREMENTS)
def test_every_requirement_is_pinned_and_hashed_and_none_says_where_from(root: Path, name: str) -> None:
    text = (root / "requirements" / f"{name}.txt").read_text("utf-8")
    entries = text.replace("\\\n", " ").splitlines()
    assert entries
    for entry in entries:
        assert re.match(r"[a-z0-9][a-z0-9-]*==[0-9][^ ]* ", entry), entry[:100]
        assert "--hash=sha256:" in entry, entry[:100]
    assert "://" not in text
    assert not re.search(r"^\s*(-i|--index-url|--extra-index-url|-f|--find-links)\b", text, re.M)


def test_what_the_project_asks_for_is_in_the_exports(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    groups = {"run": project["project"]["dependencies"], **project["dependency-groups"]}
    assert set(groups) == set(REQUIREMENTS)
    for name, wanted in groups.items():
        pinned = set(re.findall(r"^([a-z0-9-]+)==", (root / "requirements" / f"{name}.txt").read_text("utf-8"), re.M))
        missing = {re.split(r"[^A-Za-z0-9._-]", one)[0].lower() for one in wanted} - pinned
        assert not missing, f"requirements/{name}.txt lacks {missing}: run ./dev lock"


def test_the_versions_of_run_and_dev_are_the_same(root: Path) -> None:
    pins = [
        dict(re.findall(r"^([a-z0-9-]+)==([^ ]+)", (root / "requirements" / f"{name}.txt").read_text("utf-8"), re.M))
        for name in ("run", "dev")
    ]
    assert pins[0].items() <= pins[1].items()


@pytest.mark.parametrize("name", ["dev", ".ci/run"])
def test_the_scripts_can_be_run(root: Path, name: str) -> None:
    assert (root / name).stat().st_mode & 0o111


def test_the_menu_names_every_command_and_refuses_others(root: Path) -> None:
    script = (root / "dev").read_text("utf-8")
    commands = re.findall(r"^  ([a-z]+)\) ", script, re.M)
    shown = subprocess.run([root / "dev", "help"], cwd="/", capture_output=True, check=True).stdout.decode()
    assert {"up", "test", "bench", "lint", "fmt", "lock"} <= set(commands)
    assert all(re.search(rf"(\./dev |\| ){command}\b", shown) for command in commands)
    refused = subprocess.run([root / "dev", "tset"], capture_output=True, check=False)
    assert refused.returncode != 0
    assert b"./dev help" in refused.stderr
