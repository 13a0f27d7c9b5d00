"""`logs`: what functions printed."""

from __future__ import annotations

from collections.abc import Sequence

import click
import msgspec
from rich.text import Text

from functory.cli import screen, words
from functory.cli.command import Command, connected, reading
from functory.cli.follow import follow
from functory.model import ids
from functory.sdk import Client
from functory.sdk.requests import LogEntry


@click.command(
    cls=Command,
    examples=(
        "functory logs hello",
        "functory logs hello -f",
        "functory logs 1-65a77fbb-157f3f32-e1ee24b17e49",
    ),
)
@click.argument("of", metavar="NAME|REQUEST_ID")
@click.option("-f", "--follow", "following", is_flag=True, help="Go on with what comes, until Ctrl-C.")
@click.option("-n", "--limit", type=click.IntRange(1, 1000), default=100, show_default=True, help="Calls to show.")
@reading
@connected
def logs(client: Client, of: str, following: bool, limit: int, as_json: bool) -> None:
    """Print what a function printed, or what one call of it printed."""
    if ids.REQUEST_ID.fullmatch(of):
        if following:
            raise click.UsageError("-f follows a function, not a single call")
        found = client.requests.logs(of)
        screen.raw(found.to_json() + b"\n" if as_json else found.text.encode())
        return
    client.functions.get(of)  # says kindly that there is no such function
    if following:

        def page(before: str) -> Sequence[LogEntry]:
            return client.function_logs(of, before=before, limit=limit)[::-1]

        for entry in follow(page, lambda entry: (entry.request_id, entry.at_ms), lambda entry: entry.request_id):
            _print(entry, as_json)
        return
    entries = client.function_logs(of, limit=limit)
    if as_json:
        screen.json(msgspec.json.encode(entries))
        return
    for entry in entries:
        _print(entry, as_json=False)
    if not entries:
        screen.note(f"{of} has printed nothing yet.")


def _print(entry: LogEntry, as_json: bool) -> None:
    if as_json:
        screen.json(entry.to_json())
        return
    # The counter at the end tells the calls of one second apart.
    stamp = f"{words.clock(entry.at_ms)}  {entry.request_id[-6:]}  "
    for line in entry.text.splitlines():
        screen.out.print(Text.assemble((stamp, "dim"), line), soft_wrap=True)
