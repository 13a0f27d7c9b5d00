"""A function that is slow to load: pandas and 34 MB of data. What it takes to start it in other ways."""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench._call import servers
from functory.runtimes import installer
from functory.testing.workshop import interpreter

START_S = 60.0
SOURCE = """
import numpy
import pandas


def start(context):
    global FRAME
    FRAME = pandas.DataFrame({f"c{n}": numpy.arange(1 << 16, dtype=float) for n in range(68)})


def handler(event, context):
    return b"%f" % FRAME["c3"].iloc[:100].sum()


def framework(request):
    if "FRAME" not in globals():
        start(None)
    return handler(b"", None)
"""


@contextmanager
def layer() -> Iterator[Path]:
    """A layer with pandas, installed as the node installs requirements."""
    with tempfile.TemporaryDirectory(prefix="functory-bench-", dir="/var/tmp") as place:
        folder = Path(place)
        folder.chmod(0o755)
        requirements = folder / "requirements.txt"
        requirements.write_text("pandas\n")
        made = folder / "layer"
        cache = Path(os.environ.get("UV_CACHE_DIR") or Path.home() / ".cache" / "uv")
        command = installer.command(interpreter(), made / "python", requirements, cache)
        subprocess.run(command, env=installer.environment(os.environ), check=True)
        yield made


def fresh(python: str, where: Path, code: Path) -> None:
    """What a platform without templates does: a new interpreter that imports, initialises and answers."""
    script = "import index; index.start(None); print(index.handler(b'x', None))"
    environment = {"PYTHONPATH": str(where / "python"), "PATH": os.defpath}
    subprocess.run([python, "-c", script], cwd=code, env=environment, check=True, capture_output=True)


def framework(where: Path, code: Path) -> list[float]:
    """functions-framework, from its start to its first answer, in ms; nothing where it is not installed."""
    program = servers.PEERS / "functions-framework"
    if not program.exists():
        return []
    port = servers.free_port()
    command = [str(program), "--target", "framework", "--source", str(code / "index.py"), "--port", str(port)]
    environment = {**os.environ, "PYTHONPATH": str(where / "python"), "WORKERS": "1"}
    began = time.perf_counter()
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            while not _answers(f"http://127.0.0.1:{port}/"):
                if process.poll() is not None or time.perf_counter() - began > START_S:
                    raise SystemExit("functions-framework did not start")
            return [(time.perf_counter() - began) * 1e3]
        finally:
            process.terminate()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=START_S) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError):
        time.sleep(0.002)
        return False


def own_mb(pid: int) -> float:
    """Memory that a process does not share, in MB."""
    rollup = Path(f"/proc/{pid}/smaps_rollup").read_text()
    own = ("Private_Dirty:", "Private_Clean:")
    return sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith(own)) / 1024
