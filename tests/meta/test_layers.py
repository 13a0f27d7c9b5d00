"""The import rules name every part, and the map of the house shows it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture(scope="module")
def linter(root: Path) -> dict[str, Any]:
    project = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))
    rules: dict[str, Any] = project["tool"]["importlinter"]
    return rules


def _parts(root: Path) -> set[str]:
    inside = (root / "src" / "functory").iterdir()
    folders_and_files = {path.stem for path in inside if path.suffix == ".py" or any(path.glob("*.py"))}
    return folders_and_files - {"__init__"}


def test_every_part_has_a_layer_and_every_layer_a_part(root: Path, linter: dict[str, Any]) -> None:
    contract = next(one for one in linter["contracts"] if one["type"] == "layers")
    named = {part.strip() for layer in contract["layers"] for part in layer.split("|")}
    assert contract["exhaustive"]
    assert _parts(root) - set(contract["exhaustive_ignores"]) == named


def test_the_architecture_page_has_a_line_for_every_part(root: Path, linter: dict[str, Any]) -> None:
    page = (root / "ARCHITECTURE.md").read_text("utf-8")
    missing = [part for part in sorted(_parts(root) - {"__main__"}) if f"`{part}`" not in page]
    assert not missing, f"ARCHITECTURE.md does not name {missing}"


def test_rules_speak_only_of_parts_that_are_there(root: Path, linter: dict[str, Any]) -> None:
    for contract in linter["contracts"]:
        for name in (*contract.get("source_modules", ()), *contract.get("forbidden_modules", ())):
            path = root / "src" / Path(*name.split("."))
            assert path.is_dir() or path.with_suffix(".py").is_file(), f"{contract['name']!r} names {name}"
