"""Pages that cannot lie: what they name is there, and what is there they name."""

from __future__ import annotations

import ast
import re
import tomllib
from pathlib import Path

import functory

PAGES = ["README.md", "ARCHITECTURE.md", "SPECIFICATION.md", "CONTRIBUTING.md", "CHANGELOG.md"]


def _pages(root: Path) -> list[Path]:
    return [root / name for name in PAGES] + sorted((root / "docs").rglob("*.md"))


def test_every_link_leads_to_a_file(root: Path) -> None:
    broken = [
        f"{page.name}: {target}"
        for page in _pages(root)
        for target in re.findall(r"\]\(([^)#]+?)(?:#[^)]*)?\)", page.read_text("utf-8"))
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert not broken, broken


def test_every_file_that_a_page_names_is_there(root: Path) -> None:
    named = re.compile(r"`((?:src|tests|docs|examples|requirements)/[A-Za-z0-9_./-]+?)/?(?:::[a-z_0-9]+)?`")
    missing = [
        f"{page.name}: {path}"
        for page in _pages(root)
        for path in named.findall(page.read_text("utf-8"))
        if not (root / path).exists()
    ]
    assert not missing, missing


def test_every_promise_names_how_it_is_shown_or_says_that_it_is_not_yet(root: Path) -> None:
    rows = [line for line in (root / "SPECIFICATION.md").read_text("utf-8").splitlines() if re.match(r"\| \d", line)]
    assert len(rows) >= 15
    for row in rows:
        proof, status = row.rstrip(" |").split("|")[-2:]
        assert re.search(r"`tests/[^`]+`", proof) or "not built yet" in status, row


def test_every_test_that_a_promise_names_exists(root: Path) -> None:
    for path, name in re.findall(r"`(tests/[^`:]+)::([a-z_0-9]+)`", (root / "SPECIFICATION.md").read_text("utf-8")):
        tree = ast.parse((root / path).read_text("utf-8"))
        names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
        assert name in names, f"SPECIFICATION.md names {path}::{name}"


def test_the_newest_heading_of_the_changelog_is_the_packages_version(root: Path) -> None:
    newest = re.search(r"^## \[([^\]]+)\]", (root / "CHANGELOG.md").read_text("utf-8"), re.M)
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    assert newest is not None
    assert newest[1] == project["project"]["version"] == functory.__version__
