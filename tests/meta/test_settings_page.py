"""The page of settings says what the table says."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from functory import config
from functory.config.document import document
from functory.config.settings import HEADINGS


def test_the_page_is_what_the_table_says(root: Path) -> None:
    written = (root / "docs" / "settings.md").read_text("utf-8")
    assert written == document(), "run: .venv/bin/python -m functory.config > docs/settings.md"


def test_the_command_prints_the_page(root: Path) -> None:
    printed = subprocess.run(
        [sys.executable, "-m", "functory.config"], capture_output=True, cwd=root / "src", check=True
    )
    assert printed.stdout.decode() == document()


def test_every_setting_stands_in_the_page_once_under_a_heading() -> None:
    lines = document().splitlines()
    names = [setting.name for setting in config.SETTINGS]
    assert [line.split("`")[1] for line in lines if line.startswith("| `")] == names
    assert [line.removeprefix("## ") for line in lines if line.startswith("## ")] == list(HEADINGS.values())
    assert set(HEADINGS) <= set(names)
