"""Celery and Dramatiq on Redis that writes each change to the disk, as our queue does."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench._call import servers

HERE = Path(__file__).parent
WORKERS = 2
TIMEOUT_S = 120
DURABLE = ["--appendonly", "yes", "--appendfsync", "always", "--save", ""]
FLEETING = ["--appendonly", "no", "--save", ""]


@dataclass(frozen=True)
class Peer:
    """What one system reached."""

    name: str
    submits: float
    tasks: float


def missing() -> str:
    """Why there are no peers; empty if there are."""
    if shutil.which("redis-server") is None:
        return "redis-server is not installed"
    if not (servers.PEERS / "celery").exists() or not (servers.PEERS / "dramatiq").exists():
        return "Celery and Dramatiq are not in .venv-bench"
    return ""


def celery(folder: Path, count: int) -> Peer:
    """Celery, late acknowledgement: a killed worker's task runs again."""
    command = ["celery", "-A", "peer_celery", "worker", "-l", "error", "-c", str(WORKERS)]
    return _measure("Celery + Redis (fsync always)", folder, command, "peer_celery.py", count)


def dramatiq(folder: Path, count: int) -> Peer:
    """Dramatiq: it acknowledges late by itself."""
    command = ["dramatiq", "peer_dramatiq", "--processes", str(WORKERS), "--threads", "8"]
    return _measure("Dramatiq + Redis (fsync always)", folder, command, "peer_dramatiq.py", count)


def _measure(name: str, folder: Path, worker: list[str], script: str, count: int) -> Peer:
    place = folder / script
    place.mkdir()
    # What only the measurement needs is counted elsewhere, without a disk.
    with _redis(place, DURABLE) as url, _redis(place, FLEETING) as counter:
        environment = {**os.environ, "REDIS_URL": url, "COUNTER_URL": counter, "PYTHONPATH": str(HERE)}
        with _running([str(servers.PEERS / worker[0]), *worker[1:]], place, environment):
            done = subprocess.run(
                [str(servers.PEERS / "python"), str(HERE / script), str(count)],
                capture_output=True,
                text=True,
                env=environment,
                cwd=place,
                timeout=TIMEOUT_S,
            )
    if done.returncode:
        raise RuntimeError(f"{name}: {done.stderr[-500:]}")
    found = json.loads(done.stdout)
    return Peer(name, found["submits"], found["tasks"])


@contextmanager
def _redis(folder: Path, flags: list[str]) -> Iterator[str]:
    port = servers.free_port()
    command = ["redis-server", "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder), *flags]
    with servers.peer(command, port, folder):
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def _running(command: list[str], folder: Path, environment: dict[str, str]) -> Iterator[None]:
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        time.sleep(0.1)
        yield
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(15)
        process.kill()
        process.wait()
