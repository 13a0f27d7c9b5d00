"""How tasks look in a terminal."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import msgspec
from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from functory.cli import screen, words
from functory.sdk.task_answers import AsyncTask, Counts, DeadDelivery

STATES = ("Enqueued", "Retrying", "Running", "Stopping", "Succeeded", "Failed", "Expired", "Stopped")
_STYLE = {
    "Enqueued": "cyan",
    "Running": "cyan",
    "Retrying": "yellow",
    "Stopping": "yellow",
    "Succeeded": "green",
    "Stopped": "dim",
    "Failed": "red",
    "Expired": "red",
}
_SHOWN_CHARS = 400
_ALWAYS = ("Enqueued", "Running", "Succeeded", "Failed")


def state(status: str) -> Text:
    """A state in its colour."""
    return Text(status, style=_STYLE.get(status, ""))


class _Column(NamedTuple):
    title: str
    number: bool
    cell: Callable[[AsyncTask], RenderableType]


_COLUMNS = (
    _Column("ACCEPTED", False, lambda one: Text(_clock(_accepted_ms(one)), style="dim")),
    _Column("TASK", False, lambda one: Text(one.task_id, style="bold")),
    _Column("STATE", False, lambda one: state(one.status)),
    _Column("RETRIES", True, lambda one: str(one.already_retried_times or "·")),
    _Column("TOOK", True, lambda one: _took(one)),
    _Column("PROGRESS", False, lambda one: Text(_progress(one)[:24], style="dim")),
    _Column("ERROR", False, lambda one: Text(_reason(one.task_error_message)[:60], style="dim")),
)
_SPARE = ("PROGRESS", "ERROR", "TOOK", "RETRIES", "ACCEPTED")
"""What a narrow terminal leaves out, in this order."""


def listed(found: Sequence[AsyncTask], width: int) -> Table:
    """A row per task."""
    empty = {"PROGRESS": not any(one.progress is not None for one in found)}
    empty["ERROR"] = not any(one.task_error_message for one in found)

    def make(without: frozenset[str]) -> Table:
        columns = [one for one in _COLUMNS if one.title not in without and not empty.get(one.title)]
        table = screen.table(*((one.title, "right" if one.number else "left") for one in columns))
        for task in found:
            table.add_row(*(one.cell(task) for one in columns))
        return table

    return screen.fitting(make, width, _SPARE)


def summary(counts: Sequence[Counts]) -> Table:
    """A row per function, a column per state; a sum where there are several functions."""
    shown = [name for name in STATES if name in _ALWAYS or any(one.counts.get(name) for one in counts)]
    table = screen.table("FUNCTION", *((name.upper(), "right") for name in (*shown, "all")))

    def row(name: Text, numbers: dict[str, int]) -> None:
        cells = [_number(numbers.get(status, 0), _STYLE[status]) for status in shown]
        table.add_row(name, *cells, _number(sum(numbers.values()), "bold"))

    for one in counts:
        row(Text(one.function_name, style="bold"), one.counts)
    if len(counts) > 1:
        row(Text("all", style="dim"), {name: sum(one.counts.get(name, 0) for one in counts) for name in STATES})
    return table


def title(one: AsyncTask) -> Text:
    """`nightly-7  Succeeded  after 1.20 s  1-65a7…`."""
    text = Text.assemble((one.task_id, "bold"), "  ").append_text(state(one.status))
    if one.ended and one.duration_ms:
        text.append(f"  after {words.duration(one.duration_ms * 1000)}", style="dim")
    return text.append(f"  {one.request_id}", style="dim")


def line(one: AsyncTask) -> Text:
    """What `tail` prints of a change."""
    at_ms = one.events[-1].timestamp if one.events else one.started_time
    text = Text.assemble((f"{words.clock(at_ms)}  ", "dim"), (one.task_id, "bold"), "  ").append_text(state(one.status))
    said = _progress(one) if not one.ended else _reason(one.task_error_message)
    return text.append(f"  {said}" if said else "", style="dim")


def history(one: AsyncTask) -> Table:
    """A row per event."""
    table = screen.table("TIME", "STATE", ("AFTER", "right"), "DETAIL")
    first = one.events[0].timestamp if one.events else 0
    for event in one.events:
        after = words.duration((event.timestamp - first) * 1000) if event.timestamp > first else "·"
        at = Text(words.moment(event.timestamp), style="dim")
        table.add_row(at, state(event.status), after, Text(event.event_detail[:120], style="dim"))
    return table


def details(one: AsyncTask) -> Table:
    """What else is known."""
    facts = screen.facts()
    facts.add_row("function", f"{one.function_arn.rpartition(':functions/')[2].partition('/')[0]}, {one.qualifier}")
    facts.add_row("retries", str(one.already_retried_times))
    if one.instance_id:
        facts.add_row("ran on", one.instance_id)
    if one.progress is not None:
        facts.add_row("progress", _progress(one))
    for name, text in (("payload", one.task_payload), ("answer", one.return_payload)):
        if text:
            facts.add_row(name, _shortened(text))
    if one.task_error_message and one.task_error_message != one.return_payload:
        facts.add_row("error", Text(_shortened(explained(one.task_error_message)), style="red"))
    if one.destination_status:
        facts.add_row("destination", one.destination_status)
    return facts


def dead(found: Sequence[DeadDelivery], width: int) -> Table:
    """A row per delivery."""

    def make(without: frozenset[str]) -> Table:
        table = screen.table(
            *(name for name in ("ENDED", "STATE", "TASK OF", "ERROR") if name not in without), "KEY", "TO"
        )
        for one in found:
            cells = {
                "ENDED": Text(words.moment(one.end_time), style="dim"),
                "STATE": state(one.status),
                "TASK OF": Text(one.request_id, style="dim"),
                "ERROR": Text(_first_line(one.error)[:60]),
            }
            shown = [cell for name, cell in cells.items() if name not in without]
            table.add_row(*shown, Text(one.key, style="bold"), one.destination)
        return table

    return screen.fitting(make, width, ("TASK OF", "ENDED", "STATE"))


def _accepted_ms(one: AsyncTask) -> int:
    return one.events[0].timestamp if one.events else one.started_time


def _clock(at_ms: int) -> str:
    return words.moment(at_ms) if at_ms else ""


def _took(one: AsyncTask) -> str:
    return words.duration(one.duration_ms * 1000) if one.ended and one.duration_ms else "·"


def _number(count: int, style: str) -> Text:
    return Text(f"{count:,}", style=style) if count else Text("·", style="dim")


def _progress(one: AsyncTask) -> str:
    if one.progress is None:
        return ""
    return one.progress if isinstance(one.progress, str) else msgspec.json.encode(one.progress).decode()


class _Problem(msgspec.Struct):
    """What a function's failure looks like."""

    errorMessage: str = ""
    errorType: str = ""
    stackTrace: list[str] = msgspec.field(default_factory=list)


def explained(error: str) -> str:
    """`ValueError: no luck` and where it was raised, of the JSON of a function's failure; other texts as they are."""
    try:
        said = msgspec.json.decode(error, type=_Problem)
    except msgspec.MsgspecError:
        return error
    if not said.errorMessage and not said.errorType:
        return error
    return "\n".join([": ".join(filter(None, (said.errorType, said.errorMessage))), *said.stackTrace])


def _reason(error: str) -> str:
    return _first_line(explained(error))


def _first_line(text: str) -> str:
    return text.partition("\n")[0]


def _shortened(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS else f"{text[:_SHOWN_CHARS]}… ({words.size(len(text.encode()))})"
