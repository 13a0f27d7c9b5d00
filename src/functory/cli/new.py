"""`new`: the smallest function that does something."""

from __future__ import annotations

from pathlib import Path

import click
from rich.text import Text

from functory.cli import screen
from functory.cli.command import Command
from functory.model import errors, ids
from functory.sdk.errors import ProjectError

_INDEX = '''"""A function: `handler` is called once per request."""

import logging

log = logging.getLogger()


def handler(event, context):
    """`event` is what was sent, as bytes. What is returned (bytes, str, or JSON data) is the answer."""
    log.info("%d bytes came in", len(event))
    return event
'''
_TOML = """# What is not said here has a default. All keys: functory deploy --help
name = "{name}"
handler = "index.handler"
memory = 512    # MB
timeout = 60    # seconds

# [environment]
# KEY = "value"
"""


@click.command(cls=Command, examples=("functory new hello", "functory new shop/checkout"))
@click.argument("name", type=click.Path(path_type=Path))
def new(name: Path) -> None:
    """Make a folder with a function that echoes: index.py, functory.toml, requirements.txt.

    Nothing that is there already is overwritten.
    """
    try:
        ids.check_function_name(name.resolve().name)
    except errors.InvalidArgument as refusal:
        raise ProjectError(refusal.message, hint="choose another name for the folder") from None
    files = {"index.py": _INDEX, "functory.toml": _TOML.format(name=name.resolve().name), "requirements.txt": ""}
    _write(name, files)
    screen.err.print(Text.assemble(("✓ ", "green"), "made ", (f"{name}/", "bold"), f" with {', '.join(files)}"))
    screen.err.print()
    screen.err.print(Text.assemble("  functory deploy ", str(name), ("     upload it", "dim")))
    screen.err.print(Text.assemble("  functory invoke ", name.name, (" -e hi   call it", "dim")))


def _write(folder: Path, files: dict[str, str]) -> None:
    taken = next((file for file in files if (folder / file).exists()), None)
    if taken:
        raise ProjectError(f"{folder / taken} is there already", hint="choose another name, or remove it first")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for file, text in files.items():
            with (folder / file).open("x", encoding="utf-8") as out:
                out.write(text)
    except OSError as failure:
        raise ProjectError(f"{failure.filename or folder}: {failure.strerror}") from failure
