"""Log lines: a sentence, an action, facts."""

from __future__ import annotations

import io
import json
import logging
import re
from collections.abc import Iterator

import pytest

from functory.observe import logs


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """A place for the lines; the logger is as before afterwards."""
    root = logging.getLogger("functory")
    kept = (root.handlers[:], root.level, root.propagate)
    yield io.StringIO()
    root.handlers[:], root.level, root.propagate = kept


def _deployed() -> None:
    log = logging.getLogger("functory.control")
    log.info("Function %s deployed", "echo", extra=logs.fields(action="deploy", function="echo", bytes=12))


def test_a_text_line_is_time_level_sentence_action_and_facts(stream: io.StringIO) -> None:
    logs.set_up(stream=stream)
    _deployed()
    stamp = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"
    assert re.fullmatch(
        rf"{stamp} INFO    Function echo deployed  action=deploy function=echo bytes=12\n", stream.getvalue()
    )


def test_a_json_line_holds_the_same(stream: io.StringIO) -> None:
    logs.set_up(style="json", stream=stream)
    _deployed()
    line = json.loads(stream.getvalue())
    assert line.pop("at").endswith("Z")
    assert line == {
        "level": "info",
        "message": "Function echo deployed",
        "logger": "functory.control",
        "action": "deploy",
        "function": "echo",
        "bytes": 12,
    }


def test_a_line_break_in_a_fact_stays_inside_the_json_line(stream: io.StringIO) -> None:
    logs.set_up(style="json", stream=stream)
    logging.getLogger("functory").info("Said", extra=logs.fields(action="say", text="a\nb", what=KeyError("x")))
    lines = stream.getvalue().splitlines()
    assert len(lines) == 1
    assert json.loads(lines[0])["text"] == "a\nb"
    assert json.loads(lines[0])["what"] == "'x'"


@pytest.mark.parametrize("style", ["text", "json"])
def test_a_failure_brings_its_traceback(stream: io.StringIO, style: str) -> None:
    logs.set_up(style=style, stream=stream)
    try:
        raise LookupError("gone")
    except LookupError:
        logging.getLogger("functory").exception("Could not", extra=logs.fields(action="fail"))
    text = stream.getvalue() if style == "text" else json.loads(stream.getvalue())["traceback"]
    assert "LookupError: gone" in text
    assert "test_logs.py" in text


def test_lines_below_the_level_are_not_printed(stream: io.StringIO) -> None:
    logs.set_up(level="warning", stream=stream)
    _deployed()
    assert stream.getvalue() == ""


def test_setting_up_twice_prints_each_line_once(stream: io.StringIO) -> None:
    logs.set_up(stream=stream)
    logs.set_up(stream=stream)
    _deployed()
    assert stream.getvalue().count("Function echo deployed") == 1


def test_a_line_without_facts_ends_with_its_sentence(stream: io.StringIO) -> None:
    logs.set_up(stream=stream)
    logging.getLogger("functory").info("Ready")
    assert stream.getvalue().endswith(" Ready\n")
