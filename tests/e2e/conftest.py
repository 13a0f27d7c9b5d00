"""One node for all tests of this folder."""

from __future__ import annotations

import fcntl
import shutil
import subprocess
import sys
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest

from e2e.node_process import NodeProcess
from functory.sdk import Client

SDK = Path(__file__).parent / "sdk"
INSTALL_TIMEOUT_S = 240


@pytest.fixture(scope="session")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[NodeProcess]:
    """One node for all tests that leave others alone; it must stop cleanly at the end."""
    started = NodeProcess(tmp_path_factory.mktemp("node"), "--http-destinations", "public,127.0.0.1")
    started.start()
    yield started
    code = started.stop()
    assert code == 0, f"the node ended with {code}; it said:\n{started.log}"


@pytest.fixture
def client(node: NodeProcess) -> Iterator[Client]:
    """A client of the node."""
    with Client(node.credentials) as connected:
        yield connected


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """The log of the node stands beside a failed test."""
    report = yield
    running = getattr(item, "funcargs", {}).get("node")
    if report.failed and isinstance(running, NodeProcess):
        report.sections.append(("the node's log, its end", running.log[-8000:]))
    return report


@pytest.fixture(scope="session")
def sdk_python(root: Path) -> Path:
    """The interpreter of an environment that holds what `sdk/requirements.txt` says."""
    home = root / ".venv-sdk"
    home.mkdir(exist_ok=True)
    with (home / "lock").open("w") as lock:  # several test runs may share the folder
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _environment(home, (SDK / "requirements.txt").read_text())


def _environment(home: Path, wanted: str) -> Path:
    python, stamp = home / "python" / "bin" / "python", home / "installed.txt"
    if stamp.exists() and stamp.read_text() == wanted and python.exists():
        return python
    stamp.unlink(missing_ok=True)
    shutil.rmtree(home / "python", ignore_errors=True)
    _uv("venv", "--quiet", "--python", sys.executable, str(home / "python"))
    _uv("pip", "install", "--quiet", "--python", str(python), "--requirements", str(SDK / "requirements.txt"))
    stamp.write_text(wanted)
    return python


def _uv(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "uv", *arguments], capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S
    )
    if done.returncode:
        pytest.skip(f"the official SDK cannot be installed here: {done.stderr.strip()[-300:]}")
