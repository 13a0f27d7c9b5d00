"""The official Python SDK, unchanged, against a real node.

The SDK lives in an environment of its own, because its dependencies are not ours; it is made once and kept.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from e2e.node_process import NodeProcess, clean_environment

pytestmark = [pytest.mark.server, pytest.mark.timeout(300)]

HERE = Path(__file__).parent / "sdk"
INSTALL_TIMEOUT_S = 240
STEP_TIMEOUT_S = 120


@pytest.fixture(scope="session")
def sdk_python(root: Path) -> Path:
    """The interpreter of an environment that holds what `sdk/requirements.txt` says."""
    home = root / ".venv-sdk"
    home.mkdir(exist_ok=True)
    with (home / "lock").open("w") as lock:  # several test runs may share the folder
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _environment(home, (HERE / "requirements.txt").read_text())


def _environment(home: Path, wanted: str) -> Path:
    python, stamp = home / "python" / "bin" / "python", home / "installed.txt"
    if stamp.exists() and stamp.read_text() == wanted and python.exists():
        return python
    stamp.unlink(missing_ok=True)
    shutil.rmtree(home / "python", ignore_errors=True)
    _uv("venv", "--quiet", "--python", sys.executable, str(home / "python"))
    _uv("pip", "install", "--quiet", "--python", str(python), "--requirements", str(HERE / "requirements.txt"))
    stamp.write_text(wanted)
    return python


def _uv(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "uv", *arguments], capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S
    )
    if done.returncode:
        pytest.skip(f"the official SDK cannot be installed here: {done.stderr.strip()[-300:]}")


@pytest.mark.parametrize("step", ["manage", "invoke", "refuse"])
def test_the_official_sdk_works_with_only_endpoint_and_keys_changed(
    node: NodeProcess, sdk_python: Path, step: str
) -> None:
    environment = clean_environment() | {
        "ENDPOINT": node.endpoint.removeprefix("http://"),
        "ACCESS_KEY_ID": node.credentials.access_key_id,
        "ACCESS_KEY_SECRET": node.credentials.access_key_secret,
        "NO_PROXY": "127.0.0.1,localhost",
    }
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [str(sdk_python), str(HERE / "official.py"), step],
        env=environment,
        cwd=os.fspath(HERE),
        capture_output=True,
        text=True,
        timeout=STEP_TIMEOUT_S,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
