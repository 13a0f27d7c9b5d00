"""What stands on the first page of the command line, and where each command is found.

A command is imported when it is taken, and no other with it: they bring clients, tables and whole nodes, of which a
call needs few. The first page is printed from here, too; a test compares each sentence with the command's own help.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator, MutableMapping
from typing import Any, NamedTuple

import click

from functory.cli.command import Group


class Entry(NamedTuple):
    """One command."""

    name: str
    place: str
    """Module of this package, and the command in it."""
    sentence: str
    """The first of its help."""


MENU = (
    (
        "Run a node",
        (
            Entry("up", "up.up", "Start a node here and keep it running until Ctrl-C."),
            Entry("doctor", "doctor.doctor", "Check the node: reachable, keys, isolation, runtimes, clock, disk."),
            Entry("simulate", "simulate.simulate", "Run a policy of the node over a recorded load, beside others."),
        ),
    ),
    (
        "Build",
        (
            Entry("new", "new.new", "Make a folder with a function that echoes: its source and functory.toml."),
            Entry("deploy", "deploy.deploy", "Upload a folder, a single source file, or all that a deploy file names."),
            Entry("invoke", "invoke.invoke", "Call a function and print its answer."),
        ),
    ),
    (
        "Look",
        (
            Entry("ls", "functions.ls", "List the functions, or those whose name starts with PREFIX."),
            Entry("show", "functions.show", "Show one function: its limits, code, environment and layers."),
            Entry("triggers", "triggers.triggers", "List the triggers of a function: its URL, its clocks."),
            Entry("instances", "switch.instances", "List the instances that run of a function now."),
            Entry("code", "switch.code", "Fetch the code of a function as it was uploaded: a zip."),
            Entry("logs", "logs.logs", "Print what a function printed, or what one call of it printed."),
            Entry(
                "requests",
                "requests.requests",
                "List the latest calls, of all functions or of NAME, newest at the end.",
            ),
            Entry(
                "request",
                "requests.request",
                "Show one call as a waterfall: queue, fork, import, init, run; its memory and its cost.",
            ),
            Entry(
                "cost",
                "cost.cost",
                "Show what functions, or NAME, have cost: calls, and instances kept ready, in whole hours.",
            ),
        ),
    ),
    (
        "Run later",
        (
            Entry("task", "task.task", "Run work later: submit tasks, follow them, run them again."),
            Entry("async", "configs.async_", "List, show, set and remove how asynchronous calls are treated."),
        ),
    ),
    (
        "Release",
        (
            Entry("version", "versions.version", "List, publish and remove versions: frozen copies of a function."),
            Entry("alias", "versions.alias", "List, make, change and remove aliases: names for versions."),
            Entry("disable", "switch.disable", "Refuse all calls of a function until it is enabled."),
            Entry("enable", "switch.enable", "Take calls of a function again."),
        ),
    ),
    (
        "Reach",
        (
            Entry("trigger", "triggers.trigger", "List, make, change and remove triggers."),
            Entry("domain", "domains.domain", "List, make, change and remove custom domains."),
        ),
    ),
    (
        "Size",
        (
            Entry(
                "concurrency",
                "configs.concurrency",
                "List, show, set and remove the places that are kept for functions.",
            ),
            Entry("provision", "configs.provision", "List, show, set and remove instances that stand ready."),
            Entry("scaling", "configs.scaling", "List, show, set and remove bounds of the number of instances."),
        ),
    ),
    (
        "Share",
        (
            Entry("layer", "layers.layer", "List, show, publish and remove layers: folders that functions share."),
            Entry("tag", "tags.tag", "List, add and remove tags: labels of functions."),
        ),
    ),
    (
        "Remove",
        (
            Entry("rm", "functions.rm", "Remove a function and its triggers."),
            Entry(
                "remove", "deploy.remove", "Remove what a deploy file or a folder names: domains, functions, layers."
            ),
        ),
    ),
    (
        "Keys",
        (
            Entry("keys", "keys.keys", "List, make, rotate and switch off access keys."),
            Entry("role", "role.role", "Say what functions may do to this node."),
            Entry(
                "audit",
                "keys.audit",
                "List the latest management calls, newest at the end: who, what, and what came of it.",
            ),
        ),
    ),
    ("Network", (Entry("vpc", "vpc.vpc", "Say what functions may reach: names, networks, ports."),)),
)

ENTRIES = {entry.name: entry for _, entries in MENU for entry in entries}


class Shelf(MutableMapping[str, click.Command]):
    """The commands by name; one is imported when it is taken."""

    def __init__(self) -> None:
        self._taken: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._taken:
            module, _, attribute = ENTRIES[name].place.partition(".")
            self._taken[name] = getattr(importlib.import_module(f"functory.cli.{module}"), attribute)
        return self._taken[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._taken[name] = command

    def __delitem__(self, name: str) -> None:
        del self._taken[name]

    def __iter__(self) -> Iterator[str]:
        return iter({**ENTRIES, **self._taken})

    def __len__(self) -> int:
        return len({**ENTRIES, **self._taken})

    def __contains__(self, name: object) -> bool:
        return name in ENTRIES or name in self._taken


class Menu(Group):
    """The top of the command line."""

    headings = tuple((heading, tuple(entry.name for entry in entries)) for heading, entries in MENU)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.commands = Shelf()

    def sentence_of(self, ctx: click.Context, name: str) -> str:
        return ENTRIES[name].sentence
