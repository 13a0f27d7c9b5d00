"""`doctor`: is all well, and what to do where it is not."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

import click
import msgspec
from rich.text import Text

from functory import __version__
from functory.cli import screen, words
from functory.cli.command import Command, reading
from functory.cli.failures import Exit, Failed
from functory.sdk import Client, SdkError, answers, credentials

SKEW_WARN_S = 30
SKEW_FAIL_S = 15 * 60
"""Signatures farther away than this are refused."""
DISK_WARN_BYTES = 2 * 2**30
DISK_FAIL_BYTES = 200 * 2**20
_STRONG = ("A", "A1", "B")
T = TypeVar("T")


class Level(StrEnum):
    """How a check came out."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


class Check(msgspec.Struct, frozen=True):
    """One line of the report."""

    level: Level
    what: str
    says: str
    do: str = ""
    """What to do about it."""


_MARK = {Level.OK: ("✓", "green"), Level.WARN: ("!", "yellow"), Level.FAIL: ("✗", "bold red")}


@click.command(cls=Command, examples=("functory doctor", "functory doctor --endpoint http://10.0.0.5:3862 --json"))
@click.option("--endpoint", metavar="URL", help="Address of the node. Default: found, see functory --help.")
@reading
@click.pass_context
def doctor(ctx: click.Context, endpoint: str | None, as_json: bool) -> None:
    """Check the node: reachable, keys, isolation, runtimes, clock, disk. Exit code 1 if something is broken."""
    checks: list[Check] = []
    for check in examine(endpoint or ctx.find_root().params.get("endpoint")):
        checks.append(check)
        if not as_json:
            _print(check)
    if as_json:
        screen.json(msgspec.json.encode(checks))
    if any(check.level is Level.FAIL for check in checks):
        raise Failed(Exit.FUNCTION_ERROR)


def _print(check: Check) -> None:
    mark, style = _MARK[check.level]
    line = Text.assemble((f"{mark} ", style), (f"{check.what:<12}", "dim"), check.says)
    screen.out.print(line, soft_wrap=True)
    for note in check.do.splitlines():
        screen.out.print(Text(f"{'':<14}{note}", style="dim"), soft_wrap=True)


def examine(endpoint: str | None) -> Iterator[Check]:
    """All checks, in order, until one makes the rest pointless."""
    try:
        found = credentials.find(endpoint=endpoint)
    except SdkError as failure:
        yield Check(Level.FAIL, "keys", failure.message, failure.hint)
        return
    with Client(found) as client:
        health = _tried(client.health)
        if isinstance(health, SdkError):
            yield Check(Level.FAIL, "node", health.message, health.hint)
            return
        yield _version(found.endpoint, health)
        node = _tried(client.node)
        if isinstance(node, SdkError):
            yield Check(
                Level.FAIL,
                "keys",
                f"{found.access_key_id} (from {found.source}): {node.message}",
                "the keys belong to another node, or its data folder was removed",
            )
        else:
            yield Check(Level.OK, "keys", f"{found.access_key_id}, account {node.account_id}, from {found.source}")
        yield isolation(health.tier)
        if isinstance(node, answers.Node):
            yield from runtimes(node)
            yield _load(node)
        yield skew(health.at_s, time.time())
        yield from _disk(Path(found.source))


def _tried(call: Callable[[], T]) -> T | SdkError:
    try:
        return call()
    except SdkError as failure:
        return failure


def _version(endpoint: str, health: answers.Health) -> Check:
    says = f"{endpoint} answers, version {health.version}"
    if health.version != __version__:
        return Check(
            Level.WARN, "node", says, f"this command line is version {__version__}; use the same on both sides"
        )
    return Check(Level.OK, "node", says)


def isolation(tier: answers.Tier) -> Check:
    """How well instances are shut off."""
    level = Level.OK if tier.name in _STRONG else Level.WARN
    do = "\n".join(f"missing: {what}" for what in tier.missing)
    return Check(level, "isolation", f"tier {tier.name}: {tier.summary}", do)


def runtimes(node: answers.Node) -> Iterator[Check]:
    """A line per interpreter; beneath it, the runtimes for which it only stands in."""
    by_interpreter: dict[tuple[str, str], list[answers.Runtime]] = {}
    for runtime in node.runtimes:
        if runtime.interpreter:
            by_interpreter.setdefault((runtime.interpreter, runtime.version), []).append(runtime)
    if not by_interpreter:
        yield Check(Level.FAIL, "runtimes", "none can be used", "install Python 3.9 or newer, then start the node anew")
    for (interpreter, version), served in by_interpreter.items():
        of = f" ({version})" if version else ""
        true = [runtime.name for runtime in served if not runtime.note]
        notes = "\n".join(runtime.note for runtime in served if runtime.note)
        yield Check(Level.OK, "runtime", f"{', '.join(true) or 'none by name'}: {interpreter}{of}", notes)


def _load(node: answers.Node) -> Check:
    counts = node.instances
    now = f"{counts.alive} alive, {counts.busy} busy, {counts.starting} starting, {counts.standby} frozen"
    paged = f", {counts.paged_out} paged out" if node.paging_out == "on" else ""
    up = words.duration(node.uptime_s * 1e6)
    note = "" if node.paging_out in ("", "on") else f"nothing is paged out: {node.paging_out}"
    says = f"{now}{paged}, {words.size(counts.held_bytes)} held; the node is up for {up}"
    return Check(Level.OK, "instances", says, note)


def skew(node_s: int, now_s: float) -> Check:
    """How far the node's clock is from ours. The node's is known to the second."""
    if not node_s:
        return Check(Level.OK, "clock", "the node does not tell its time")
    apart_s = node_s - int(now_s)
    if abs(apart_s) <= 1:
        return Check(Level.OK, "clock", "the node's clock agrees with this one")
    says = (
        f"the node's clock is {words.duration(abs(apart_s) * 1e6)} {'ahead of' if apart_s > 0 else 'behind'} this one"
    )
    if abs(apart_s) < SKEW_WARN_S:
        return Check(Level.OK, "clock", says)
    level = Level.FAIL if abs(apart_s) >= SKEW_FAIL_S else Level.WARN
    return Check(level, "clock", says, "set both by a time server; signatures more than 15 minutes apart are refused")


def _disk(source: Path) -> Iterator[Check]:
    """The data folder, where it is on this machine: that of the credentials file."""
    if source.name != credentials.FILE_NAME or source.parent.name == "functory":
        return  # keys of the environment, or the user's own file: neither says where the data is
    free = shutil.disk_usage(source.parent).free
    says = f"{source.parent}, {words.size(free)} free"
    if free < DISK_FAIL_BYTES:
        yield Check(Level.FAIL, "data folder", says, "make room: with a full disk nothing can be deployed or recorded")
    elif free < DISK_WARN_BYTES:
        yield Check(Level.WARN, "data folder", says, "make room soon")
    else:
        yield Check(Level.OK, "data folder", says)
