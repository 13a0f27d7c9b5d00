"""Runs uv: resolves requirements and installs them into a folder, from wheels only, so that nothing uploaded is run."""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from functory.clock import Clock
from functory.model import errors
from functory.runtimes import index_settings

TAIL_BYTES = 16_384
"""How much of what the installer prints is kept."""
MESSAGE_LINES = 12
MESSAGE_CHARACTERS = 2000
_COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def command(interpreter: str, target: Path, requirements: Path, cache: Path) -> list[str]:
    """The installer's command line."""
    beside = shutil.which("uv", path=str(Path(sys.executable).parent))
    return [
        *([beside] if beside else [sys.executable, "-m", "uv"]),
        *("pip", "install", "--python", interpreter, "--target", str(target), "--requirements", str(requirements)),
        *("--only-binary", ":all:", "--no-python-downloads", "--compile-bytecode", "--no-progress", "--quiet"),
        *("--color", "never"),
        # Copies: a hard link would let a change of mode reach the cache, and the other way round.
        *("--link-mode", "copy", "--cache-dir", str(cache)),
        # From the root, so that no uv.toml or pyproject.toml near the data folder counts; the machine's own do.
        *("--directory", "/"),
    ]


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The installer's environment: the node's own, with pip's settings said to uv."""
    return index_settings.for_installer(environ, index_settings.pip_files(environ))


async def run(arguments: Sequence[str], environ: Mapping[str, str], *, clock: Clock, timeout_s: float) -> None:
    """Return when it has succeeded; `InvalidArgument` with its last lines if it fails or takes too long.

    However this ends, cancelled or not, the installer and its children have ended too.
    """
    process = await _start(arguments, environ)
    late = False

    def end() -> None:
        nonlocal late
        late = True
        _kill(process.pid)

    timer = clock.call_later(timeout_s, end)
    try:
        said = await _tail(process)
        code = await process.wait()
    except BaseException:
        _kill(process.pid)
        await process.wait()
        raise
    finally:
        timer.cancel()
    if late:
        raise errors.InvalidArgument(f"the requirements could not be installed within {timeout_s:g} s:\n{said}")
    if code != 0:
        raise errors.InvalidArgument(f"the requirements could not be installed:\n{said}")


async def _start(arguments: Sequence[str], environ: Mapping[str, str]) -> asyncio.subprocess.Process:
    """The running installer; nothing runs if this is cancelled."""
    starting = asyncio.ensure_future(
        asyncio.create_subprocess_exec(
            *arguments,
            env=dict(environ),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
        )
    )
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        # It may run before its maker has returned; cancelling the maker would lose sight of its children.
        process = await starting
        _kill(process.pid)
        await process.wait()
        raise


async def _tail(process: asyncio.subprocess.Process) -> str:
    """The last lines that it prints, without colours."""
    kept = b""
    if process.stdout is not None:
        while piece := await process.stdout.read(TAIL_BYTES):
            kept = (kept + piece)[-TAIL_BYTES:]
    text = _COLOURS.sub("", kept.decode(errors="replace"))
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    return "\n".join(lines[-MESSAGE_LINES:])[-MESSAGE_CHARACTERS:]


def _kill(pid: int) -> None:
    """End the whole tree; it leads a session of its own."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
