"""What is sent to a function: from an option, a file or standard input."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from functory.cli.command import F


def sent(function: F) -> F:
    """Gives a command the argument `-` and the options `-e` and `-f`: the arguments of `read`."""
    by_file = click.Path(path_type=Path, allow_dash=True)
    for add in (
        click.option("-f", "--file", type=by_file, help="Send a file's content; - = input."),
        click.option("-e", "--event", metavar="TEXT", help="Send this text."),
        click.argument("stdin", metavar="[-]", type=click.Choice(["-"]), required=False),
    ):
        function = add(function)
    return function


def read(stdin: str | None, event: str | None, file: Path | None) -> bytes:
    """The payload that options and arguments name; nothing if they name none."""
    if sum(given is not None for given in (stdin, event, file)) > 1:
        raise click.UsageError("give the payload once: with -e, with -f, or on standard input with -")
    if event is not None:
        return event.encode("utf-8", "surrogateescape")
    if stdin is not None or file == Path("-"):
        return sys.stdin.buffer.read()
    if file is None:
        return b""
    try:
        return file.read_bytes()
    except OSError as failure:
        raise click.UsageError(f"{file} cannot be read: {failure.strerror}") from failure
