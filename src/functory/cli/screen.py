"""The two streams: answers on standard output, everything said around them on standard error.

Colour only on a terminal and without NO_COLOR. A pipe gets wide lines, so that `grep` finds whole rows.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import click
from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

PIPE_WIDTH = 200
_ANY_WIDTH = 1000


def _console(*, stderr: bool) -> Console:
    terminal = (sys.stderr if stderr else sys.stdout).isatty()
    width = None if terminal or os.environ.get("COLUMNS") else PIPE_WIDTH
    return Console(stderr=stderr, highlight=False, emoji=False, markup=False, width=width)


out = _console(stderr=False)
err = _console(stderr=True)


def fitting(make: Callable[[frozenset[str]], Table], width: int, spare: Sequence[str]) -> Table:
    """The table that `make(without)` makes, without as many of the `spare` columns, in their order, as have no room."""
    options = out.options.update(width=_ANY_WIDTH)
    made = make(frozenset())
    for count in range(1, len(spare) + 1):
        if Measurement.get(out, options, made).maximum <= width:
            break
        made = make(frozenset(spare[:count]))
    return made


def table(*columns: str | tuple[str, str]) -> Table:
    """A table without lines. A column is its title, or (title, "right")."""
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for column in columns:
        title, side = column if isinstance(column, tuple) else (column, "left")
        grid.add_column(title, justify="right" if side == "right" else "left", no_wrap=True)
    return grid


def rows(table: Table) -> None:
    """Prints a table whole. Where the terminal is too narrow its lines go on below: half an id or URL is of no use."""
    needed = Measurement.get(out, out.options.update(width=_ANY_WIDTH), table).maximum
    for line in out.render_lines(table, out.options.update(width=needed), pad=False):
        text = Text.assemble(*((segment.text, segment.style or "") for segment in line))
        text.rstrip()
        out.print(text, soft_wrap=True)


def facts() -> Table:
    """A list of names and values."""
    grid = Table(box=None, pad_edge=False, padding=(0, 3, 0, 0), show_header=False)
    grid.add_column(style="dim", no_wrap=True)
    grid.add_column(overflow="fold")
    return grid


def near(path: Path) -> str:
    """`path` from here if it lies below, else whole."""
    whole = path.absolute()
    return str(whole.relative_to(Path.cwd())) if whole.is_relative_to(Path.cwd()) else str(whole)


def raw(data: bytes) -> None:
    """Bytes to standard output as they are."""
    sys.stdout.flush()
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def json(data: bytes) -> None:
    """One JSON document, one line."""
    raw(data + b"\n")


def note(text: str) -> None:
    """A quiet sentence on standard error."""
    err.print(Text(text, style="dim"), soft_wrap=True)


def confirm(question: str, yes: bool) -> None:
    """Asks, unless `yes`; nobody to ask is an error."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise click.UsageError("nobody can be asked here: confirm with -y")
    click.confirm(question, abort=True, err=True)


@contextmanager
def waiting(what: str) -> Iterator[None]:
    """A spinner while something takes long; silent where there is no terminal."""
    if not err.is_terminal:
        yield
        return
    with err.status(Text(what, style="dim"), spinner="dots"):
        yield
