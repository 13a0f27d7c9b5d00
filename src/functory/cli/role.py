"""`role`: what functions may do to their own node."""

from __future__ import annotations

import click
from rich.text import Text

from functory.cli import nouns
from functory.cli.command import Command, connected, reading
from functory.cli.keys import SCOPES
from functory.sdk import Client
from functory.sdk.roles import Role

_scopes = click.option(
    "--scope", "scopes", multiple=True, required=True, type=click.Choice(SCOPES), help="What it may do; repeatable."
)
_functions = click.option(
    "--function", "functions", multiple=True, metavar="NAME", help="The only functions it may touch; repeatable."
)
_description = click.option("--description", default="", help="What the role is for.")


@click.group(
    cls=nouns.group("ls", "create", "show", "update", "rm"),
    examples=("functory role ls", "functory role show orders"),
)
def role() -> None:
    """Say what functions may do to this node.

    A function whose field `role` names one gets short-lived credentials of it: in its context, in its environment, or
    in the headers of a custom runtime.
    """


@role.command(cls=Command, examples=("functory role ls", "functory role ls --json"))
@reading
@connected
def ls(client: Client, as_json: bool) -> None:
    """List the roles of the account."""
    nouns.listed(
        client.roles.list(),
        as_json,
        ("ROLE", "MAY", "FUNCTIONS", "DESCRIPTION"),
        lambda one: (one.name, ", ".join(one.scopes), _functions_of(one), one.description),
        "No roles yet. Make one: functory role create NAME --scope invoke",
    )


@role.command(
    cls=Command,
    examples=("functory role create orders --scope invoke --function bill --function ship",),
)
@click.argument("name")
@_scopes
@_functions
@_description
@reading
@connected
def create(
    client: Client, name: str, scopes: tuple[str, ...], functions: tuple[str, ...], description: str, as_json: bool
) -> None:
    """Make a role. Deploy functions with its ARN in the field `role`."""
    _tell(client.roles.create(name, scopes, functions=functions or None, description=description), as_json)


@role.command(cls=Command, examples=("functory role show orders",))
@click.argument("name")
@reading
@connected
def show(client: Client, name: str, as_json: bool) -> None:
    """Show one role."""
    _tell(client.roles.get(name), as_json)


@role.command(cls=Command, examples=("functory role update orders --scope read",))
@click.argument("name")
@_scopes
@_functions
@_description
@reading
@connected
def update(
    client: Client, name: str, scopes: tuple[str, ...], functions: tuple[str, ...], description: str, as_json: bool
) -> None:
    """Say anew what a role may do. It counts at once, also for credentials that are out."""
    _tell(client.roles.update(name, scopes, functions=functions or None, description=description), as_json)


@role.command(cls=Command, examples=("functory role rm orders",))
@click.argument("name")
@connected
def rm(client: Client, name: str) -> None:
    """Remove a role; all credentials made from it are refused from now on."""
    client.roles.delete(name)
    nouns.done("removed", name)


def _functions_of(one: Role) -> str:
    return "all" if one.functions is None else ", ".join(one.functions)


def _tell(one: Role, as_json: bool) -> None:
    facts = (
        ("role", Text(one.name, style="bold")),
        ("arn", one.arn),
        ("may", ", ".join(one.scopes)),
        ("functions", _functions_of(one)),
        ("description", one.description),
    )
    nouns.shown(one, as_json, facts)
