"""Load with wrk, and what it costs in processor time, read from the kernel."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path

TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True)
class Load:
    """One measured run."""

    rps: float
    p50_us: float
    p99_us: float
    cpu_us: float
    """Processor time of the watched process per request, all threads."""
    errors: int


def cpu_ns(pid: int) -> int:
    """Processor time of a process so far, all threads, by the scheduler's own count."""
    total = 0
    for thread in Path(f"/proc/{pid}/task").iterdir():
        total += int((thread / "schedstat").read_text().split()[0])
    return total


def wrk(
    url: str,
    *,
    connections: int,
    seconds: float,
    pid: int,
    body: bytes | None = None,
    headers: dict[str, str] | None = None,
) -> Load:
    """Keeps `connections` busy for `seconds`; POST if there is a body."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder, "request.lua")
        payload = Path(folder, "body")
        payload.write_bytes(body or b"")
        lines = [f'wrk.method = "{"GET" if body is None else "POST"}"']
        if body is not None:
            lines.append(f'local f = io.open("{payload}", "rb"); wrk.body = f:read("*a"); f:close()')
        lines += [f'wrk.headers["{name}"] = "{value}"' for name, value in (headers or {}).items()]
        script.write_text("\n".join(lines))
        before = cpu_ns(pid)
        done = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds:g}s", "--latency", "-s", str(script), url],
            capture_output=True,
            text=True,
            check=True,
            timeout=seconds + 30,
        )
        spent = cpu_ns(pid) - before
    return _parse(done.stdout, spent)


def _parse(text: str, spent_ns: int) -> Load:
    requests = int(_find(r"(\d+) requests in", text))
    bad = re.search(r"Non-2xx or 3xx responses: (\d+)", text)
    socket = re.search(r"Socket errors: connect (\d+), read (\d+), write (\d+), timeout (\d+)", text)
    errors = int(bad[1]) if bad else 0
    errors += sum(map(int, socket.groups())) if socket else 0
    return Load(
        rps=float(_find(r"Requests/sec:\s+([\d.]+)", text)),
        p50_us=_microseconds(_find(r"\n +50%\s+(\S+)", text)),
        p99_us=_microseconds(_find(r"\n +99%\s+(\S+)", text)),
        cpu_us=spent_ns / 1000 / max(1, requests),
        errors=errors,
    )


def _find(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if not found:
        raise RuntimeError(f"wrk printed something else:\n{text}")
    return found[1]


def _microseconds(text: str) -> float:
    for unit, factor in (("us", 1.0), ("ms", 1e3), ("s", 1e6), ("m", 60e6)):
        if text.endswith(unit):
            return float(text.removesuffix(unit)) * factor
    raise ValueError(text)
