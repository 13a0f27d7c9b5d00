"""The demo, whole: a node, a layer with Pillow, real photographs, one table."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from e2e.node_process import clean_environment
from functory.cli import photos, pictures
from functory.sdk import Client, Credentials, credentials

pytestmark = [pytest.mark.server, pytest.mark.timeout(300)]

STAYS = "The node stays up"
LIMIT_S = 240


class Demo:
    """`functory up --demo`, until it says that the node stays up."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.data = folder / ".functory"
        self.process = subprocess.Popen(
            [sys.executable, "-m", "functory", "up", "--demo", "--port", "0", "--data", str(self.data)],
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=folder,
            env=clean_environment() | {"COLUMNS": "140"} | environ,
        )  # fmt: skip
        self._watchdog = threading.Timer(LIMIT_S, self.process.kill)
        self._watchdog.start()
        assert self.process.stdout is not None
        lines = []
        for line in self.process.stdout:
            lines.append(line)
            if STAYS in line:
                break
        self.said = "".join(lines)

    @property
    def credentials(self) -> Credentials:
        return credentials.read(self.data / credentials.FILE_NAME)

    def interrupt(self) -> int:
        """Ctrl-C; the exit code, and what else it said is added."""
        self.process.send_signal(signal.SIGINT)  # nothing, if it has ended
        rest, _ = self.process.communicate(timeout=30)
        self._watchdog.cancel()
        self.said += rest
        return self.process.returncode


def test_the_demo_shows_each_call_and_ends_with_ctrl_c(tmp_path: Path) -> None:
    demo = Demo(tmp_path)
    try:
        if "out of reach" in demo.said and not os.environ.get("CI"):
            pytest.skip("the package index is out of reach")
        assert STAYS in demo.said, demo.said
        rows = {name: line for line in demo.said.splitlines() for name in _names() if line.strip().startswith(name)}
        assert set(rows) == set(_names()), demo.said
        assert "cold" in rows["astronaut"]
        assert "warm" in rows["chelsea"]
        assert "warm" in rows["rocket"] or "warm" in rows["coffee"]
        for row in rows.values():
            assert re.search(r"\d ms +[\d.,]+ µ¢", row), row
        for name in photos.NAMES:
            made = (demo.data / "demo" / f"{Path(name).stem}.jpg").read_bytes()
            assert pictures.measure(made)[0] == 256
        with Client(demo.credentials) as client:
            assert client.functions.get("thumbnail").memory_size == 512, "the node is still there"
    finally:
        code = demo.interrupt()
    assert code == 0, demo.said
    assert "Traceback" not in demo.said
    assert not _processes_of(demo.data), "nothing is left behind"


_NOWHERE = "http://127.0.0.1:9"
_PROXIES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy", "all_proxy")
CUT_OFF = dict.fromkeys(_PROXIES, _NOWHERE) | {
    "NO_PROXY": "", "no_proxy": "", "UV_NO_CACHE": "1", "UV_HTTP_TIMEOUT": "3", "UV_HTTP_RETRIES": "0",
}  # fmt: skip
"""A proxy that nobody listens on: the ordinary client cannot get out, and nothing is asked of anybody."""


def test_a_node_that_goes_by_itself_is_not_gone_in_silence(tmp_path: Path) -> None:
    demo = Demo(tmp_path, **CUT_OFF)
    try:
        pid = demo.process.pid
        (node,) = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        os.kill(int(node), signal.SIGKILL)
        demo.process.wait(30)
    finally:
        code = demo.interrupt()
    assert code == 128 + signal.SIGKILL
    assert "The node was ended by SIGKILL" in demo.said


def test_without_a_package_index_the_demo_says_so_and_the_node_stays(tmp_path: Path) -> None:
    demo = Demo(tmp_path, **CUT_OFF)
    try:
        assert STAYS in demo.said, demo.said
        assert "out of reach" in demo.said
        assert "Traceback" not in demo.said
        with Client(demo.credentials) as client:
            assert client.health().status == "ok"
    finally:
        code = demo.interrupt()
    assert code == 4, demo.said


def _names() -> list[str]:
    return [Path(name).stem.partition("_")[0] for name in photos.NAMES]


def _processes_of(data: Path) -> list[str]:
    """Command lines that name this data folder."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            found.append(path.read_bytes().replace(b"\0", b" ").decode("utf-8", "replace"))
    return [line for line in found if str(data) in line]
