"""What the commands on things around functions have in common: `ls`, `show`, `create` or `set`, `update`, `rm`.

`ls` and `show` print tables, or with --json what the API answers; the others say on standard error what they did.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click
import msgspec
from rich.text import Text

from functory.cli import screen
from functory.cli.command import Commands

T = TypeVar("T")


def group(*verbs: str) -> type[Commands]:
    """A group whose help shows these commands, in this order."""
    return type("Nouns", (Commands,), {"headings": (("Commands", verbs),)})


def listed(
    found: Sequence[T],
    as_json: bool,
    columns: Sequence[str | tuple[str, str]],
    row: Callable[[T], Sequence[Any]],
    none: str,
) -> None:
    """A table with the first column bold; `none` is said where there is nothing."""
    if as_json:
        screen.json(msgspec.json.encode(found))
        return
    if not found:
        screen.note(none)
        return
    table = screen.table(*columns)
    for one in found:
        first, *rest = row(one)
        table.add_row(Text(str(first), style="bold"), *(cell if isinstance(cell, Text) else str(cell) for cell in rest))
    screen.rows(table)


def shown(answer: Any, as_json: bool, facts: Sequence[tuple[str, object]]) -> None:
    """Names and values; those that say nothing are left out."""
    if as_json:
        screen.json(msgspec.json.encode(answer))
        return
    grid = screen.facts()
    for name, value in facts:
        if value not in (None, "", [], {}):
            grid.add_row(name, value if isinstance(value, Text) else plain(value))
    screen.out.print(grid)


def plain(value: object) -> str:
    """A value as people read it: yes and no, lists with commas, the rest of JSON as it is."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list) and all(isinstance(one, str | int | float) for one in value):
        return ", ".join(str(one) for one in value)
    return msgspec.json.encode(value).decode() if isinstance(value, list | dict) else str(value)


def done(what: str, name: str, tail: str = "") -> None:
    """Says what was done to what."""
    screen.err.print(Text.assemble(("✓ ", "green"), f"{what} ", (name, "bold"), tail))


qualified = click.option("--qualifier", default="", metavar="Q", help="A version or alias. Default: LATEST.")
"""Gives a command the option `--qualifier`."""


def fields_of(ctx: click.Context, option: click.Parameter, value: str | None) -> dict[str, Any] | None:
    """The JSON object of a file, or of the option itself; `-` is standard input."""
    if value is None:
        return None
    try:
        text = value if value.lstrip().startswith("{") else _content(value)
        return msgspec.json.decode(text.encode(), type=dict[str, Any])
    except OSError as failure:
        raise click.BadParameter(f"{value} cannot be read: {failure.strerror}") from None
    except (msgspec.MsgspecError, UnicodeError) as failure:
        raise click.BadParameter(f"{value[:40]} is not a JSON object: {failure}") from None


def _content(name: str) -> str:
    return sys.stdin.read() if name == "-" else Path(name).read_text("utf-8")


official = click.option(
    "--fields",
    metavar="JSON|FILE",
    callback=fields_of,
    help="More fields, as the API names them; options come over them.",
)
"""Gives a command the option `--fields`."""


def without_none(**fields: Any) -> dict[str, Any]:
    """Those that were given."""
    return {key: value for key, value in fields.items() if value is not None}
