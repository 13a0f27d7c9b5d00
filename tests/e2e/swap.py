"""Some swap for a test, in compressed memory, given back afterwards."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

SIZE = "96M"


def _run(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True, timeout=30).stdout.strip()


@contextlib.contextmanager
def swap() -> Iterator[None]:
    """While it lasts, memory can be paged out. Skips the test where no swap can be made."""
    if os.geteuid() != 0 or not all(map(shutil.which, ("zramctl", "mkswap", "swapon"))):
        pytest.skip("cannot be shown here: only root can make swap, with zramctl, mkswap and swapon")
    try:
        device = _run("zramctl", "--find", "--size", SIZE)
    except subprocess.CalledProcessError as failure:
        pytest.skip(f"cannot be shown here: no zram: {failure.stderr.strip()}")
    try:
        try:
            _run("mkswap", device)
            _run("swapon", device)
        except subprocess.CalledProcessError as failure:
            pytest.skip(f"cannot be shown here: {device} cannot be swap: {failure.stderr.strip()}")
        yield
    finally:
        subprocess.run(["swapoff", device], capture_output=True, check=False)
        subprocess.run(["zramctl", "--reset", device], capture_output=True, check=False)
