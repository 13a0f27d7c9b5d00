"""`layer`: folders that functions share below /opt."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import click
from rich.text import Text

from functory.cli import nouns, screen, words
from functory.cli.command import Command, connected, reading
from functory.sdk import Client, package


@click.group(
    cls=nouns.group("ls", "show", "publish", "rm"),
    examples=("functory layer ls", "functory layer publish words ./words", "functory layer rm words 1"),
)
def layer() -> None:
    """List, show, publish and remove layers: folders that functions share."""


@layer.command(cls=Command, examples=("functory layer ls", "functory layer ls words", "functory layer ls --json"))
@click.argument("name", default="", metavar="[NAME]")
@reading
@connected
def ls(client: Client, name: str, as_json: bool) -> None:
    """List the newest version of each layer, or all versions of one."""
    found, now = list(client.layers.versions(name) if name else client.layers.list()), datetime.now(UTC)
    nouns.listed(
        found,
        as_json,
        ("LAYER", ("VERSION", "right"), ("SIZE", "right"), "RUNTIMES", "MADE", "DESCRIPTION"),
        lambda one: (
            one.layer_name,
            one.version,
            words.size(one.code_size),
            ", ".join(one.compatible_runtime),
            words.ago(one.create_time, now),
            Text(one.description, style="dim"),
        ),
        f"{name} has no versions." if name else "No layers yet. Make one: functory layer publish NAME DIR",
    )


@layer.command(cls=Command, examples=("functory layer show words 1", "functory layer show acs:fc:… --json"))
@click.argument("name", metavar="NAME|ARN")
@click.argument("version", required=False)
@reading
@connected
def show(client: Client, name: str, version: str | None, as_json: bool) -> None:
    """Show one version of a layer, by name and number or by ARN."""
    if version is None and not name.startswith("acs:"):
        raise click.UsageError("which version? functory layer ls shows them")
    one = client.layers.get(name, version) if version is not None else client.layers.by_arn(name)
    facts = (
        ("layer", Text(one.layer_name, style="bold")),
        ("version", one.version),
        ("size", f"{words.size(one.code_size)}, checksum {one.code_checksum}"),
        ("runtimes", ", ".join(one.compatible_runtime)),
        ("description", one.description),
        ("license", one.license),
        ("made", one.create_time),
        ("arn", one.layer_version_arn),
    )
    nouns.shown(one, as_json, facts)


@layer.command(
    cls=Command,
    examples=("functory layer publish words ./words", "functory layer publish tools t.zip --runtime python3.10"),
)
@click.argument("name")
@click.argument("source", metavar="DIR|ZIP", type=click.Path(path_type=Path))
@click.option("--runtime", "runtimes", multiple=True, metavar="RUNTIME", help="One that it suits; may be repeated.")
@click.option("-d", "--description", default="", help="For people.")
@click.option("--license", "license_name", default="", help="For people.")
@reading
@connected
def publish(
    client: Client,
    name: str,
    source: Path,
    runtimes: tuple[str, ...],
    description: str,
    license_name: str,
    as_json: bool,
) -> None:
    """Upload a folder or a zip as the next version of a layer. python/ in it is on Python's path."""
    data = source.read_bytes() if source.suffix == ".zip" and source.is_file() else package.pack(source).data
    with screen.waiting(f"uploading {words.size(len(data))}"):
        made = client.layers.publish(name, data, runtimes=runtimes, description=description, license_name=license_name)
    if as_json:
        nouns.shown(made, True, ())
    else:
        nouns.done("published", f"{name} {made.version}", f": {made.layer_version_arn}")


@layer.command(name="rm", cls=Command, examples=("functory layer rm words 1",))
@click.argument("name")
@click.argument("version")
@connected
def remove(client: Client, name: str, version: str) -> None:
    """Remove a version of a layer; functions that use it keep it."""
    client.layers.delete(name, version)
    nouns.done("removed", f"{name} {version}")
