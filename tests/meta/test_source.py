"""Rules that every module keeps and no type checker knows."""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

SRC = Path(__file__).resolve().parents[2] / "src" / "functory"
MODULES = sorted(SRC.rglob("*.py"))
TIMELESS = [path for path in MODULES if not {"testing", "cli", "sdk", "bootstrap"} & set(path.relative_to(SRC).parts)]
FORBIDDEN = {
    "time.time": "the clock's now_s",
    "time.time_ns": "the clock's now_ms",
    "time.sleep": "the clock's sleep or call_later",
    "uuid.uuid1": "ids.request_id_maker, or a callable like secrets.token_hex that is passed in",
    "uuid.uuid4": "ids.request_id_maker, or a callable like secrets.token_hex that is passed in",
    "datetime.now": "the clock's now_ms",
    "datetime.utcnow": "the clock's now_ms",
    "date.today": "the clock's now_ms",
}
EXEMPT = {
    "clock.py": {"time.time", "time.time_ns"},  # it is the clock
}


def _name(path: Path) -> str:
    return str(path.relative_to(SRC))


def _tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text("utf-8"), str(path))


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_every_module_says_what_it_is_for(path: Path) -> None:
    if path.name == "__init__.py" and not path.read_text("utf-8"):
        pytest.fail(f"{_name(path)} is empty: a part says in a sentence what it is")
    docstring = ast.get_docstring(_tree(path))
    assert docstring, f"{_name(path)} has no docstring"
    assert docstring.strip()[-1] in ".:`}│┘…)" or "\n" in docstring, f"the docstring of {_name(path)} is not a sentence"


@pytest.mark.parametrize("path", [path for path in MODULES if path.name == "__init__.py"], ids=_name)
def test_the_map_at_the_head_of_a_room_names_only_files_that_are_there(path: Path) -> None:
    named = set(re.findall(r"\b\w+\.(?:py|cjs)\b", ast.get_docstring(_tree(path)) or ""))
    assert named <= {one.name for one in path.parent.rglob("*")}


@pytest.mark.parametrize("path", [path for path in MODULES if path.name == "__init__.py"], ids=_name)
def test_exported_names_are_sorted_and_there(path: Path) -> None:
    name = ".".join(("functory", *path.parent.relative_to(SRC).parts))
    module = importlib.import_module(name)
    exported = list(getattr(module, "__all__", []))
    assert exported == sorted(exported, key=_as_ruff_sorts)
    assert all(hasattr(module, one) for one in exported)


def _as_ruff_sorts(name: str) -> tuple[int, str]:
    """CONSTANTS, then Classes, then the rest."""
    return (0 if name.isupper() else 1 if name.lstrip("_")[:1].isupper() else 2, name)


def _calls_of_the_machine(tree: ast.Module) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            yield node.lineno, f"{node.value.id}.{node.attr}"
        elif isinstance(node, ast.ImportFrom) and node.module in ("time", "uuid"):
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


@pytest.mark.parametrize("path", TIMELESS, ids=_name)
def test_time_is_asked_from_the_clock_that_was_passed_in(path: Path) -> None:
    exempt = EXEMPT.get(_name(path), set())
    found = [
        f"{_name(path)}:{line} uses {call}; take {FORBIDDEN[call]}"
        for line, call in _calls_of_the_machine(_tree(path))
        if call in FORBIDDEN and call not in exempt
    ]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("path", TIMELESS, ids=_name)
def test_chance_is_passed_in(path: Path) -> None:
    imported = {
        alias.name if isinstance(node, ast.Import) else node.module
        for node in ast.walk(_tree(path))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert "random" not in imported, f"{_name(path)} imports random; take a seed or a callable"
