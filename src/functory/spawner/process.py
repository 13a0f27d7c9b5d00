"""Starting the spawner's process.

The node calls `launch` first thing, before it has threads or a loop, and hands the result to `client.SpawnerClient`,
which launches again if the process dies: posix_spawn is safe then too, a fork would not be.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from functory.model import errors

_CONTROL = 3
_RESET = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGCHLD)


class Launched(NamedTuple):
    """A spawner that runs; it has not said it is ready yet."""

    socket: socket.socket
    """The node's end, non-blocking."""
    pid: int


def launch(*, prepare: Sequence[str] = (), readable: Sequence[str] = (), isolation: str = "process") -> Launched:
    """Starts the spawner; `Unavailable` if the process cannot be made.

    `prepare`: interpreters to warm up before it says it is ready. `readable`: folders with code and layers, which
    functions must be able to read under a user id of their own. `isolation`: as the setting.
    """
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    try:
        pid = _spawn(theirs, _arguments(prepare, readable, isolation))
    except OSError as failure:
        ours.close()
        raise errors.Unavailable(f"the spawner could not be started: {failure}") from failure
    finally:
        theirs.close()
    ours.setblocking(False)
    return Launched(ours, pid)


def _arguments(prepare: Sequence[str], readable: Sequence[str], isolation: str) -> list[str]:
    # -P: a module of the working directory shall not stand in for one of ours.
    argv = [sys.executable, "-P", "-s", "-m", "functory.spawner", "--control", str(_CONTROL)]
    argv += ("--isolation", isolation)
    for interpreter in prepare:
        argv += ("--prepare", interpreter)
    for folder in readable:
        argv += ("--readable", folder)
    return argv


def _spawn(control: socket.socket, argv: list[str]) -> int:
    # The node's environment may hold secrets: only what finds our package and the folder for temporary files goes on.
    environment = {"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": os.environ.get("PATH", os.defpath)}
    if "TMPDIR" in os.environ:
        environment["TMPDIR"] = os.environ["TMPDIR"]
    null = os.open(os.devnull, os.O_RDWR)
    actions = [(os.POSIX_SPAWN_DUP2, null, 0), (os.POSIX_SPAWN_DUP2, control.fileno(), _CONTROL)]
    try:
        # A session of its own: Ctrl-C on the terminal is the node's, which then ends things in order.
        return os.posix_spawn(argv[0], argv, environment, file_actions=actions, setsid=True, setsigdef=_RESET)
    finally:
        os.close(null)
