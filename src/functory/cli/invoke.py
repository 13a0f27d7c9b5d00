"""`invoke`: the answer on standard output as it came, what it took on standard error."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from typing import Any

import click
import msgspec
from rich.text import Text

from functory.cli import payloads, screen, words
from functory.cli.command import Command, connected
from functory.cli.failures import Exit, Failed
from functory.sdk import Client, Invoked, SdkError
from functory.sdk.requests import Request

_CODE_FOLDER = re.compile(r"/[^\"\n]*/code/[0-9a-f]{64}/")
"""Where the code lies on a node that cannot mount it at /code: a long name that says nothing."""
RECORD_WAIT_S = 1.0
"""Records are written in batches: how long to look for that of the call that just ended."""


@click.command(
    cls=Command,
    examples=(
        "functory invoke hello -e hi",
        "functory invoke thumbnail -f photo.jpg -o small.jpg",
        "echo '{\"n\": 1}' | functory invoke sum - | jq .",
        "functory invoke hello --tail",
        "functory invoke report --async",
    ),
)
@click.argument("name")
@payloads.sent
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Write the answer to a file.")
@click.option("--qualifier", metavar="NAME", default="", help="Version or alias. Default: LATEST.")
@click.option("--tail", is_flag=True, help="Also show the end of its log.")
@click.option("--async", "later", is_flag=True, help="Do not wait: hand it over as a task and print the task's id.")
@click.option("-q", "--quiet", is_flag=True, help="Do not tell what it took.")
@connected
def invoke(
    client: Client,
    name: str,
    stdin: str | None,
    event: str | None,
    file: Path | None,
    output: Path | None,
    qualifier: str,
    tail: bool,
    later: bool,
    quiet: bool,
) -> None:
    """Call a function and print its answer.

    The answer goes to standard output byte for byte; what the call took and cost goes to standard
    error. If the function itself fails, the exit code is 1.
    """
    payload = payloads.read(stdin, event, file)
    if later:
        if tail or output is not None:
            raise click.UsageError("--async waits for no answer: there is nothing for --tail and --output")
        screen.out.print(client.submit(name, payload, qualifier=qualifier).task_id, soft_wrap=True)
        if not quiet:
            screen.note("It is kept until it has run: functory task show shows it.")
        return
    with screen.waiting(f"{name} runs"):
        answer = client.invoke(name, payload, qualifier=qualifier, tail=tail)
    _hand_over(answer, output)
    if answer.failed:
        explain(answer)
    if tail:
        _show_log(answer)
    if not quiet:
        screen.err.print(summary(answer, record_of(client, answer)), soft_wrap=True)
    if answer.failed:
        raise Failed(Exit.FUNCTION_ERROR)


def record_of(client: Client, answer: Invoked) -> Request | None:
    """The record of a call; None if this key may not read it, or it is not there in time."""
    try:
        return client.requests.get(answer.request_id, wait_s=RECORD_WAIT_S)
    except SdkError:
        return None


def summary(answer: Invoked, record: Request | None) -> Text:
    """`cold · 12.4 ms + start 35.1 ms · billed 13 ms · 14.0 of 512 MB · 15.3 µ¢ · 1-65a7…`, in a dim line."""
    if record is None:
        parts = [f"{answer.duration_ms:.2f} ms", f"{answer.memory_mb:.1f} MB", answer.request_id]
        return Text(" · ".join(parts), style="dim")
    took = words.duration(record.duration_us)
    if record.cold:
        took += f" + start {words.duration(record.cold.total_us)}"
    memory = f"{record.memory_peak_bytes / 2**20:.1f} of {record.memory_limit_mb} MB"
    parts = [took, f"billed {record.billed_ms} ms", memory, words.cost(record.cost_nano_usd), record.request_id]
    start = Text("cold", style="cyan") if record.cold else Text("warm", style="green")
    return start.append(" · " + " · ".join(parts), style="dim")


def explain(answer: Invoked) -> None:
    """What the function raised, with the stack as its language prints it."""
    error = _decoded(answer.payload)
    title = Text.assemble(("✗ ", "bold red"), (str(error.get("errorType") or answer.error_type), "bold"))
    message = str(error.get("errorMessage") or "")
    screen.err.print(title.append(f": {message}" if message else ""), soft_wrap=True)
    for line in stack_lines(error.get("stackTrace")):
        screen.err.print(Text(f"    {line}", style="dim"), soft_wrap=True)


def stack_lines(stack: Any) -> list[str]:
    """The lines of a `stackTrace`: a text, a list of texts, or a list of [place, source] pairs."""
    if not isinstance(stack, list):
        return str(stack).splitlines() if stack else []
    lines: list[str] = []
    for frame in stack:
        pieces = frame if isinstance(frame, list) else [frame]
        for depth, piece in enumerate(pieces):
            text = _CODE_FOLDER.sub("/code/", str(piece).rstrip())
            lines += [("  " if depth else "") + line for line in text.splitlines()]
    return lines


def _hand_over(answer: Invoked, output: Path | None) -> None:
    """The answer to the file, the pipe or the terminal. A terminal is not sent what would break it."""
    if output is not None and not answer.failed:
        try:
            output.write_bytes(answer.payload)
        except OSError as failure:
            raise click.UsageError(f"{output} cannot be written: {failure.strerror}") from failure
        screen.note(f"{words.size(len(answer.payload))} written to {output}")
        return
    if not sys.stdout.isatty():
        screen.raw(answer.payload)
    elif not answer.failed:
        _show(answer.payload)


def _show(payload: bytes) -> None:
    try:
        text = payload.decode("utf-8")
    except UnicodeDecodeError:
        text = "\0"
    if any(ord(letter) < 32 and letter not in "\t\n\r" for letter in text):
        screen.note(f"{words.size(len(payload))} that are not text; write them to a file with -o FILE")
    elif payload:
        screen.raw(payload if payload.endswith(b"\n") else payload + b"\n")


def _show_log(answer: Invoked) -> None:
    for line in answer.log_tail.decode("utf-8", "replace").splitlines():
        screen.err.print(Text.assemble(("  │ ", "dim"), line), soft_wrap=True)


def _decoded(payload: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(payload, type=dict[str, Any])
    except msgspec.MsgspecError:
        return {"errorMessage": payload[:2000].decode("utf-8", "replace")}
