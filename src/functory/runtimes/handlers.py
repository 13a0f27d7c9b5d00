"""What a handler looks like, by runtime. Pure: the code is not looked at."""

from __future__ import annotations

import re
from typing import NamedTuple

from functory.model import errors


class Form(NamedTuple):
    """The form of a handler."""

    runtimes: str
    """How the names of the runtimes begin."""
    pattern: re.Pattern[str]
    words: str


_FORMS = (
    Form(
        "python",
        re.compile(r"[A-Za-z0-9_][A-Za-z0-9_/-]*(\.[A-Za-z_][A-Za-z0-9_]*)+", re.ASCII),
        "file.function, as in index.handler",
    ),
    Form(
        "nodejs",
        re.compile(r"(?!.*\.\.)[A-Za-z0-9_@][A-Za-z0-9_@./-]*\.[A-Za-z_$][A-Za-z0-9_$]*", re.ASCII),
        "file.function, as in index.handler",
    ),
    Form(
        "go1",
        re.compile(r"(?!.*\.\.)[A-Za-z0-9_][A-Za-z0-9_./-]*", re.ASCII),
        "the path of the program in the code, as in main",
    ),
)


def check(field: str, value: str, runtime: str) -> None:
    """`InvalidArgument` if this is no handler of the runtime. For custom runtimes any text is one."""
    for form in _FORMS:
        if runtime.startswith(form.runtimes) and not form.pattern.fullmatch(value):
            raise errors.InvalidArgument(f"{field} {value[:80]!r} is not valid: it must be {form.words}")
