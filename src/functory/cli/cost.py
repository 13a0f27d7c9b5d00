"""`cost`: what functions have cost, line by line."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

import click
import msgspec
from rich.table import Table
from rich.text import Text

from functory.cli import screen, words
from functory.cli.command import Command, connected, reading
from functory.sdk import Client
from functory.sdk.cost import CostLine

_LINES = {
    "onDemand": "calls on demand",
    "provisioned": "calls on kept instances",
    "standing": "kept ready",
}

_TITLES = ("FUNCTION", "WHAT", "CALLS", "FAILED", "TIME", "CPU", "COST")


@click.command(
    cls=Command,
    examples=(
        "functory cost",
        "functory cost thumbnail --days 7",
        "functory cost --from 2026-11-01 --until 2026-12-01 --json",
    ),
)
@click.argument("name", default="")
@click.option("--days", type=click.IntRange(1, 3660), default=30, show_default=True, help="The last so many days.")
@click.option("--from", "begin", type=click.DateTime(), help="From this time on (UTC), instead of --days.")
@click.option("--until", "end", type=click.DateTime(), help="Up to this time (UTC); now if it is not given.")
@reading
@connected
def cost(client: Client, name: str, days: int, begin: datetime | None, end: datetime | None, as_json: bool) -> None:
    """Show what functions, or NAME, have cost: calls, and instances kept ready, in whole hours."""
    until = end.replace(tzinfo=UTC) if end is not None else datetime.now(UTC)
    since = begin.replace(tzinfo=UTC) if begin is not None else until - timedelta(days=days)
    lines = list(client.cost.lines(function=name, from_ms=_ms(since), until_ms=_ms(until)))
    if as_json:
        screen.json(msgspec.json.encode(lines))
    elif lines:
        screen.rows(statement(lines, screen.out.width))
    else:
        screen.note("Nothing was spent in that time.")


def statement(lines: Sequence[CostLine], width: int) -> Table:
    """A row per function and line, and the sum."""

    def make(without: frozenset[str]) -> Table:
        titles = [
            title for title in ("FUNCTION", "WHAT", "CALLS", "FAILED", "TIME", "CPU", "COST") if title not in without
        ]
        table = screen.table(*(title if title in ("FUNCTION", "WHAT") else (title, "right") for title in titles))
        for line in lines:
            cells = _cells(line)
            table.add_row(*(cells[title] for title in titles))
        whole = {"FUNCTION": Text("all", style="bold"), "COST": Text(_cost(lines), style="bold")}
        table.add_row(*(whole.get(title, Text()) for title in titles))
        return table

    return screen.fitting(make, width, ("CPU", "FAILED", "CALLS"))


def _cells(line: CostLine) -> dict[str, Text]:
    standing = line.line == "standing"
    return {
        "FUNCTION": Text(line.function_name),
        "WHAT": Text(_LINES.get(line.line, line.line)),
        "CALLS": Text("·" if standing else f"{line.calls:,}", style="dim" if standing else ""),
        "FAILED": Text(f"{line.failed:,}", style="red") if line.failed else Text("·", style="dim"),
        "TIME": Text(words.duration((line.instance_ms if standing else line.billed_ms) * 1000)),
        "CPU": Text("·", style="dim")
        if standing
        else Text(words.duration(line.cpu_ms * 1000) if line.cpu_ms or not line.calls else "< 1 ms"),
        "COST": Text(words.cost(line.cost_nano_usd)),
    }


def _cost(lines: Sequence[CostLine]) -> str:
    return words.cost(sum(line.cost_nano_usd for line in lines))


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
