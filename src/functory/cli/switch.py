"""`disable`, `enable`, `instances`, `code`: the switch of a function, what runs of it, and what it was uploaded as."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click

from functory.cli import nouns, screen, words
from functory.cli.command import Command, connected, reading
from functory.sdk import Client


@click.command(cls=Command, examples=("functory disable shop --reason repair", "functory disable shop --abort"))
@click.argument("name")
@click.option("--reason", default="", help="What callers are told.")
@click.option("--abort", is_flag=True, help="Also end what runs.")
@connected
def disable(client: Client, name: str, reason: str, abort: bool) -> None:
    """Refuse all calls of a function until it is enabled."""
    client.functions.disable(name, reason, abort=abort)
    nouns.done("disabled", name, f": functory enable {name} takes calls again")


@click.command(cls=Command, examples=("functory enable shop",))
@click.argument("name")
@connected
def enable(client: Client, name: str) -> None:
    """Take calls of a function again."""
    client.functions.enable(name)
    nouns.done("enabled", name)


@click.command(cls=Command, examples=("functory instances shop", "functory instances shop --json"))
@click.argument("name")
@nouns.qualified
@reading
@connected
def instances(client: Client, name: str, qualifier: str, as_json: bool) -> None:
    """List the instances that run of a function now."""
    now = datetime.now(UTC)
    nouns.listed(
        client.functions.instances(name, qualifier),
        as_json,
        ("INSTANCE", "STATUS", "OF", "STARTED"),
        lambda one: (
            one.instance_id,
            one.status,
            one.qualifier,
            words.ago(datetime.fromtimestamp(one.created_time_ms / 1000, UTC).isoformat(), now),
        ),
        f"Nothing runs of {name}: the next call starts an instance.",
    )


@click.command(cls=Command, examples=("functory code shop", "functory code shop -o shop.zip --qualifier 3"))
@click.argument("name")
@click.option("-o", "--output", type=click.Path(path_type=Path), metavar="FILE", help="Default: NAME.zip here.")
@nouns.qualified
@connected
def code(client: Client, name: str, output: Path | None, qualifier: str) -> None:
    """Fetch the code of a function as it was uploaded: a zip."""
    path = output or Path(f"{name}.zip")
    if path.is_dir():
        raise click.UsageError(f"{path} is a folder: name a file")
    data = client.functions.archive(name, qualifier)
    try:
        path.write_bytes(data)
    except OSError as failure:
        raise click.UsageError(f"{path} cannot be written: {failure.strerror}") from None
    nouns.done("fetched", screen.near(path), f", {words.size(len(data))}")
