"""`keys`: who may call the node. `audit`: what they did."""

from __future__ import annotations

from datetime import UTC, datetime

import click
import msgspec
from rich.text import Text

from functory.cli import nouns, screen, words
from functory.cli.command import Command, connected, reading
from functory.sdk import Client
from functory.sdk.keys import AuditEvent, Key

SCOPES = ("admin", "deploy", "invoke", "read")


@click.group(
    cls=nouns.group("ls", "create", "rotate", "off", "on", "rm"),
    examples=("functory keys ls", "functory keys create invoke", "functory keys off FK0123"),
)
def keys() -> None:
    """List, make, rotate and switch off access keys.

    A key of scope admin does everything, deploy changes and calls functions, invoke calls them, read looks.
    """


@keys.command(cls=Command, examples=("functory keys ls", "functory keys ls --json"))
@click.option("--account", metavar="ID", default="", help="Another account's keys; the node's first account may.")
@reading
@connected
def ls(client: Client, account: str, as_json: bool) -> None:
    """List the keys of the account."""
    found, now = client.keys.list(account), datetime.now(UTC)
    own = client.credentials.access_key_id
    nouns.listed(
        found,
        as_json,
        ("KEY", "SCOPE", "STATE", "MADE", "LABEL"),
        lambda key: (
            key.access_key_id,
            key.scope,
            Text("active", style="green") if key.active else Text("off", style="yellow"),
            _made(key, now),
            Text(key.label + (" (this one)" if key.access_key_id == own else ""), style="dim"),
        ),
        f"Account {account} has no keys. Make one: functory keys create SCOPE --account {account}",
    )


@keys.command(cls=Command, examples=("functory keys create invoke", "functory keys create deploy --label ci --json"))
@click.argument("scope", type=click.Choice(SCOPES))
@click.option("--label", default="", help="What the key is for.")
@click.option("--account", metavar="ID", default="", help="For another account; the node's first account may.")
@reading
@connected
def create(client: Client, scope: str, label: str, account: str, as_json: bool) -> None:
    """Make a key. Its secret is shown now and never again."""
    _tell(client.keys.create(scope, label=label, account_id=account), as_json)


@keys.command(cls=Command, examples=("functory keys rotate FK0123", "functory keys rotate FK0123 --now"))
@click.argument("key")
@click.option("--now", is_flag=True, help="Switch the old key off at once.")
@reading
@connected
def rotate(client: Client, key: str, now: bool, as_json: bool) -> None:
    """Make a key like KEY. The old one works on until it is switched off."""
    _tell(client.keys.rotate(key, deactivate_old=now), as_json)
    if not now and not as_json:
        screen.note(f"Once its users have the new one: functory keys off {key}")


@keys.command(cls=Command, examples=("functory keys off FK0123",))
@click.argument("key")
@connected
def off(client: Client, key: str) -> None:
    """Switch a key off: it is refused from now on, and all tokens made with it."""
    client.keys.deactivate(key)
    nouns.done("switched off", key)


@keys.command(cls=Command, examples=("functory keys on FK0123",))
@click.argument("key")
@connected
def on(client: Client, key: str) -> None:
    """Switch a key on again."""
    client.keys.activate(key)
    nouns.done("switched on", key)


@keys.command(cls=Command, examples=("functory keys rm FK0123",))
@click.argument("key")
@connected
def rm(client: Client, key: str) -> None:
    """Remove a key for good."""
    client.keys.delete(key)
    nouns.done("removed", key)


@click.command(cls=Command, examples=("functory audit", "functory audit --changes -n 20"))
@click.option("--changes", is_flag=True, help="Only what changed something.")
@click.option("-n", "--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many to show.")
@reading
@connected
def audit(client: Client, changes: bool, limit: int, as_json: bool) -> None:
    """List the latest management calls, newest at the end: who, what, and what came of it."""
    found = client.keys.audit(changes=changes, limit=limit).events
    if as_json:
        screen.json(msgspec.json.encode(found))
        return
    table = screen.table("TIME", "KEY", "CALL", "RESULT")
    for event in found[::-1]:
        table.add_row(words.moment(event.at_ms), event.access_key_id or "–", _call(event), _result(event))
    screen.rows(table)


def _call(event: AuditEvent) -> str:
    path = event.path.removeprefix("/2023-03-30")
    return f"{event.operation} {path}" if event.operation else f"{event.method} {path}"


def _result(event: AuditEvent) -> Text:
    return Text(f"{event.status} {event.code}".strip(), style="green" if event.status < 400 else "yellow")


def _made(key: Key, now: datetime) -> str:
    at = datetime.fromtimestamp(key.created_at_ms / 1000, UTC)
    return words.ago(at.isoformat(), now)


def _tell(key: Key, as_json: bool) -> None:
    bold = Text(key.access_key_id, style="bold")
    nouns.shown(key, as_json, (("key", bold), ("secret", key.access_key_secret), ("scope", key.scope)))
    if not as_json:
        screen.note("The secret is not shown again.")
