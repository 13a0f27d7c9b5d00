"""`requests` and `request`: what ran, what it took, what it cost."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import click
import msgspec
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from functory.cli import screen, words
from functory.cli.command import Command, connected, reading
from functory.cli.follow import follow
from functory.sdk import Client
from functory.sdk.requests import Request

BAR_WIDTH = 40
_STYLE = {"ok": "green", "throttled": "yellow", "cancelled": "dim"}


@click.command(
    cls=Command,
    examples=(
        "functory requests",
        "functory requests thumbnail --limit 20",
        "functory requests --failed -f",
        "functory requests --json | jq .[].costNanoUsd",
    ),
)
@click.argument("name", default="")
@click.option("--failed", is_flag=True, help="Only those that did not end well.")
@click.option("-n", "--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many to show.")
@click.option("-f", "--follow", "following", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@reading
@connected
def requests(client: Client, name: str, failed: bool, limit: int, following: bool, as_json: bool) -> None:
    """List the latest calls, of all functions or of NAME, newest at the end."""

    def page(before: str) -> Sequence[Request]:
        return client.requests.page(function=name, failed=failed, before=before, limit=limit).requests

    if following:
        _follow(page, as_json)
        return
    found = page("")
    if as_json:
        screen.json(msgspec.json.encode(found))
    elif found:
        screen.rows(listed(found[::-1], screen.out.width))
    else:
        screen.note("Nothing failed." if failed else "No calls yet. Make one: functory invoke NAME -e hello")


def _follow(page: Callable[[str], Sequence[Request]], as_json: bool) -> None:
    titled = False
    for found in follow(page, _id, _id):
        if as_json:
            screen.json(found.to_json())
            continue
        screen.rows(listed([found], screen.out.width, grows=True, header=not titled))
        titled = True


def _id(found: Request) -> str:
    return found.request_id


class _Column(NamedTuple):
    title: str
    width: int
    """In a list that grows; a column of another list is as wide as it must be."""
    number: bool
    cell: Callable[[Request], RenderableType]


_COLUMNS = (
    _Column("TIME", 12, False, lambda one: Text(words.clock(one.started_at_ms), style="dim")),
    _Column("FUNCTION", 16, False, lambda one: one.function_name),
    _Column("START", 5, False, lambda one: Text("cold", style="cyan") if one.cold else Text("warm", style="dim")),
    _Column("OUTCOME", 14, False, lambda one: outcome(one)),
    _Column("WAITED", 7, True, lambda one: words.duration(one.queued_us)),
    _Column("RAN", 7, True, lambda one: words.duration(one.duration_us)),
    _Column("MEMORY", 8, True, lambda one: words.size(one.memory_peak_bytes)),
    _Column("CPU", 7, True, lambda one: words.duration(one.cpu_us)),
    _Column("COST", 8, True, lambda one: words.cost(one.cost_nano_usd)),
    _Column("REQUEST", 35, False, lambda one: Text(one.request_id, style="dim")),
)
_SPARE = ("CPU", "MEMORY", "WAITED", "START", "COST", "TIME")
"""What a narrow terminal leaves out, in this order."""


def listed(found: Sequence[Request], width: int, *, grows: bool = False, header: bool = True) -> Table:
    """A row per call. `grows`: the columns keep their places whatever is in them."""

    def make(without: frozenset[str]) -> Table:
        columns = [column for column in _COLUMNS if column.title not in without]
        table = screen.table(*((column.title, "right" if column.number else "left") for column in columns))
        table.show_header = header
        for made, column in zip(table.columns, columns, strict=True):
            made.min_width = column.width if grows else None
        for request in found:
            table.add_row(*(column.cell(request) for column in columns))
        return table

    return screen.fitting(make, width, _SPARE)


def outcome(request: Request) -> Text:
    """How it ended, in its colour."""
    return Text(request.status.replace("_", " "), style=_STYLE.get(request.status, "red"))


@click.command(
    cls=Command,
    examples=(
        "functory request 1-65a77fbb-157f3f32-e1ee24b17e49",
        "functory request 1-65a77fbb-157f3f32-e1ee24b17e49 --json",
    ),
)
@click.argument("request_id")
@reading
@connected
def request(client: Client, request_id: str, as_json: bool) -> None:
    """Show one call as a waterfall: queue, fork, import, init, run; its memory and its cost."""
    found = client.requests.get(request_id)
    if as_json:
        screen.json(found.to_json())
        return
    title = Text.assemble((found.function_name, "bold"), "  ", outcome(found))
    if found.error_type:
        title.append(f"  {found.error_type}", style="red")
    screen.out.print(title.append(f"  {found.request_id}", style="dim"), soft_wrap=True)
    screen.out.print()
    screen.out.print(waterfall(found))
    screen.out.print()
    screen.out.print(_details(found))
    if client.requests.logs(request_id).text.count("\n") > 2:
        screen.note(f"\nIts log: functory logs {request_id}")


def waterfall(found: Request) -> RenderableType:
    """A bar per part, each beginning where the one before ends."""
    cold = found.cold
    parts = [("queue", found.waited_us, "yellow")]
    if cold:
        parts += [("fork", cold.fork_us, "cyan"), ("import", cold.import_us, "cyan"), ("init", cold.init_us, "cyan")]
        parts += [("template", cold.template_us, "cyan")] if cold.template_us else []
    parts += [("run", found.duration_us, "green")]
    whole = sum(us for _, us, _ in parts) or 1
    grid = screen.facts()
    grid.columns[1].no_wrap = True
    grid.add_column(justify="right", no_wrap=True)
    begun = 0
    for name, us, style in parts:
        left, right = round(begun / whole * BAR_WIDTH), round((begun + us) / whole * BAR_WIDTH)
        bar = "━" * (right - left) if right > left else "╸" if us else ""
        # A part too short for a cell still leaves a mark, also at the right edge.
        left = min(left, BAR_WIDTH - len(bar))
        grid.add_row(
            name,
            Text(" " * left).append(bar, style=style).append(" " * (BAR_WIDTH - left - len(bar))),
            words.duration(us) if us else Text("·", style="dim"),
        )
        begun += us
    grid.add_row("", "", Text(words.duration(whole), style="bold"))
    return grid


def _start(found: Request) -> str:
    if found.cold is None:
        return "warm"
    return "cold: an instance was made for it" + (", a copy of the template" if found.cold.template_us else "")


def _details(found: Request) -> Table:
    facts = screen.facts()
    facts.add_row("when", words.moment(found.started_at_ms))
    facts.add_row("start", _start(found))
    kept = ", on an instance that is kept ready" if found.resource_mode == "Provisioned" else ""
    facts.add_row("billed", f"{found.billed_ms} ms, {words.cost(found.cost_nano_usd)}{kept}")
    facts.add_row("memory", f"{words.size(found.memory_peak_bytes)} of {found.memory_limit_mb} MB")
    facts.add_row("processor", words.duration(found.cpu_us))
    if found.oom_kills:
        facts.add_row("killed", Text(f"{found.oom_kills} of its processes, out of memory", style="red"))
    facts.add_row("bytes", f"{words.size(found.payload_bytes)} in, {words.size(found.reply_bytes)} out")
    facts.add_row("ran", f"{found.qualifier}, revision {found.revision}, on {found.instance_id or 'no instance'}")
    if found.trace_parent:
        facts.add_row("trace", found.trace_parent)
    return facts
