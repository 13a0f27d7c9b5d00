"""Folders for temporary files go with their instances, and with makers that were killed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from functory.sandbox.base import SandboxError
from functory.sandbox.folders import Folders


@pytest.fixture(autouse=True)
def _somewhere_else(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def test_a_folder_is_private_and_can_be_removed_empty_or_full() -> None:
    folders = Folders()
    empty, full = Path(folders.make("c-1", 0)), Path(folders.make("c-2", 0))
    assert full.stat().st_mode & 0o777 == 0o700
    (full / "deep").mkdir()
    (full / "deep" / "file").write_text("x")
    folders.remove(str(empty))
    assert not empty.exists()
    folders.remove(str(full))
    folders.remove(str(empty))
    folders.close()
    assert not empty.parent.exists()


def test_a_link_in_a_folder_is_removed_and_not_followed(tmp_path: Path) -> None:
    treasure = tmp_path / "treasure"
    treasure.mkdir()
    (treasure / "gold").write_text("x")
    folders = Folders()
    path = Path(folders.make("c-1", 0))
    (path / "link").symlink_to(treasure)
    folders.remove(str(path))
    folders.close()
    assert (treasure / "gold").exists()


def test_folders_of_a_maker_that_was_killed_are_removed_by_the_next(tmp_path: Path) -> None:
    dead = subprocess.Popen(["/bin/true"])
    dead.wait()
    stale = tmp_path / f"functory-{os.geteuid()}-{dead.pid}-abcd"
    living = tmp_path / f"functory-{os.geteuid()}-{os.getpid()}-abcd"
    for path in (stale / "c-1", living / "c-1"):
        path.mkdir(parents=True)
    folders = Folders()
    assert not stale.exists()
    assert living.exists()
    folders.close()


def test_a_name_that_is_taken_is_refused() -> None:
    folders = Folders()
    folders.make("c-1", 0)
    with pytest.raises(SandboxError, match="File exists"):
        folders.make("c-1", 0)
    folders.close()
