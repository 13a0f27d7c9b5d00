"""`triggers`: what calls a function by itself, and where it can be called."""

from __future__ import annotations

import click
import msgspec
from rich.text import Text

from functory.cli import screen
from functory.cli.command import Command, connected, reading
from functory.sdk import Client
from functory.sdk.triggers import Trigger


@click.command(cls=Command, examples=("functory triggers hook", "functory triggers hook --json"))
@click.argument("name")
@reading
@connected
def triggers(client: Client, name: str, as_json: bool) -> None:
    """List the triggers of a function: its URL, its clocks."""
    found = list(client.triggers.list(name))
    if as_json:
        screen.json(msgspec.json.encode(found))
    elif found:
        screen.out.print(_listed(found))
    else:
        screen.note(f"{name} has no triggers. Name some in functory.toml: functory deploy --help")


def _listed(found: list[Trigger]) -> object:
    table = screen.table("NAME", "TYPE", "OF", "WHAT")
    for one in found:
        table.add_row(Text(one.trigger_name, style="bold"), one.trigger_type, one.qualifier, what(one))
    return table


def what(trigger: Trigger) -> str:
    """What a trigger does, in a line."""
    config = trigger.config
    if trigger.http_trigger is not None:
        url = trigger.http_trigger.url_internet or trigger.http_trigger.url_intranet
        return f"{','.join(config.get('methods') or ['GET'])} {url} ({config.get('authType', 'anonymous')})"
    off = " (off)" if config.get("enable") is False else ""
    return f"{config.get('cronExpression', '')}{off}"
