"""`tag`: labels of functions."""

from __future__ import annotations

import click

from functory.cli import nouns
from functory.cli.command import Command, connected, reading
from functory.sdk import Client


@click.group(
    cls=nouns.group("ls", "add", "rm"),
    examples=("functory tag ls", "functory tag add shop team=red", "functory tag rm shop team"),
)
def tag() -> None:
    """List, add and remove tags: labels of functions."""


def _pairs(ctx: click.Context, option: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    for value in values:
        if not value.partition("=")[0] or "=" not in value:
            raise click.BadParameter(f"{value!r} is not KEY=VALUE")
    return dict(value.split("=", 1) for value in values)


@tag.command(cls=Command, examples=("functory tag ls", "functory tag ls shop", "functory tag ls --with team=red"))
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option("--with", "wanted", multiple=True, callback=_pairs, metavar="K=V", help="Only functions with this tag.")
@reading
@connected
def ls(client: Client, names: tuple[str, ...], wanted: dict[str, str], as_json: bool) -> None:
    """List the tags of functions, or of all."""
    nouns.listed(
        list(client.tags.list(names, wanted=wanted)),
        as_json,
        ("FUNCTION", "KEY", "VALUE"),
        lambda one: (one.function, one.tag_key, one.tag_value),
        "No tags. Add one: functory tag add NAME KEY=VALUE",
    )


@tag.command(cls=Command, examples=("functory tag add shop team=red floor=3",))
@click.argument("name")
@click.argument("tags", nargs=-1, required=True, callback=_pairs, metavar="KEY=VALUE...")
@connected
def add(client: Client, name: str, tags: dict[str, str]) -> None:
    """Label a function; a key that is there gets the new value."""
    client.tags.add([name], tags)
    nouns.done("tagged", name, f": {', '.join(f'{key}={value}' for key, value in tags.items())}")


@tag.command(name="rm", cls=Command, examples=("functory tag rm shop team",))
@click.argument("name")
@click.argument("keys", nargs=-1, required=True, metavar="KEY...")
@connected
def remove(client: Client, name: str, keys: tuple[str, ...]) -> None:
    """Take labels away."""
    client.tags.remove([name], keys)
    nouns.done("removed", ", ".join(keys), f" of {name}")
