"""`up --demo`: a node as a child of the command line, and the demo against it.

1. The node starts as `functory up` with the same settings; its output passes through.
2. It says `ready http://…`; the demo runs as any client would, with the keys from the data folder.
3. The node stays up. Ctrl-C reaches the command line alone (the node has its own process group), which then stops the
   node once, gently, and on a second Ctrl-C at once. If the command line dies, the kernel stops the node.
"""

from __future__ import annotations

import ctypes
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import IO

from rich.text import Text

from functory.cli import demo, failures, screen
from functory.cli.failures import Exit
from functory.config import Settings
from functory.model.errors import FunctoryError
from functory.sdk import Client, SdkError, credentials

READY = re.compile(r"\bready (https?://\S+)")
READY_TIMEOUT_S = 60.0
STOP_EXTRA_S = 5.0
"""How much longer than its own grace the node may take to stop."""
_PR_SET_PDEATHSIG = 1


class Stopped(Exception):
    """The user asked for the end, or the node ended."""


def run(settings: Settings, flags: Mapping[str, object], file: Path | None) -> int:
    """The exit code of node and demo together; returns when both are done."""
    child = _start(flags, file)
    asked = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        if asked.is_set():
            _signal(child, signal.SIGKILL)
            return
        asked.set()
        _signal(child, signal.SIGTERM)
        raise Stopped

    before = {number: signal.signal(number, stop) for number in (signal.SIGINT, signal.SIGTERM)}
    code = Exit.OK
    try:
        code = _demo(child, settings)
        _tell(child.wait(), asked=code is Exit.USAGE)
    except Stopped:
        pass
    finally:
        if not asked.is_set():
            _signal(child, signal.SIGTERM)  # once only: the node takes a second signal for "at once"
        ended = _wait(child, settings.shutdown_grace_s + STOP_EXTRA_S)
        for number, handler in before.items():
            signal.signal(number, handler)
    if asked.is_set():
        screen.note("\n  The node has stopped.")
    if asked.is_set() and ended == -signal.SIGTERM:
        return Exit.INTERRUPTED  # asked before the node had learnt to end in order
    return code if ended == 0 else 128 - ended if ended < 0 else ended


def _start(flags: Mapping[str, object], file: Path | None) -> subprocess.Popen[str]:
    given = {name: value for name, value in flags.items() if value is not None}
    # The table is the show; the node's own lines are left to those who ask for them.
    arguments = {"log_level": "warning", **given}
    command = [sys.executable, "-m", "functory", "up"]
    for name, value in arguments.items():
        command += [f"--{name.replace('_', '-')}", str(value)]
    if file is not None:
        command += ["--config", str(file)]
    libc = ctypes.CDLL(None)  # loaded before the fork: the child may only make the call
    return subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        errors="replace",
        process_group=0,
        preexec_fn=lambda: libc.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM),
    )


def _demo(child: subprocess.Popen[str], settings: Settings) -> Exit:
    """Waits for the node, runs the demo; a demo that fails leaves the node up."""
    assert child.stdout is not None
    if not _wait_ready(child, child.stdout):
        screen.err.print(Text.assemble(("✗ ", "bold red"), "The node did not start; its last words are above"))
        _signal(child, signal.SIGTERM)
        return Exit.USAGE
    threading.Thread(target=_forward, args=(child.stdout,), daemon=True).start()
    code = Exit.OK
    try:
        with Client(credentials.read(settings.data.absolute() / credentials.FILE_NAME)) as client:
            demo.run(client, settings.data / "demo")
    except (SdkError, FunctoryError, demo.DemoFailed) as failure:
        failures.show(failure)
        code = Exit.UNREACHABLE if isinstance(failure, demo.DemoFailed) else failures.code_of(failure)
    screen.err.print(Text("\n  The node stays up. Ctrl-C stops it.", style="dim"))
    return code


def _tell(ended: int, *, asked: bool) -> None:
    """Says that the node went by itself, and how."""
    if asked:
        return
    how = f"was ended by {signal.Signals(-ended).name}" if ended < 0 else f"ended by itself, with code {ended}"
    screen.err.print(Text.assemble(("\n✗ ", "bold red"), f"The node {how}"), soft_wrap=True)
    screen.err.print(Text("  start it again: ./dev up; nothing that it had answered is lost"), soft_wrap=True)


def _wait_ready(child: subprocess.Popen[str], output: IO[str]) -> bool:
    """Passes the node's output on until it is ready; false if it ends or takes too long."""
    watchdog = threading.Timer(READY_TIMEOUT_S, _signal, (child, signal.SIGKILL))
    watchdog.daemon = True
    watchdog.start()
    try:
        for line in output:
            _pass_on(line)
            if READY.search(line):
                return True
    finally:
        watchdog.cancel()
    return False


def _forward(output: IO[str]) -> None:
    for line in output:
        _pass_on(line)


def _pass_on(line: str) -> None:
    sys.stdout.write(line)
    sys.stdout.flush()


def _signal(child: subprocess.Popen[str], number: signal.Signals) -> None:
    if child.poll() is None:
        os.kill(child.pid, number)


def _wait(child: subprocess.Popen[str], limit_s: float) -> int:
    """The node's exit code; it is killed if it does not end in time."""
    try:
        return child.wait(limit_s)
    except subprocess.TimeoutExpired:
        child.kill()
        return child.wait()
