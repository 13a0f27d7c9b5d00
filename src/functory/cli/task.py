"""`task`: asynchronous tasks, handed over, looked at, steered."""

from __future__ import annotations

from pathlib import Path

import click
import msgspec
from rich.text import Text

from functory.cli import payloads, screen, task_again, task_tables
from functory.cli.command import Command, Commands, connected, reading
from functory.cli.follow import EVERY_S
from functory.cli.task_watch import watch
from functory.sdk import Client

STATES = ("Enqueued", "Retrying", "Running", "Stopping", "Succeeded", "Failed", "Expired", "Stopped")


class _Task(Commands):
    headings = (
        ("Hand over", ("submit",)),
        ("Look", ("ls", "show", "why", "tail")),
        ("Steer", ("stop", "rerun")),
        ("Deliveries of ends", ("dead", "redeliver", "secret")),
    )


@click.group(
    cls=_Task,
    examples=("functory task submit hello", "functory task ls hello", "functory task show hello nightly-7"),
)
def task() -> None:
    """Run work later: submit tasks, follow them, run them again.

    A task that was accepted is kept on disk until it has ended: the node retries it, survives kills and
    power cuts with it, and tells whoever is to be told of its end.
    """


@task.command(
    cls=Command,
    examples=(
        "functory task submit hello -e hi",
        "functory task submit report --id nightly-7 --delay 60",
        "functory task submit thumbnail -f photo.jpg --wait",
    ),
)
@click.argument("name")
@payloads.sent
@click.option("--id", "task_id", metavar="ID", default="", help="The task's id; a second one of it is refused.")
@click.option("--delay", type=click.FloatRange(0, 3600), default=0, help="Start it so many seconds later.")
@click.option("--priority", type=click.IntRange(0, 9), help="0 goes first, 9 last. Default: 5.")
@click.option("--qualifier", metavar="NAME", default="", help="Version or alias. Default: LATEST.")
@click.option("--wait", is_flag=True, help="Wait for its end and print its answer.")
@reading
@connected
def submit(
    client: Client,
    name: str,
    stdin: str | None,
    event: str | None,
    file: Path | None,
    task_id: str,
    delay: float,
    priority: int | None,
    qualifier: str,
    wait: bool,
    as_json: bool,
) -> None:
    """Hand a task over. Its id goes to standard output once it is durable."""
    payload = payloads.read(stdin, event, file)
    accepted = client.submit(name, payload, task_id=task_id, delay_s=delay, priority=priority, qualifier=qualifier)
    task_again.tell_accepted(client, accepted, wait=wait, as_json=as_json)


@task.command(
    cls=Command,
    examples=(
        "functory task ls --summary",
        "functory task ls hello --status Failed",
        "functory task ls hello --prefix nightly- --json | jq -r .[].taskId",
    ),
)
@click.argument("name", default="")
@click.option("--summary", is_flag=True, help="Count them by state, per function. Without NAME this is meant.")
@click.option("--status", type=click.Choice(STATES, case_sensitive=False), help="Only those that stand there.")
@click.option("--prefix", default="", metavar="TEXT", help="Only those whose id starts so.")
@click.option("--qualifier", metavar="NAME", default="", help="Only those of this version or alias.")
@click.option("-n", "--limit", type=click.IntRange(1, 10_000), default=50, show_default=True, help="How many to show.")
@reading
@connected
def ls(
    client: Client,
    name: str,
    summary: bool,
    status: str | None,
    prefix: str,
    qualifier: str,
    limit: int,
    as_json: bool,
) -> None:
    """List the tasks of NAME, newest at the end, or count those of all functions."""
    if summary or not name:
        counts = client.tasks.summary(name)
        if as_json:
            screen.json(msgspec.json.encode(counts))
        elif counts:
            screen.rows(task_tables.summary(counts))
        else:
            screen.note("No tasks yet. Submit one: functory task submit NAME -e hello")
        return
    found = []
    pages = client.tasks.list(name, status=status or "", prefix=prefix, qualifier=qualifier, limit=min(limit, 100))
    for one in pages:
        found.append(one)
        if len(found) == limit:
            break
    if as_json:
        screen.json(msgspec.json.encode(found))
    elif found:
        screen.rows(task_tables.listed(found[::-1], screen.out.width))
    else:
        screen.note(f"{name} has no such tasks.")


@task.command(cls=Command, examples=("functory task show hello nightly-7", "functory task show hello nightly-7 --json"))
@click.argument("name")
@click.argument("task_id")
@reading
@connected
def show(client: Client, name: str, task_id: str, as_json: bool) -> None:
    """Show one task: its history, payload, answer, and why it waits if it does."""
    found = client.tasks.get(name, task_id)
    if as_json:
        screen.json(found.to_json())
        return
    screen.out.print(task_tables.title(found), soft_wrap=True)
    screen.out.print()
    screen.out.print(task_tables.history(found))
    screen.out.print()
    screen.out.print(task_tables.details(found))
    if not found.ended and found.status in ("Enqueued", "Retrying"):
        screen.note(f"\nIt waits: {client.tasks.why(name, task_id).message}.")


@task.command(cls=Command, examples=("functory task why hello nightly-7",))
@click.argument("name")
@click.argument("task_id")
@reading
@connected
def why(client: Client, name: str, task_id: str, as_json: bool) -> None:
    """Say why a task waits."""
    found = client.tasks.why(name, task_id)
    if as_json:
        screen.json(found.to_json())
    else:
        screen.out.print(Text.assemble((found.reason, "bold"), f": {found.message}"), soft_wrap=True)


@task.command(cls=Command, examples=("functory task tail hello", "functory task tail hello --json | jq .status"))
@click.argument("name")
@reading
@connected
def tail(client: Client, name: str, as_json: bool) -> None:
    """Follow the tasks of NAME as they move on, until Ctrl-C."""
    for found in watch(client.tasks, name, every_s=EVERY_S):
        if as_json:
            screen.json(found.to_json())
        else:
            screen.out.print(task_tables.line(found), soft_wrap=True)


@task.command(cls=Command, examples=("functory task stop hello nightly-7",))
@click.argument("name")
@click.argument("task_id")
@connected
def stop(client: Client, name: str, task_id: str) -> None:
    """Stop a task: at once while it waits; one that runs is asked to end, then ended."""
    client.tasks.stop(name, task_id)
    now = client.tasks.get(name, task_id)
    done = "is stopped" if now.ended else "is being stopped"
    screen.err.print(Text.assemble(("✓ ", "green"), (task_id, "bold"), f" {done}"), soft_wrap=True)


for again in (task_again.rerun, task_again.dead, task_again.redeliver, task_again.secret):
    task.add_command(again)
