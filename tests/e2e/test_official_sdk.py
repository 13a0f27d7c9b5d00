"""The official SDKs for Python, Node.js and Go, unchanged, against a real node.

Each lives in an environment of its own, because its dependencies are not ours; it is made once and kept.
"""

from __future__ import annotations

import base64
import fcntl
import io
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest

from contracts import go_program
from e2e.node_process import NodeProcess

pytestmark = [pytest.mark.server, pytest.mark.timeout(300)]

HERE = Path(__file__).parent / "sdk"
INSTALL_TIMEOUT_S = 240
STEP_TIMEOUT_S = 120


@pytest.fixture(scope="session")
def sdk_node(root: Path) -> Path:
    """A folder in which the Node.js SDK of `sdk/package.json` is installed."""
    if shutil.which("npm") is None:
        pytest.skip("there is no npm here")
    home = root / ".venv-sdk-node"
    home.mkdir(exist_ok=True)
    wanted = (HERE / "package.json").read_text()
    with (home / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        stamp = home / "installed.json"
        if stamp.exists() and stamp.read_text() == wanted:
            return home
        (home / "package.json").write_text(wanted)
        command = ["npm", "install", "--no-audit", "--no-fund", "--silent"]
        done = subprocess.run(command, cwd=home, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S)
        if done.returncode:
            pytest.skip(f"the official Node.js SDK cannot be installed here: {done.stderr.strip()[-300:]}")
        stamp.write_text(wanted)
        return home


@pytest.mark.parametrize("step", ["manage", "invoke", "refuse", "versions", "configs", "tasks", "around", "layers"])
def test_the_official_sdk_works_with_only_endpoint_and_keys_changed(
    node: NodeProcess, sdk_python: Path, step: str
) -> None:
    done = subprocess.run(
        [str(sdk_python), str(HERE / "official.py"), step],
        env=node.cloud_environment,
        cwd=os.fspath(HERE),
        capture_output=True,
        text=True,
        timeout=STEP_TIMEOUT_S,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


def test_the_official_sdk_sees_every_field_and_filter_of_tasks(node: NodeProcess, sdk_python: Path) -> None:
    done = subprocess.run(
        [str(sdk_python), str(HERE / "tasks.py")],
        env=node.cloud_environment,
        cwd=os.fspath(HERE),
        capture_output=True,
        text=True,
        timeout=STEP_TIMEOUT_S,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


def _zip(code: str) -> str:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("index.py", code)
    return base64.b64encode(out.getvalue()).decode()


@pytest.mark.parametrize("script", ["official.mjs", "more.mjs"])
def test_the_official_node_sdk_works_likewise(node: NodeProcess, sdk_node: Path, script: str) -> None:
    environment = node.cloud_environment | {
        "SDK_HOME": str(sdk_node),
        "ECHO_ZIP": _zip("def handler(event, context):\n    return event\n"),
        "OTHER_ZIP": _zip("def handler(event, context):\n    return b'other'\n"),
    }
    done = subprocess.run(
        ["node", str(HERE / script)],
        env=environment,
        cwd=os.fspath(sdk_node),
        capture_output=True,
        text=True,
        timeout=STEP_TIMEOUT_S,
    )
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"


def test_the_official_go_sdk_works_likewise(node: NodeProcess, tmp_path: Path) -> None:
    program = tmp_path / "official"
    program.write_bytes(go_program.build(HERE / "go"))
    program.chmod(0o755)
    environment = node.cloud_environment | {"ECHO_ZIP": _zip("def handler(event, context):\n    return event\n")}
    done = subprocess.run([str(program)], env=environment, capture_output=True, text=True, timeout=STEP_TIMEOUT_S)
    assert done.returncode == 0, f"{done.stdout}{done.stderr}"
