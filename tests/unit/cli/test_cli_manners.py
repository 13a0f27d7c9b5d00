"""Manners of the command line where the surroundings are poor: narrow terminals, plain letters, full disks, Ctrl-C."""

from __future__ import annotations

import errno
import io
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from functory.cli import failures, letters, main, screen
from functory.cli.failures import Exit
from functory.model import errors as model_errors
from functory.sdk import project
from functory.sdk.errors import ProjectError


def said_by(*words: str, output: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "functory", *words]
    with open(output or os.devnull, "w") as out:
        return subprocess.run(
            command, stdout=out if output else subprocess.PIPE, stderr=subprocess.PIPE, text=True, errors="replace",
            check=False, env={**os.environ, **environment},
        )  # fmt: skip


def test_letters_that_cannot_be_written_are_written_plainly(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    (tmp_path / "there" / "index.py").touch()
    done = said_by("new", str(tmp_path / "there"), PYTHONIOENCODING="ascii")
    assert done.returncode == Exit.USAGE
    assert done.stderr.startswith("x ")
    report = said_by("doctor", PYTHONIOENCODING="ascii", HOME=str(tmp_path))
    assert report.stdout.startswith("x ")


def test_each_letter_of_ours_has_a_plain_one_and_others_a_question_mark() -> None:
    text = "✓µ·¢漢"
    assert letters.plainly(UnicodeEncodeError("ascii", text, 0, len(text), "")) == ("+u-c?", 5)


def test_output_that_cannot_be_written_is_said_in_a_sentence() -> None:
    done = said_by("--help", output="/dev/full")
    assert done.returncode == Exit.USAGE
    assert done.stderr == "✗ The output cannot be written: No space left on device\n"


def test_ctrl_c_while_modules_are_read_ends_without_a_word(tmp_path: Path) -> None:
    # The first module that the command line reads is one that sends the signal.
    (tmp_path / "click.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\n")
    done = said_by("ls", PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stderr) == (-signal.SIGINT, "")


def test_a_table_in_a_narrow_terminal_is_printed_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    page = io.StringIO()
    monkeypatch.setattr(screen, "out", Console(file=page, width=30, highlight=False, markup=False))
    table = screen.table("NAME", ("MEMORY", "right"), "URL")
    table.add_row("thumbnail", "512 MB", "http://127.0.0.1:3862/fn/thumbnail/")
    table.add_row("x", "64 MB", "")
    screen.rows(table)
    assert page.getvalue().splitlines() == [
        "NAME       MEMORY  URL",
        "thumbnail  512 MB  http://127.0.0.1:3862/fn/thumbnail/",
        "x           64 MB",
    ]


def test_names_of_settings_and_files_stay_as_they_are_written(capsys: pytest.CaptureFixture[str]) -> None:
    failures.show(model_errors.InvalidArgument("port = 'x' is not allowed"))
    failures.show(OSError(errno.EACCES, "Permission denied", "hello/index.py"))
    failures.show(model_errors.InvalidArgument("the node refuses"))
    assert capsys.readouterr().err.splitlines() == [
        "✗ port = 'x' is not allowed",
        "✗ hello/index.py: Permission denied",
        "✗ The node refuses",
    ]


@pytest.fixture
def nowhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the keys of a node that is not there."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".functory").mkdir()
    keys = {"endpoint": "http://127.0.0.1:1", "accountId": "1", "accessKeyId": "k", "accessKeySecret": "s"}
    (tmp_path / ".functory" / "credentials.json").write_text(json.dumps(keys))
    return tmp_path


def test_a_file_that_is_no_source_is_not_deployed(nowhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (nowhere / "notes.txt").write_text("not a function")
    with pytest.raises(ProjectError, match=r"notes\.txt is no source file of python3"):
        project.check_handler(nowhere / "notes.txt", "python3", "notes.handler")
    assert main.run(["deploy", "nope"]) == Exit.USAGE
    assert "There is no file or folder 'nope'" in capsys.readouterr().err


def test_a_timer_without_a_time_is_told_how_one_is_written(nowhere: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.run(["trigger", "create", "clock", "nightly", "timer"]) == Exit.USAGE
    assert "--cron '@every 5m'" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--data", "/dev/null"), "it is not a folder"),
        (("--host", "192.0.2.1"), "this machine has no such address"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else "",
)
def test_a_node_that_cannot_start_says_why_and_what_to_choose(
    tmp_path: Path, words: tuple[str, ...], said: str
) -> None:
    done = said_by("up", "--port", "0", "--data", str(tmp_path / "data"), *words)
    assert done.returncode == Exit.USAGE
    assert said in done.stderr
    assert f"choose another with {words[0]}" in done.stderr
