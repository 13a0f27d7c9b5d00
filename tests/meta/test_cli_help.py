"""Every command explains itself: what it does, what each option means, and how it is used."""

from __future__ import annotations

import shlex

import click
import pytest
from click.testing import CliRunner

from functory.cli.command import Command, Group
from functory.cli.main import functory
from functory.cli.menu import ENTRIES, MENU

NAMES = sorted(functory.commands)


def help_of(*arguments: str) -> str:
    done = CliRunner().invoke(functory, [*arguments, "--help"], prog_name="functory")
    assert done.exit_code == 0
    return done.output


@pytest.mark.parametrize("name", NAMES)
def test_the_help_of_a_command_ends_with_examples_that_call_it(name: str) -> None:
    command = functory.commands[name]
    assert isinstance(command, Command)
    assert command.examples
    shown = help_of(name).partition("Examples:\n")[2]
    for example in command.examples:
        assert f"functory {name}" in example
        assert example in shown


@pytest.mark.parametrize("name", NAMES)
def test_the_options_in_an_example_exist(name: str) -> None:
    known = {flag for option in functory.commands[name].params for flag in option.opts}
    for example in functory.commands[name].examples:  # type: ignore[attr-defined]
        words = example.split(f"functory {name}")[1].split("|")[0].split()
        assert {word for word in words if word.startswith("-") and word != "-"} <= known


@pytest.mark.parametrize("name", NAMES)
def test_every_option_says_what_it_means(name: str) -> None:
    for option in functory.commands[name].params:
        if isinstance(option, click.Option):
            assert option.help, f"{name} {option.opts}"


@pytest.mark.parametrize("name", NAMES)
def test_every_command_begins_with_a_short_sentence(name: str) -> None:
    short = functory.commands[name].get_short_help_str(limit=200)
    assert short.endswith(".")
    assert len(short) <= 90


def _inner() -> list[tuple[str, click.Command]]:
    """`alias create` and the like, with the whole name."""
    groups = [(name, one) for name, one in functory.commands.items() if isinstance(one, click.Group)]
    return [(f"{name} {inner}", one) for name, group in groups for inner, one in group.commands.items()]


@pytest.mark.parametrize(("name", "command"), _inner(), ids=[name for name, _ in _inner()])
def test_commands_of_groups_explain_themselves_too(name: str, command: click.Command) -> None:
    assert isinstance(command, Command)
    assert command.examples
    shown = help_of(*name.split())
    known = {flag for option in command.params for flag in option.opts + option.secondary_opts}
    for example in command.examples:
        assert example.startswith(f"functory {name}")
        assert example in shown
        given = {word for word in shlex.split(example.split("|")[0]) if word.startswith("-") and word != "-"}
        assert given <= known, example
    assert all(option.help for option in command.params if isinstance(option, click.Option))
    assert command.get_short_help_str(limit=200).endswith(".")


def test_groups_show_all_their_commands() -> None:
    for group in functory.commands.values():
        if isinstance(group, Group):
            assert sorted(name for _, names in group.headings for name in names) == sorted(group.commands)


def test_every_command_stands_under_one_heading() -> None:
    listed = [entry.name for _, entries in MENU for entry in entries]
    assert sorted(listed) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_first_page_says_of_a_command_what_its_own_help_says_first(name: str) -> None:
    assert functory.commands[name].name == name
    assert functory.commands[name].get_short_help_str(limit=200) == ENTRIES[name].sentence


@pytest.mark.parametrize("name", ["ls", "show", "logs", "requests", "request", "doctor"])
def test_reading_commands_can_answer_json(name: str) -> None:
    assert "--json" in help_of(name)


def test_the_first_page_says_what_the_exit_codes_mean_and_where_keys_come_from() -> None:
    shown = help_of()
    for word in ("Exit codes", "FUNCTORY_ACCESS_KEY_ID", "credentials.json", "functory up"):
        assert word in shown
