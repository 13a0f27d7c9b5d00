"""`version` and `alias`: frozen copies of functions, and names for them."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import click
from rich.text import Text

from functory.cli import nouns, words
from functory.cli.command import Command, connected, reading
from functory.sdk import Client
from functory.sdk.versions import Alias


@click.group(
    cls=nouns.group("ls", "publish", "rm"),
    examples=("functory version ls shop", "functory version publish shop", "functory version rm shop 3"),
)
def version() -> None:
    """List, publish and remove versions: frozen copies of a function."""


@version.command(cls=Command, examples=("functory version ls shop", "functory version ls shop --json"))
@click.argument("name")
@reading
@connected
def ls(client: Client, name: str, as_json: bool) -> None:
    """List the versions of a function, the newest first."""
    found, now = list(client.versions.list(name)), datetime.now(UTC)
    nouns.listed(
        found,
        as_json,
        ("VERSION", "MADE", "DESCRIPTION"),
        lambda one: (one.version_id, words.ago(one.created_time, now), Text(one.description, style="dim")),
        f"{name} has no versions yet. Make one: functory version publish {name}",
    )


@version.command(cls=Command, examples=("functory version publish shop", "functory version publish shop -d 'with tax'"))
@click.argument("name")
@click.option("-d", "--description", default="", help="What is new.")
@reading
@connected
def publish(client: Client, name: str, description: str, as_json: bool) -> None:
    """Freeze the function as it stands under the next number."""
    made = client.versions.publish(name, description)
    if as_json:
        nouns.shown(made, True, ())
    else:
        nouns.done("published", f"version {made.version_id}", f" of {name}")


@version.command(name="rm", cls=Command, examples=("functory version rm shop 3",))
@click.argument("name")
@click.argument("number")
@connected
def remove(client: Client, name: str, number: str) -> None:
    """Remove a version. One that an alias names is kept."""
    client.versions.delete(name, number)
    nouns.done("removed", f"version {number}", f" of {name}")


@click.group(
    cls=nouns.group("ls", "show", "create", "update", "rm"),
    examples=("functory alias ls shop", "functory alias create shop prod 3", "functory alias rm shop prod"),
)
def alias() -> None:
    """List, make, change and remove aliases: names for versions."""


@alias.command(name="ls", cls=Command, examples=("functory alias ls shop", "functory alias ls shop --json"))
@click.argument("name")
@reading
@connected
def ls_aliases(client: Client, name: str, as_json: bool) -> None:
    """List the aliases of a function."""
    nouns.listed(
        list(client.aliases.list(name)),
        as_json,
        ("ALIAS", "VERSION", "ALSO", "DESCRIPTION"),
        lambda one: (one.alias_name, one.version_id, _share(one), Text(one.description, style="dim")),
        f"{name} has no aliases yet. Make one: functory alias create {name} prod 1",
    )


@alias.command(cls=Command, examples=("functory alias show shop prod", "functory alias show shop prod --json"))
@click.argument("name")
@click.argument("alias")
@reading
@connected
def show(client: Client, name: str, alias: str, as_json: bool) -> None:
    """Show one alias."""
    one = client.aliases.get(name, alias)
    facts = (
        ("alias", Text(one.alias_name, style="bold")),
        ("version", one.version_id),
        ("also", _share(one)),
        ("description", one.description),
        ("changed", one.last_modified_time),
    )
    nouns.shown(one, as_json, facts)


def _share(one: Alias) -> str:
    return ", ".join(f"{weight:.0%} to {number}" for number, weight in one.additional_version_weight.items())


def _weights(ctx: click.Context, option: click.Parameter, value: str | None) -> dict[str, float] | None:
    """`4=0.1`; an empty text takes the second version away."""
    if not value:
        return None if value is None else {}
    number, _, share = value.partition("=")
    try:
        return {number: float(share)}
    except ValueError:
        raise click.BadParameter(f"{value!r} is not VERSION=SHARE, such as 4=0.1") from None


_weight = click.option(
    "--weight", metavar="VERSION=SHARE", callback=_weights, help="Give a second version a share, 0 to 1; '' = none."
)
_description = click.option("-d", "--description", help="For people.")


@alias.command(
    cls=Command, examples=("functory alias create shop prod 3", "functory alias create shop prod 3 --weight 4=0.1")
)
@click.argument("name")
@click.argument("alias")
@click.argument("number", metavar="VERSION")
@_weight
@_description
@connected
def create(client: Client, name: str, alias: str, number: str, **said: Any) -> None:
    """Make an alias for a version."""
    made = client.aliases.create(name, alias, number, **_fields(**said))
    nouns.done("made", made.alias_name, f" of {name} → version {made.version_id}")


@alias.command(
    cls=Command,
    examples=("functory alias update shop prod --version 4", "functory alias update shop prod --weight 5=0.2"),
)
@click.argument("name")
@click.argument("alias")
@click.option("--version", "version_id", metavar="VERSION", help="The version that it names.")
@_weight
@_description
@connected
def update(client: Client, name: str, alias: str, version_id: str | None, **said: Any) -> None:
    """Change an alias. What is not said stays."""
    fields = nouns.without_none(versionId=version_id) | _fields(**said)
    if not fields:
        raise click.UsageError("nothing is to be changed: say --version, --weight or --description")
    made = client.aliases.update(name, alias, fields)
    share = _share(made)
    nouns.done("changed", made.alias_name, f" of {name} → version {made.version_id}" + (f", {share}" if share else ""))


def _fields(weight: dict[str, float] | None, description: str | None) -> dict[str, Any]:
    return nouns.without_none(additionalVersionWeight=weight, description=description)


@alias.command(name="rm", cls=Command, examples=("functory alias rm shop prod",))
@click.argument("name")
@click.argument("alias")
@connected
def remove_alias(client: Client, name: str, alias: str) -> None:
    """Remove an alias; its version stays."""
    client.aliases.delete(name, alias)
    nouns.done("removed", alias, f" of {name}")
