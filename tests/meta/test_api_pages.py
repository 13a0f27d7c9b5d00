"""The pages of the APIs list exactly what is served. `python tests/meta/test_api_pages.py` prints the coverage page."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from unittest.mock import MagicMock

from starlette.routing import Route

from functory.control.app import create_app
from functory.control.fc.operations import OPERATIONS, VERSION, find

_SDK = Path(__file__).resolve().parents[1] / "e2e" / "sdk"
IN_THE_GATEWAY = {"InvokeFunction"}
"""Served by the data plane, so not among the control API's routes."""


def _served() -> set[tuple[str, str]]:
    """Method and path of every control route. Only the table is read: no part behind it is ever called."""
    routes = [route for route in create_app(MagicMock()).routes if isinstance(route, Route)]
    return {(method, route.path) for route in routes for method in (route.methods or set()) - {"HEAD"}}


def _shape(path: str) -> str:
    """The path without its query, and without the names and endings of what is variable in it."""
    return re.sub(r"\{[^}]+\}[^/]*", "{}", path.partition("?")[0])


def test_the_page_of_our_own_api_lists_every_route_and_no_other(root: Path) -> None:
    page = (root / "docs" / "functory-api.md").read_text("utf-8")
    listed = {(m, _shape(path)) for m, path in re.findall(r"^\| `(GET|POST|PUT|DELETE) (\S+?)`", page, re.M)}
    served = {(m, _shape(path)) for m, path in _served() if not path.startswith(f"/{VERSION}/")}
    assert listed == served


def _yes(served: bool) -> str:
    return "yes" if served else "–"


def _tried_by(operation: str) -> str:
    """The official SDKs whose scripts in `tests/e2e/sdk` call this operation."""
    snake = re.sub(r"(?<!^)(?=[A-Z])", "_", operation).lower()
    camel = operation[0].lower() + operation[1:]
    calls = (("Python", "*.py", snake), ("Node.js", "*.mjs", camel), ("Go", "go/*.go", operation))
    call = r"\bclient\.{}(?:WithOptions|_with_options)?\b"
    found = [sdk for sdk, files, name in calls if re.search(call.format(name), _scripts(files))]
    return ", ".join(found) or "–"


def _scripts(files: str) -> str:
    return "\n".join(script.read_text("utf-8") for script in sorted(_SDK.glob(files)))


def test_what_is_served_is_tried_by_the_official_sdks_for_python_and_node() -> None:
    found = [find(method, path) for method, path in _served()]
    names = {one.name for one in found if one} | IN_THE_GATEWAY
    untried = {name for name in names if not {"Python", "Node.js"} <= set(_tried_by(name).split(", "))}
    assert not untried, "the scripts in tests/e2e/sdk do not call these"


def coverage() -> str:
    """The text of `docs/coverage.md`."""
    found = [find(method, path) for method, path in _served()]
    names = {operation.name for operation in found if operation} | IN_THE_GATEWAY
    rows = [
        f"| {one.name} | `{one.method} {one.template}` | {_yes(one.name in names)} | {_tried_by(one.name)} |"
        for one in sorted(OPERATIONS, key=lambda one: (one.name not in names, one.name))
    ]
    return "\n".join([_HEAD.format(served=len(names), known=len(OPERATIONS)), *rows, ""])


_HEAD = f"""# Coverage of the official API

Which operations of Function Compute 3.0 (version {VERSION}) this node serves: {{served}} of {{known}}. Paths stand
below `/{VERSION}`. Another operation is answered with `PathNotSupported`, which names it. Fields of a served operation
that this node does not act on are kept and answered as they were given.

The last column names the official SDKs that call the operation in the tests, against a real node.

Made by `python tests/meta/test_api_pages.py > docs/coverage.md`; a test compares them.

| Operation | Call | Served | Tried with the official SDK for |
|---|---|---|---|"""


def test_the_coverage_page_is_what_is_served(root: Path) -> None:
    written = (root / "docs" / "coverage.md").read_text("utf-8")
    assert written == coverage(), "run: .venv/bin/python tests/meta/test_api_pages.py > docs/coverage.md"


if __name__ == "__main__":
    sys.stdout.write(coverage())
