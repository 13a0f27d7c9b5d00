"""How commands look: help with examples, and the options that all of them share."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from functory import sdk

F = TypeVar("F", bound=Callable[..., Any])


class Command(click.Command):
    """A command whose help ends with examples."""

    def __init__(self, *args: Any, examples: tuple[str, ...] = (), **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.examples = examples

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Examples"):
            for example in self.examples:
                formatter.write(f"{'':>{formatter.current_indent}}{example}\n")


class Group(click.Group):
    """A group that shows its commands under headings."""

    command_class = Command
    headings: tuple[tuple[str, tuple[str, ...]], ...] = ()

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        width = max(len(name) for name in self.list_commands(ctx))
        for heading, names in self.headings:
            with formatter.section(heading):
                formatter.write_dl([(name.ljust(width), self.sentence_of(ctx, name)) for name in names])

    def sentence_of(self, ctx: click.Context, name: str) -> str:
        """The sentence that stands behind the name of a command."""
        return self.commands[name].get_short_help_str(limit=90)


class Commands(Command, Group):
    """A command that has commands of its own; its help ends with examples too."""


def connected(function: F) -> F:
    """Gives the command a `client` and the option `--endpoint`."""

    @click.option("--endpoint", metavar="URL", help="Address of the node. Default: found, see functory --help.")
    @click.pass_context
    @functools.wraps(function)
    def wrapped(ctx: click.Context, /, *args: Any, endpoint: str | None, **kwargs: Any) -> Any:
        endpoint = endpoint or ctx.find_root().params.get("endpoint")
        with sdk.connect(endpoint=endpoint) as client:
            return function(client, *args, **kwargs)

    return wrapped  # type: ignore[return-value]


def reading(function: F) -> F:
    """Gives the command the option `--json`."""
    option = click.option("--json", "as_json", is_flag=True, help="Print what the API answers, as JSON.")
    return option(function)
