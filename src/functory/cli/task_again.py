"""`task rerun`, `dead`, `redeliver`, `secret`: what ended, once more, one or many."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import click
import msgspec
from rich.text import Text

from functory.cli import payloads, screen, task_tables, words
from functory.cli.command import Command, connected, reading
from functory.cli.failures import Exit, Failed
from functory.sdk import Client, SdkError, Submitted
from functory.sdk.task_asks import Edit

_Sentence = Callable[[int], str]
ENDED = ("Succeeded", "Failed", "Expired", "Stopped")
_NAMED_MAX = 5
_file = click.option(
    "-f", "--file", type=click.Path(path_type=Path, allow_dash=True), help="Send a file's content instead; - = input."
)
_merge = click.option("--merge", metavar="JSON", help="Change these members of a JSON payload; null removes one.")


def tell_accepted(client: Client, accepted: Submitted, *, wait: bool, as_json: bool) -> None:
    """The id of a task; with `wait` its answer, once it is there."""
    if not wait:
        if as_json:
            screen.json(msgspec.json.encode({"taskId": accepted.task_id, "requestId": accepted.request_id}))
        else:
            screen.out.print(accepted.task_id, soft_wrap=True)
        return
    with screen.waiting(f"{accepted.task_id} runs"), _goes_on(accepted):
        ended = accepted.wait()
    if as_json:
        screen.json(ended.to_json())
    else:
        screen.raw(client.tasks.result(accepted.function, accepted.task_id) if ended.succeeded else b"")
        screen.err.print(task_tables.title(ended), soft_wrap=True)
        if not ended.succeeded:
            screen.note(task_tables.explained(ended.task_error_message)[:2000])
    if not ended.succeeded:
        raise Failed(Exit.FUNCTION_ERROR)


@contextlib.contextmanager
def _goes_on(accepted: Submitted) -> Iterator[None]:
    """Ctrl-C ends the wait and nothing else."""
    try:
        yield
    except KeyboardInterrupt:
        screen.note(f"The task goes on: functory task show {accepted.function} {accepted.task_id}")
        raise


@click.command(
    cls=Command,
    examples=(
        "functory task rerun hello nightly-7",
        "functory task rerun hello nightly-7 -e corrected --wait",
        "functory task rerun hello --all --status Failed --prefix nightly-",
        """functory task rerun hello --all --merge '{"region": "eu"}'""",
    ),
)
@click.argument("name")
@click.argument("task_id", default="")
@click.option("-e", "--event", metavar="TEXT", help="Send this text instead of its payload.")
@_file
@_merge
@click.option("--id", "new_id", metavar="ID", default="", help="The new task's id.")
@click.option("--all", "many", is_flag=True, help="All that ended as --status says, instead of one; each of them once.")
@click.option(
    "--status", "statuses", multiple=True, type=click.Choice(ENDED, case_sensitive=False),
    help="With --all: those that ended so; may be repeated. Default: Failed and Expired.",
)  # fmt: skip
@click.option("--prefix", default="", metavar="TEXT", help="With --all: those whose id starts so.")
@click.option("--wait", is_flag=True, help="Wait for the end of the one and print its answer.")
@reading
@connected
def rerun(
    client: Client,
    name: str,
    task_id: str,
    event: str | None,
    file: Path | None,
    merge: str | None,
    new_id: str,
    many: bool,
    statuses: tuple[str, ...],
    prefix: str,
    wait: bool,
    as_json: bool,
) -> None:
    """Run ended tasks again, as new tasks; the old ones stay as they are."""
    if many == bool(task_id):
        raise click.UsageError("name one task, or say --all")
    edit = _edit(event, file, merge)
    if many:
        if wait or new_id:
            raise click.UsageError("--all waits for none, and names each after the one that it runs again")
        pages = client.tasks.rerun_pages(name, edit=edit, statuses=statuses or ("Failed", "Expired"), prefix=prefix)
        _tell_many(
            ((page.task_ids, [(one.task_id, one.reason) for one in page.skipped]) for page in pages),
            lambda number: f"{words.count(number, 'task')} run again",
            as_json=as_json,
        )
        return
    if statuses or prefix:
        raise click.UsageError("--status and --prefix go with --all")
    tell_accepted(client, client.tasks.rerun(name, task_id, new_id=new_id, **edit), wait=wait, as_json=as_json)


@click.command(
    cls=Command,
    examples=(
        "functory task dead",
        "functory task dead https://example.com/hook",
        "functory task dead --json | jq .[]",
    ),
)
@click.argument("destination", default="")
@click.option("-n", "--limit", type=click.IntRange(1, 100_000), default=50, show_default=True, help="How many to show.")
@reading
@connected
def dead(client: Client, destination: str, limit: int, as_json: bool) -> None:
    """List ends of tasks that no destination took, newest at the end."""
    found = list(itertools.islice(client.tasks.dead(destination), limit + 1))
    more = len(found) > limit
    found = found[:limit]
    if as_json:
        screen.json(msgspec.json.encode(found))
    elif found:
        screen.rows(task_tables.dead(found[::-1], screen.out.width))
        if more:
            screen.note(f"\nThere are more than these {limit:,}: see --limit.")
        screen.note(f"\nSend them again: functory task redeliver {destination} --all".replace("  ", " "))
    else:
        screen.note("Everything was delivered, or still is being tried.")


@click.command(
    cls=Command,
    examples=(
        "functory task redeliver https://example.com/hook 42",
        "functory task redeliver --all",
        """functory task redeliver https://example.com/hook --all --merge '{"replayed": true}'""",
    ),
)
@click.argument("destination", default="")
@click.argument("key", default="")
@click.option("-e", "--event", metavar="TEXT", help="Send this text instead of the record.")
@_file
@_merge
@click.option("--all", "many", is_flag=True, help="All that functory task dead lists, of DESTINATION if it is named.")
@connected
def redeliver(
    client: Client,
    destination: str,
    key: str,
    event: str | None,
    file: Path | None,
    merge: str | None,
    many: bool,
) -> None:
    """Send dead deliveries again: one by its key, or all."""
    if many == bool(key):
        raise click.UsageError("name a destination and a key, as functory task dead shows them, or say --all")
    edit = _edit(event, file, merge)
    if many:
        pages = client.tasks.redeliver_pages(destination, edit=edit)
        _tell_many(
            ((page.keys, [(one.key, one.reason) for one in page.skipped]) for page in pages),
            lambda number: f"{words.count(number, 'delivery', 'deliveries')} sent again",
            as_json=False,
        )
        return
    wanted = next((one for one in client.tasks.dead(destination) if one.key == key), None)
    if wanted is None:
        raise SdkError(
            f"no dead delivery {key} to {destination} waits to be sent again", hint="functory task dead lists them"
        )
    client.tasks.redeliver(wanted, **edit)
    screen.err.print(Text.assemble(("✓ ", "green"), "1 delivery sent again"))


