"""Node.js functions: one Node of this machine runs all official names.

A Node cannot be forked, so an instance is a process of its own: locked in like every other, then replaced by Node with
our `bootstrap/node.cjs`, which speaks the frames.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from functory.model import errors
from functory.model.function import Function
from functory.runtimes.base import Start

NAMES = ("nodejs12", "nodejs14", "nodejs16", "nodejs18", "nodejs20")
OLDEST = 16
"""What `node.cjs` needs."""
RESERVE_MB = 256
"""Threads' stacks and what V8 maps before the first line of a function runs."""
_BOOTSTRAP = "@/node.cjs"
_VERSION = re.compile(r"v(\d{1,4}\.\d{1,4}\.\d{1,4})")
_PROBE_LIMIT_S = 10
_READ_AT_START = ("NODE_", "OPENSSL_", "SSL_", "LD_", "MALLOC_", "GLIBC_", "UV_", "ICU_")
"""How variables begin that Node, or what it is made of, looks at once when it starts."""
_READ_LATER = ("NODE_ENV", "NODE_PATH")


class NodeRuntime:
    """Implements `base.Runtime`."""

    def __init__(self, path: str, version: str, zygote: str) -> None:
        self._path = path
        self._version = version
        self._zygote = zygote

    @property
    def names(self) -> Sequence[str]:
        return NAMES

    def resolve(self, name: str) -> tuple[str, str, str]:
        wanted = name.removeprefix("nodejs")
        note = "" if self._version.startswith(wanted + ".") else f"{name} runs on Node.js {self._version} here"
        return self._path, self._version, note

    def describe(self) -> list[dict[str, str]]:
        rows = ((name, *self.resolve(name)) for name in NAMES)
        return [{"name": name, "interpreter": path, "version": v, "note": note} for name, path, v, note in rows]

    def start(self, function: Function) -> Start:
        # The heap's limit is below the process's, so that a heap that is full is an error that V8 names.
        heap_mb = max(64, function.memory_mb * 3 // 4)
        return Start(
            zygote=self._zygote,
            argv=(self._path, f"--max-old-space-size={heap_mb}", _BOOTSTRAP),
            ahead=may_start_ahead(function.environment),
            reserve_mb=RESERVE_MB,
        )


def may_start_ahead(environment: Mapping[str, str]) -> bool:
    """POLICY: whether a Node that has started already can still take these variables as its own.

    What it reads again with each use is set when it becomes an instance. What it has read once would be silently
    without effect: such functions get a Node of their own, started with their variables.
    """
    return not any(name.startswith(_READ_AT_START) and name not in _READ_LATER for name in environment)


def find_node(configured: str, zygote: str) -> NodeRuntime | None:
    """The Node that is set, or the one on PATH; None if there is none there. Runs it once (about 30 ms).

    `zygote`: the interpreter whose zygote makes the process. `InvalidArgument` if the one that is set cannot be used.
    """
    path = shutil.which(os.path.expanduser(configured) if configured else "node")
    version = _version(path) if path is not None else ""
    usable = bool(version) and int(version.partition(".")[0]) >= OLDEST
    if configured and not usable:
        why = f"is Node.js {version}; {OLDEST} is the oldest that works" if version else "is not there, or no Node.js"
        raise errors.InvalidArgument(f"nodejs: {configured!r} {why}")
    if path is None or not usable:
        return None
    return NodeRuntime(os.path.realpath(path), version, zygote)


def _version(path: str) -> str:
    try:
        done = subprocess.run(
            [path, "--version"], stdin=subprocess.DEVNULL, capture_output=True, timeout=_PROBE_LIMIT_S, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    found = _VERSION.fullmatch(done.stdout.decode(errors="replace").strip())
    return found[1] if found else ""
