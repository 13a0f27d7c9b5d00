"""`up`: starts a node here. The one command that is not a client."""

from __future__ import annotations

import errno
import os
import socket
from pathlib import Path
from typing import Any

import click

from functory import config
from functory.cli.command import Command
from functory.model import errors

MAIN = ("port", "host", "data", "log_level", "log_style")
"""Settings that the help names; the others are flags too, and stand in docs/settings.md."""


def _settings(function: Any) -> Any:
    """Gives the command a flag for each setting of the node."""
    by_name = {setting.name: setting for setting in config.SETTINGS}
    others = [setting.name for setting in config.SETTINGS if setting.name not in MAIN]
    for name in reversed([*MAIN, *others]):
        setting = by_name[name]
        shown = f"{setting.rule.help} Default: {setting.default}."
        flag = click.option(setting.flag, setting.name, metavar=_METAVAR.get(name), help=shown, hidden=name not in MAIN)
        function = flag(function)
    return function


_METAVAR = {"data": "DIR", "port": "N", "host": "ADDRESS", "log_level": "LEVEL", "log_style": "STYLE"}


@click.command(
    cls=Command,
    examples=(
        "functory up",
        "functory up --demo",
        "functory up --port 0 --data /var/lib/functory --log-style json",
        "functory up --queue-max 50 --instance-idle-s 5m",
    ),
)
@_settings
@click.option("--config", "file", metavar="FILE", type=click.Path(path_type=Path), help="Settings file to use.")
@click.option("--demo", is_flag=True, help="Then deploy a sample function, call it, and show what it took.")
def up(file: Path | None, demo: bool, **flags: Any) -> int:
    """Start a node here and keep it running until Ctrl-C.

    All it keeps lies in one folder, ./.functory unless --data says otherwise; its keys are in
    credentials.json there, where the other commands find them.

    Every setting in docs/settings.md is a flag as well (--queue-max 50), an environment variable
    (FUNCTORY_QUEUE_MAX=50) and a line in functory.toml of that folder.
    """
    settings = config.load(flags, os.environ, file)
    if demo:
        from functory.cli import demo_node  # it brings the whole client

        return demo_node.run(settings, flags, file)
    from functory.node import run  # a client that only reads a list need not load a whole node

    try:
        return run(settings)
    except OSError as failure:
        raise _cannot_listen(settings, failure) from failure


def _cannot_listen(settings: config.Settings, failure: OSError) -> errors.Unavailable:
    where = f"the node cannot start at {settings.host} port {settings.port}"
    if failure.errno == errno.EADDRINUSE:
        return errors.Unavailable(
            f"{where}: another program listens there",
            hint="choose another port with --port; --port 0 takes any free one",
        )
    if failure.errno == errno.EADDRNOTAVAIL or isinstance(failure, socket.gaierror):
        return errors.Unavailable(
            f"{where}: this machine has no such address",
            hint="choose another with --host: 127.0.0.1 for this machine alone, 0.0.0.0 for all networks it is in",
        )
    return errors.Unavailable(f"{where}: {failure.strerror or failure}")
