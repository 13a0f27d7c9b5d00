"""Output where not every letter can be written: a locale without UTF-8, a pipe that a program opened as ASCII.

What cannot be written is written plainly: `12.7 us`, `ok` marks as `+`. An answer of a function is bytes and stays what
it is; JSON is UTF-8 wherever it goes.
"""

from __future__ import annotations

import codecs
import io
import sys

_PLAIN = {
    "·": "-", "µ": "u", "¢": "c", "✓": "+", "✗": "x", "…": "...", "→": "->", "×": "x", "–": "-", "─": "-", "━": "=",
    "“": '"', "”": '"', "’": "'",
}  # fmt: skip


def plainly(failure: UnicodeError) -> tuple[str, int]:
    """The handler of codecs: what stands for the letters that cannot be written."""
    if not isinstance(failure, UnicodeEncodeError):
        raise failure
    letters = failure.object[failure.start : failure.end]
    return "".join(_PLAIN.get(letter, "?") for letter in letters), failure.end


def fit_streams() -> None:
    """Lets standard output and standard error write plainly what they cannot write as it is."""
    codecs.register_error("functory.plainly", plainly)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper) and codecs.lookup(stream.encoding).name != "utf-8":
            stream.reconfigure(errors="functory.plainly")
