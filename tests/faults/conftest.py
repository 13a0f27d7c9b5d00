"""What the fault tests share."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from faults.forgetful import Disk, ForgetfulLayer
from functory.store.sqlite import connect


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a disk of 48 MB."""
    if os.geteuid() != 0:
        pytest.skip("cannot be shown here: mounting a small file system needs root")
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m,mode=755", "tmpfs", str(folder)], check=False)
    if mounted.returncode != 0:
        pytest.skip("cannot be shown here: this machine does not allow mounts")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


@pytest.fixture
def disk(monkeypatch: pytest.MonkeyPatch) -> Iterator[Disk]:
    """A disk, under a store that moves its log into the file very often."""
    often = connect.WRITER.replace("wal_autocheckpoint = 1000", "wal_autocheckpoint = 6")
    assert often != connect.WRITER
    monkeypatch.setattr(connect, "WRITER", often)
    layer = ForgetfulLayer(disk := Disk())
    yield disk
    layer.unregister()