@click.command(cls=Command, examples=("functory task secret",))
@connected
def secret(client: Client) -> None:
    """Print what deliveries by HTTP are signed with, to check x-functory-signature."""
    screen.out.print(client.tasks.delivery_secret(), soft_wrap=True)


def _edit(event: str | None, file: Path | None, merge: str | None) -> Edit:
    given = event is not None or file is not None
    if merge is None:
        return Edit(payload=payloads.read(None, event, file)) if given else Edit()
    if given:
        raise click.UsageError("--merge edits the payload that -e and -f replace: give one of them")
    try:
        return Edit(merge=msgspec.json.decode(merge, type=dict))
    except msgspec.MsgspecError:
        raise click.UsageError(f"--merge {merge[:60]!r} is not a JSON object") from None


def _tell_many(
    pages: Iterator[tuple[Sequence[str], Sequence[tuple[str, str]]]], done: _Sentence, *, as_json: bool
) -> None:
    """Goes through the pages; Ctrl-C ends it with what was done so far."""
    started: list[str] = []
    skipped: list[tuple[str, str]] = []
    try:
        with screen.waiting("one page after the other"):
            for new, left_out in pages:
                started += new
                skipped += left_out
    except KeyboardInterrupt:
        screen.note(f"{done(len(started))} so far; the same command does the rest")
        raise
    if as_json:
        screen.json(msgspec.json.encode(started))
    else:
        screen.err.print(Text.assemble(("✓ ", "green"), done(len(started))))
    if skipped:
        screen.note(f"{len(skipped):,} left out:")
        for key, reason in skipped[:_NAMED_MAX]:
            screen.note(f"  {key}: {reason}")
        if len(skipped) > _NAMED_MAX:
            screen.note(f"  … and {len(skipped) - _NAMED_MAX:,} more")
