"""`triggers` and `trigger`: what calls a function by itself, and where it can be called."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click
from rich.text import Text

from functory.cli import nouns
from functory.cli.command import Command, connected, reading
from functory.sdk import Client
from functory.sdk.project import ProjectTrigger
from functory.sdk.triggers import Trigger

F = TypeVar("F", bound=Callable[..., Any])


def _listing(client: Client, name: str, as_json: bool) -> None:
    nouns.listed(
        list(client.triggers.list(name)),
        as_json,
        ("NAME", "TYPE", "OF", "WHAT"),
        lambda one: (one.trigger_name, one.trigger_type, one.qualifier, what(one)),
        f"{name} has no triggers. Make one: functory trigger create {name} web http",
    )


@click.command(cls=Command, examples=("functory triggers hook", "functory triggers hook --json"))
@click.argument("name")
@reading
@connected
def triggers(client: Client, name: str, as_json: bool) -> None:
    """List the triggers of a function: its URL, its clocks."""
    _listing(client, name, as_json)


@click.group(
    cls=nouns.group("ls", "show", "create", "update", "rm"),
    examples=("functory trigger ls hook", "functory trigger create hook web http", "functory trigger rm hook web"),
)
def trigger() -> None:
    """List, make, change and remove triggers."""


@trigger.command(cls=Command, examples=("functory trigger ls hook", "functory trigger ls hook --json"))
@click.argument("name")
@reading
@connected
def ls(client: Client, name: str, as_json: bool) -> None:
    """List the triggers of a function: its URL, its clocks."""
    _listing(client, name, as_json)


@trigger.command(cls=Command, examples=("functory trigger show hook web", "functory trigger show hook web --json"))
@click.argument("name")
@click.argument("trigger")
@reading
@connected
def show(client: Client, name: str, trigger: str, as_json: bool) -> None:
    """Show one trigger."""
    one = client.triggers.get(name, trigger)
    urls = one.http_trigger
    facts = (
        ("trigger", Text(one.trigger_name, style="bold")),
        ("type", one.trigger_type),
        ("of", one.qualifier),
        ("url", urls.url_internet or urls.url_intranet if urls else None),
        *((key, value) for key, value in one.config.items()),
        ("description", one.description),
        ("changed", one.last_modified_time),
    )
    nouns.shown(one, as_json, facts)


def _settings(function: F) -> F:
    """The options that `create` and `update` share."""
    options = (
        click.option("--auth", type=click.Choice(("anonymous", "function", "jwt")), help="http: who may call."),
        click.option("--methods", metavar="GET,POST", help="http: which methods. Default: GET and POST."),
        click.option("--cron", metavar="TEXT", help="timer: six fields in UTC, or @every 5m."),
        click.option("--payload", metavar="TEXT", help="timer: what the function gets."),
        click.option("--enable/--disable", default=None, help="timer: whether it fires."),
        click.option("--qualifier", metavar="Q", help="A version or alias. Default: LATEST."),
        click.option("-d", "--description", help="For people."),
        click.option(
            "--config", callback=nouns.fields_of, metavar="JSON|FILE", help="triggerConfig; options come over it."
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def _wish(name: str, kind: str, said: dict[str, Any]) -> ProjectTrigger:
    methods = said.pop("methods")
    listed = [one.strip().upper() for one in methods.split(",") if one.strip()] if methods is not None else None
    return ProjectTrigger(name=name, type=kind, methods=listed, **said)


@trigger.command(
    cls=Command,
    examples=(
        "functory trigger create hook web http --auth anonymous",
        "functory trigger create clock nightly timer --cron '0 0 4 * * *'",
    ),
)
@click.argument("name")
@click.argument("trigger")
@click.argument("kind", metavar="TYPE")
@_settings
@reading
@connected
def create(client: Client, name: str, trigger: str, kind: str, as_json: bool, **said: Any) -> None:
    """Make a trigger of TYPE http or timer."""
    wish = _wish(trigger, kind, said)
    if kind == "timer" and "cronExpression" not in wish.full_config():
        raise click.UsageError("a timer needs to know when: --cron '0 0 4 * * *', or --cron '@every 5m'")
    fields = nouns.without_none(qualifier=wish.qualifier, description=wish.description)
    _tell("made", client.triggers.create(name, trigger, kind, wish.full_config(), **fields), as_json)


@trigger.command(
    cls=Command,
    examples=("functory trigger update hook web --methods GET", "functory trigger update clock nightly --disable"),
)
@click.argument("name")
@click.argument("trigger")
@_settings
@reading
@connected
def update(client: Client, name: str, trigger: str, as_json: bool, **said: Any) -> None:
    """Change a trigger. What is not said stays."""
    if all(value is None for value in said.values()):
        raise click.UsageError("nothing is to be changed: say what, see --help")
    there = client.triggers.get(name, trigger)
    said["config"] = {**there.config, **(said["config"] or {})}
    wish = _wish(trigger, there.trigger_type, said)
    fields = nouns.without_none(qualifier=wish.qualifier, description=wish.description)
    _tell("changed", client.triggers.update(name, trigger, wish.full_config(), **fields), as_json)


@trigger.command(name="rm", cls=Command, examples=("functory trigger rm hook web",))
@click.argument("name")
@click.argument("trigger")
@connected
def remove(client: Client, name: str, trigger: str) -> None:
    """Remove a trigger: it fires no more."""
    client.triggers.delete(name, trigger)
    nouns.done("removed", trigger, f" of {name}")


def _tell(done: str, one: Trigger, as_json: bool) -> None:
    if as_json:
        nouns.shown(one, True, ())
    else:
        nouns.done(done, one.trigger_name, f": {what(one)}")


def what(trigger: Trigger) -> str:
    """What a trigger does, in a line."""
    config = trigger.config
    if trigger.http_trigger is not None:
        url = trigger.http_trigger.url_internet or trigger.http_trigger.url_intranet
        return f"{','.join(config.get('methods') or ['GET'])} {url} ({config.get('authType', 'function')})"
    off = " (off)" if config.get("enable") is False else ""
    return f"{config.get('cronExpression', '')}{off}"
