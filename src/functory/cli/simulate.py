"""`simulate`: what a policy of the node would have done with a recorded load, before it does it with yours."""

from __future__ import annotations

import random
from typing import TextIO

import click
import msgspec
from rich.table import Table

from functory.cli import made_up, screen, words
from functory.cli.command import Command, Commands
from functory.instances.keepalive import rules, trace
from functory.instances.keepalive.simulate import Result, run


@click.group(
    cls=Commands,
    examples=("functory simulate keepalive trace.csv",),
)
def simulate() -> None:
    """Run a policy of the node over a recorded load, beside others."""


simulate.headings = (("Policies", ("keepalive",)),)


@simulate.command(
    cls=Command,
    examples=(
        "functory simulate keepalive trace.csv",
        "functory simulate keepalive --synthetic 300 --hours 24",
        "functory simulate keepalive trace.csv --memory 2048 --idle 300 --json | jq .[0]",
    ),
)
@click.argument("file", metavar="[TRACE.csv]", type=click.File("r", encoding="utf-8"), required=False)
@click.option("--synthetic", type=click.IntRange(1, 20_000), help="Make up a load of so many functions instead.")
@click.option("--hours", type=click.FloatRange(0.1, 240), default=8.0, show_default=True, help="How long that load is.")
@click.option("--seed", type=int, default=1, show_default=True, help="The same seed makes up the same load.")
@click.option(
    "--memory", type=click.FloatRange(0), default=0.0, help="MB that instances may hold. Default: what Functory's take."
)
@click.option(
    "--idle", type=click.FloatRange(1, 86_400), default=180.0, show_default=True, help="The setting instance_idle_s."
)
@click.option("--json", "as_json", is_flag=True, help="Print the results as JSON.")
def keepalive(
    file: TextIO | None,
    synthetic: int | None,
    hours: float,
    seed: int,
    memory: float,
    idle: float,
    as_json: bool,
) -> None:
    """Compare how instances are kept: Functory's policy, fixed ten minutes, LRU, the optimum that knows the future.

    A trace has one call a line: function,timestamp,duration,memory[,cold ms], in seconds, ms, MB and ms.
    """
    if (file is None) == (synthetic is None):
        raise click.UsageError("give either a trace or --synthetic, as in: functory simulate keepalive trace.csv")
    calls = trace.read(file) if file else made_up.load(synthetic or 0, hours, random.Random(seed))
    ours = run(calls, rules.Ours(idle), memory)
    bound = memory or ours.peak_mb
    bounded = [run(calls, rule, bound) for rule in (rules.LeastRecentlyUsed(), rules.Optimum())]
    results = [ours, run(calls, rules.Fixed(), memory), *bounded]
    if as_json:
        screen.json(msgspec.json.encode(results))
        return
    screen.rows(_table(results))
    functions = words.count(len({call.function for call in calls}), "function")
    whose = "all rules" if memory else "LRU and optimum"
    screen.note(f"{words.count(len(calls), 'call')} of {functions}; {whose} bounded at {bound:.0f} MB")


def _table(results: list[Result]) -> Table:
    columns = ("COLD STARTS", "COLD", "MEMORY GB·S", "WASTED GB·S", "PEAK MB", "P50 +MS", "P99 +MS", "MEAN +MS")
    table = screen.table("RULE", *((column, "right") for column in columns))
    for one in results:
        table.add_row(
            one.rule,
            f"{one.cold_starts:,}",
            f"{one.cold_starts / one.calls:.1%}",
            f"{one.memory_gb_s:,.0f}",
            f"{one.wasted_gb_s:,.0f}",
            f"{one.peak_mb:,.0f}",
            f"{one.p50_added_ms:.1f}",
            f"{one.p99_added_ms:.1f}",
            f"{one.mean_added_ms:.2f}",
        )
    return table
