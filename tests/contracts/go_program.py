"""Builds programs with the official Go SDK, each source once: `.cache/go` keeps them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

CACHE = Path(__file__).resolve().parents[2] / ".cache" / "go"
BUILD_LIMIT_S = 110


def build(source: Path) -> bytes:
    """The static program of the module in `source`; skips the test where there is no Go."""
    go = shutil.which("go")
    if go is None:
        pytest.skip("Go is not on this machine")
    files = sorted(path for path in source.iterdir() if path.suffix in (".go", ".mod", ".sum"))
    digest = hashlib.sha256(b"".join(path.name.encode() + b"\0" + path.read_bytes() for path in files)).hexdigest()
    made = CACHE / digest[:16]
    if not made.is_file():
        CACHE.mkdir(parents=True, exist_ok=True)
        fresh = made.with_suffix(f".{os.getpid()}")
        built = subprocess.run(
            [go, "build", "-trimpath", "-ldflags=-s -w", "-o", str(fresh), "."],
            cwd=source,
            env={**os.environ, "CGO_ENABLED": "0", "GOFLAGS": "-mod=readonly -buildvcs=false"},
            capture_output=True,
            timeout=BUILD_LIMIT_S,
            text=True,
            check=False,
        )
        assert built.returncode == 0, built.stderr
        fresh.rename(made)
    return made.read_bytes()
