"""What every test relies on. Fixtures of one part lie beside its tests."""

from __future__ import annotations

import os
from collections.abc import Generator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
_QUICK_FIRST = ("unit", "contracts", "flows", "meta", "e2e", "faults")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The order is random within a folder, but the quick folders come first: a plain mistake shows in seconds."""

    def rank(item: pytest.Item) -> int:
        part = item.path.relative_to(ROOT / "tests").parts[0]
        return _QUICK_FIRST.index(part) if part in _QUICK_FIRST else len(_QUICK_FIRST)

    items.sort(key=rank)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skipped test is a failed one: what is absent there was never tested.

    But for what this machine's kernel or folders cannot show at all: such a reason begins with `cannot be shown here`.
    """
    report = yield
    reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else ""
    possible = not reason.removeprefix("Skipped: ").startswith("cannot be shown here")
    if os.environ.get("CI") and report.skipped and possible and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = (
            f"skipped in CI: {report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr}"
        )
    return report


@pytest.fixture(autouse=True)
def _no_settings_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """A developer's own FUNCTORY_* variables do not reach the tests."""
    for name in [name for name in os.environ if name.startswith("FUNCTORY_")]:
        monkeypatch.delenv(name)


@pytest.fixture(scope="session")
def root() -> Path:
    """The top of the repository."""
    return ROOT
