"""What runs under a function's interpreter: other versions must read it, and it must be small."""

from __future__ import annotations

import ast
import json
import sys
from pathlib import Path

import pytest

from functory.runtimes.python import OLDEST
from functory.testing.workshop import Workshop

SOURCES = Path(__file__).parents[3] / "src" / "functory"
FILES = [*sorted((SOURCES / "runtimes/bootstrap").glob("*.py"))] + [
    SOURCES / "sandbox" / name for name in ("confine.py", "tree.py", "zygote.py")
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_oldest_interpreter_can_read_it_and_it_imports_the_standard_library_only(path: Path) -> None:
    tree = ast.parse(path.read_text(), feature_version=OLDEST)
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            assert {alias.name.partition(".")[0] for alias in node.names} <= sys.stdlib_module_names
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            assert (node.module or "").partition(".")[0] in sys.stdlib_module_names


def test_the_generic_zygote_stays_slim(workshop: Workshop) -> None:
    """Each of these costs every instance pages, and `threading` 0.4 ms for its fork hook."""
    running = workshop.start("import sys\ndef handler(event, context): return sorted(sys.modules)")
    loaded = set(json.loads(running.talk.call(b"").body))
    heavy = {"asyncio", "dataclasses", "inspect", "logging", "subprocess", "threading", "typing", "random"}
    assert not loaded & heavy
    assert len(loaded) < 110


def test_what_an_instance_keeps_for_itself_is_small(workshop: Workshop) -> None:
    running = workshop.start("def handler(event, context): return event")
    running.talk.call(b"x")
    rollup = Path(f"/proc/{running.box.pid}/smaps_rollup").read_text()
    own_kb = sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Private_Dirty:"))
    assert own_kb < 3072, "the promise: at most 3 MB for each idle instance"
