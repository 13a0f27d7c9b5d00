"""An instance whose process is another program: locked in like every other, then replaced by the program.

The program finds what a forked runtime finds (requests on 3, replies on 4, the log on 1 and 2), and its spec as JSON on
`SPEC_FD`. Which sandbox it runs in makes no difference: this is the last thing that happens in Python.
"""

from __future__ import annotations

import _signal  # type: ignore[import-not-found]  # the public module wraps every number in an enum
import json
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

SPEC_FD = 5
"""Behind the channel's descriptors; the program closes it once it has read it."""
HERE = "@/"
"""Stands in an argument for the folder of the runtimes, whatever it is called inside the box."""
AHEAD = "ahead"
"""The last argument of a program that finds a socket on `SPEC_FD`, over which it hears later what it shall be."""
_IGNORED_BY_PYTHON = (_signal.SIGPIPE, _signal.SIGXFSZ)


def become(spec: dict[str, Any], channel: tuple[int, int]) -> NoReturn:
    """Executes `spec["argv"]` with this process's environment; OSError if that cannot be done.

    A file in memory and not a pipe holds the spec: a pipe that nobody reads yet holds 64 KB.
    """
    memory = os.memfd_create("spec")
    text = json.dumps({name: value for name, value in spec.items() if name != "environment"}).encode()
    if os.write(memory, text) != len(text):
        raise OSError(f"the spec of {len(text)} bytes could not be handed over")
    os.lseek(memory, 0, os.SEEK_SET)
    if memory != SPEC_FD:
        os.dup2(memory, SPEC_FD)
    _execute(spec["argv"], channel)


def become_ahead(argv: list[str], channel: tuple[int, int]) -> NoReturn:
    """Executes a program that waits for its spec (`sandbox/ahead.py`), with this process's environment."""
    _execute([*argv, AHEAD], channel)


def _execute(words: list[str], channel: tuple[int, int]) -> NoReturn:
    for fd in (*channel, SPEC_FD):
        os.set_inheritable(fd, True)
    for number in _IGNORED_BY_PYTHON:  # the only choices that a program would inherit
        _signal.signal(number, _signal.SIG_DFL)
    here = os.path.dirname(os.path.abspath(__file__))
    argv = [os.path.join(here, word[len(HERE) :]) if word.startswith(HERE) else word for word in words]
    os.execv(argv[0], argv)
