"""`async`, `concurrency`, `provision`, `scaling`: configurations around functions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import click
from rich.text import Text

from functory.cli import nouns
from functory.cli.command import Command, Commands, connected, reading
from functory.sdk import Client, surroundings
from functory.sdk.configs import Config, function_of, qualifier_of


class _Noun(NamedTuple):
    """How one kind of configuration is shown."""

    name: str
    what: str
    """In the middle of a sentence."""
    columns: tuple[str | tuple[str, str], ...]
    cells: Callable[[Config], Sequence[Any]]
    wanted: str = ""
    """What `set` asks for behind the name."""


def _destinations(config: Config) -> str:
    to = config.get("destinationConfig") or {}
    return ", ".join(f"{on[2:].lower()}: {one.get('destination')}" for on, one in to.items() if one)


def _failure(config: Config) -> Text:
    return Text(str(config.get("currentError") or ""), style="yellow")


ASYNC = _Noun(
    "async",
    "how asynchronous calls are treated",
    (("RETRIES", "right"), ("MAX AGE", "right"), "TASK", "TO"),
    lambda one: (
        one.get("maxAsyncRetryAttempts"),
        f"{one.get('maxAsyncEventAgeInSeconds')} s",
        "yes" if one.get("asyncTask") else "no",
        _destinations(one),
    ),
)
CONCURRENCY = _Noun(
    "concurrency",
    "the places that are kept for functions",
    (("RESERVED", "right"),),
    lambda one: (one.get("reservedConcurrency"),),
    " PLACES",
)
PROVISION = _Noun(
    "provision",
    "instances that stand ready",
    (("TARGET", "right"), ("READY", "right"), ("SCHEDULES", "right"), "TROUBLE"),
    lambda one: (one.get("target"), one.get("current"), len(one.get("scheduledActions") or []), _failure(one)),
    " TARGET",
)
SCALING = _Noun(
    "scaling",
    "bounds of the number of instances",
    (("MIN", "right"), ("RUNNING", "right"), "TROUBLE"),
    lambda one: (one.get("minInstances"), one.get("currentInstances"), _failure(one)),
    " MIN",
)


def _group(noun: _Noun) -> Commands:
    """The group with `ls`, `show` and `rm`; `set` differs and is added below."""
    name, qualified = noun.name, noun is not CONCURRENCY
    of_qualifier: Callable[[Any], Any] = nouns.qualified if qualified else lambda command: command

    @click.group(
        name=name,
        cls=nouns.group("ls", "show", "set", "rm"),
        examples=(f"functory {name} ls", f"functory {name} show shop", f"functory {name} rm shop"),
        help=f"List, show, set and remove {noun.what}.",
    )
    def group() -> None:
        pass

    @group.command(cls=Command, examples=(f"functory {name} ls", f"functory {name} ls shop --json"))
    @click.argument("function", default="", metavar="[NAME]")
    @reading
    @connected
    def ls(client: Client, function: str, as_json: bool) -> None:
        """List those of one function, or of all."""
        found = list(surroundings.configs_of(client, name).list(function))
        of = ("OF",) if qualified else ()
        nouns.listed(
            found,
            as_json,
            ("FUNCTION", *of, *noun.columns),
            lambda one: (function_of(one), *((qualifier_of(one),) if qualified else ()), *noun.cells(one)),
            f"None is set. Set one: functory {name} set NAME{noun.wanted}",
        )

    @group.command(cls=Command, examples=(f"functory {name} show shop", f"functory {name} show shop --json"))
    @click.argument("function", metavar="NAME")
    @of_qualifier
    @reading
    @connected
    def show(client: Client, function: str, as_json: bool, qualifier: str = "") -> None:
        """Show the one of a function."""
        found = surroundings.configs_of(client, name).get(function, qualifier)
        if not as_json and not found.get("functionArn"):
            found = {"functionArn": "none is set"}
        nouns.shown(found, as_json, [(_words(key), value) for key, value in found.items()])

    @group.command(name="rm", cls=Command, examples=(f"functory {name} rm shop",))
    @click.argument("function", metavar="NAME")
    @of_qualifier
    @connected
    def remove(client: Client, function: str, qualifier: str = "") -> None:
        """Remove the one of a function; the defaults hold again."""
        surroundings.configs_of(client, name).delete(function, qualifier)
        nouns.done("removed", name, f" of {function}" + (f".{qualifier}" if qualifier else ""))

    assert isinstance(group, Commands)
    return group


def _words(key: str) -> str:
    """`max async retry attempts`, of `maxAsyncRetryAttempts`."""
    plain = key.replace("CPU", "Cpu").replace("GPU", "Gpu")
    return "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in plain)


async_, concurrency, provision, scaling = (_group(noun) for noun in (ASYNC, CONCURRENCY, PROVISION, SCALING))


def _set(client: Client, noun: str, name: str, qualifier: str, fields: dict[str, Any]) -> None:
    surroundings.configs_of(client, noun).put(name, surroundings.DEFAULTS[noun] | fields, qualifier)
    nouns.done("set", noun, f" of {name}" + (f".{qualifier}" if qualifier else ""))


@async_.command(
    name="set",
    cls=Command,
    examples=("functory async set shop --retries 1 --max-age 3600", "functory async set shop --task --qualifier prod"),
)
@click.argument("name")
@nouns.qualified
@click.option("--retries", type=int, metavar="N", help="After a failure of the function, 0 to 8. Default: 3.")
@click.option("--max-age", type=int, metavar="SECONDS", help="When a call is given up. Default: 86400.")
@click.option("--task/--no-task", default=None, help="Whether calls are tasks, with a history.")
@click.option("--on-success", metavar="ARN|URL", help="Who gets the answer.")
@click.option("--on-failure", metavar="ARN|URL", help="Who is told of a failure.")
@nouns.official
@connected
def set_async(
    client: Client,
    name: str,
    qualifier: str,
    retries: int | None,
    max_age: int | None,
    task: bool | None,
    on_success: str | None,
    on_failure: str | None,
    fields: dict[str, Any] | None,
) -> None:
    """Set how asynchronous calls are treated. What is not said gets its default."""
    to = nouns.without_none(onSuccess=on_success, onFailure=on_failure)
    said = nouns.without_none(maxAsyncRetryAttempts=retries, maxAsyncEventAgeInSeconds=max_age, asyncTask=task)
    if to:
        said["destinationConfig"] = {on: {"destination": one} for on, one in to.items()}
    _set(client, "async", name, qualifier, {**(fields or {}), **said})


@concurrency.command(name="set", cls=Command, examples=("functory concurrency set shop 20",))
@click.argument("name")
@click.argument("places", type=int)
@connected
def set_concurrency(client: Client, name: str, places: int) -> None:
    """Keep PLACES of the account for a function; it gets no more."""
    _set(client, "concurrency", name, "", {"reservedConcurrency": places})


@provision.command(
    name="set",
    cls=Command,
    examples=("functory provision set shop 2", "functory provision set shop 2 --qualifier prod"),
)
@click.argument("name")
@click.argument("target", type=int)
@nouns.qualified
@nouns.official
@connected
def set_provision(client: Client, name: str, target: int, qualifier: str, fields: dict[str, Any] | None) -> None:
    """Keep TARGET instances ready, whether called or not. --fields: schedules."""
    said = {"target": target, "defaultTarget": target}
    _set(client, "provision", name, qualifier, {**(fields or {}), **said})


@scaling.command(
    name="set", cls=Command, examples=("functory scaling set shop 1", "functory scaling set shop 1 --qualifier prod")
)
@click.argument("name")
@click.argument("least", type=int, metavar="MIN")
@nouns.qualified
@nouns.official
@connected
def set_scaling(client: Client, name: str, least: int, qualifier: str, fields: dict[str, Any] | None) -> None:
    """Keep at least MIN instances ready."""
    _set(client, "scaling", name, qualifier, {**(fields or {}), "minInstances": least})
