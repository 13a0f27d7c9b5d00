"""`ls`, `show` and `rm`: the functions of a node."""

from __future__ import annotations

from datetime import UTC, datetime

import click
import msgspec
from rich.table import Table
from rich.text import Text

from functory.cli import screen, words
from functory.cli.command import Command, connected, reading
from functory.sdk import Client, removal
from functory.sdk.functions import Function, Template


@click.command(cls=Command, examples=("functory ls", "functory ls img-", "functory ls --json | jq -r .[].functionName"))
@click.argument("prefix", default="")
@reading
@connected
def ls(client: Client, prefix: str, as_json: bool) -> None:
    """List the functions, or those whose name starts with PREFIX."""
    found = list(client.functions.list(prefix))
    if as_json:
        screen.json(msgspec.json.encode(found))
    elif found:
        screen.rows(_listed(found, datetime.now(UTC)))
    else:
        screen.note("No functions yet. Make one: functory new hello" if not prefix else f"None starts with {prefix!r}.")


def _listed(found: list[Function], now: datetime) -> Table:
    table = screen.table(
        "NAME", "RUNTIME", "HANDLER", ("MEMORY", "right"), ("TIMEOUT", "right"), ("CODE", "right"), "CHANGED"
    )
    for function in found:
        table.add_row(
            Text(function.function_name, style="bold"),
            function.runtime,
            function.handler,
            f"{function.memory_size} MB",
            f"{function.timeout} s",
            words.size(function.code_size),
            Text(words.ago(function.last_modified_time, now), style="dim"),
        )
    return table


@click.command(cls=Command, examples=("functory show hello", "functory show hello --json"))
@click.argument("name")
@reading
@connected
def show(client: Client, name: str, as_json: bool) -> None:
    """Show one function: its limits, code, environment and layers."""
    function = client.functions.get(name)
    if as_json:
        screen.json(function.to_json())
        return
    screen.out.print(Text(function.function_name, style="bold"))
    if function.description:
        screen.out.print(function.description)
    screen.out.print()
    screen.out.print(_shown(function, client.functions.template(function.function_name), datetime.now(UTC)))


def _template(found: Template) -> str:
    """`ready: loaded in 1.02 s, 68.1 MB, 12 starts`, or why there is none; empty where there is nothing to say."""
    if found.state == "ready":
        loaded = words.duration(found.import_us + found.init_us)
        return f"ready: loaded once in {loaded}, {words.size(found.memory_bytes)}, {words.count(found.forks, 'start')}"
    if found.state == "none":
        return f"none: {found.reason}" if found.reason else ""
    return f"{found.state}: {found.reason}" if found.reason else found.state


def _shown(function: Function, template: Template, now: datetime) -> object:
    facts = screen.facts()
    facts.add_row("runtime", f"{function.runtime}, {function.handler}")
    limits = f"{function.memory_size} MB · {function.cpu:g} vCPU · {function.timeout} s · {function.disk_size} MB disk"
    facts.add_row("limits", limits)
    facts.add_row("concurrency", f"{function.instance_concurrency or 1} per instance")
    facts.add_row("code", f"{words.size(function.code_size)}, checksum {function.code_checksum}")
    facts.add_row("changed", f"{words.ago(function.last_modified_time, now)}  ({function.last_modified_time})")
    for hook, value in _hooks(function):
        facts.add_row(hook, value)
    for layer in function.layers or []:
        facts.add_row("layer", f"{layer.arn}  {words.size(layer.size) if layer.size else ''}".rstrip())
    for key, value in sorted((function.environment_variables or {}).items()):
        facts.add_row("environment", f"{key}={value}")
    if function.role:
        facts.add_row("role", function.role)
    facts.add_row("arn", function.function_arn)
    if said := _template(template):
        facts.add_row("template", said)
    if function.state_reason:
        facts.add_row("note", function.state_reason)
    return facts


def _hooks(function: Function) -> list[tuple[str, str]]:
    lifecycle = function.instance_lifecycle_config
    if lifecycle is None:
        return []
    named = (("initializer", lifecycle.initializer), ("pre-stop", lifecycle.pre_stop))
    return [(name, f"{hook.handler}, {hook.timeout or 3} s") for name, hook in named if hook and hook.handler]


@click.command(cls=Command, examples=("functory rm hello", "functory rm hello -y"))
@click.argument("name")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@connected
def rm(client: Client, name: str, yes: bool) -> None:
    """Remove a function and its triggers. What it runs now may finish; its records and logs stay."""
    client.functions.get(name)  # refused before anybody is asked
    screen.confirm(f"Remove {name}?", yes)
    gone = []
    for step in removal.function(client, name):
        step.act()
        gone += [step.name] if step.noun == "trigger" else []
    with_it = f" and its triggers {', '.join(gone)}" if gone else ""
    screen.err.print(Text.assemble(("✓ ", "green"), "removed ", (name, "bold"), with_it))
