"""Which interpreter runs a Python function.

Official runtime names are bound to interpreters of this machine. Where the exact version is missing, the node's own
interpreter stands in, and the function's `note` says so: a clear difference is better than a refusal.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from functory.model import errors
from functory.model.function import Function
from functory.runtimes.base import Start

NAMES = ("python3", "python3.9", "python3.10", "python3.11", "python3.12")
"""The official names; `python3.11` is ours. `python3` is whatever the node runs on."""
OLDEST = (3, 9)
"""The runtime inside the sandbox needs it: pidfds and `gc.freeze` are there, and nobody patches older ones."""
# Asked for its own name too: a shim on the search path would cost each start a shell.
_PROBE = "import sys; print('%d.%d.%d' % sys.version_info[:3], sys.executable)"
_PROBE_LIMIT_S = 10
_VERSION = re.compile(r"\d{1,3}\.\d{1,3}\.\d{1,3}")


_Answer = tuple[str, str] | None
"""`(version, path of its executable)`, or None of what is no Python."""


class Interpreter(msgspec.Struct, frozen=True, kw_only=True):
    """What runs functions of one runtime name."""

    name: str
    """The official runtime name."""
    path: str
    """The interpreter, absolute: what `InstanceSpec.runtime` takes."""
    version: str
    """As it says itself: `3.11.2`."""
    note: str = ""
    """A sentence for the function's owner where it is not the named version."""


class Interpreters:
    """The interpreters of this node by runtime name. Implements `base.Runtime`."""

    def __init__(self, by_name: Mapping[str, Interpreter]) -> None:
        self._by_name = dict(by_name)

    def get(self, runtime: str) -> Interpreter:
        """The interpreter for a runtime name; `InvalidArgument` with what there is."""
        found = self._by_name.get(runtime)
        if found is None:
            raise errors.InvalidArgument(
                f"runtime '{runtime}' is not available on this node; it has {', '.join(self._by_name)}"
            )
        return found

    def resolve(self, runtime: str) -> tuple[str, str, str]:
        """`(path, version, note)` for a runtime name, for those who know nothing of interpreters."""
        found = self.get(runtime)
        return found.path, found.version, found.note

    @property
    def names(self) -> tuple[str, ...]:
        """The official names there is an interpreter for."""
        return tuple(self._by_name)

    def start(self, function: Function) -> Start:
        """A fork of the interpreter's zygote is the instance."""
        return Start(zygote=self.get(function.runtime).path)

    def all(self) -> tuple[Interpreter, ...]:
        """All of them, in order of name."""
        return tuple(self._by_name.values())

    def describe(self) -> list[dict[str, str]]:
        """As the API shows them."""
        return [
            {"name": found.name, "interpreter": found.path, "version": found.version, "note": found.note}
            for found in self.all()
        ]

    @property
    def paths(self) -> tuple[str, ...]:
        """Each interpreter once: what the spawner prepares."""
        return tuple(dict.fromkeys(found.path for found in self._by_name.values()))


def find_interpreters(configured: Mapping[str, str]) -> Interpreters:
    """Binds the official names, and those in `configured` (runtime name to interpreter), to interpreters.

    Runs the candidates, all at once (12 ms each, but 200 ms where the search path leads to a version manager), so it is
    called at start, not on the loop. `InvalidArgument` if a configured one is missing, does not answer, or is too old.
    """
    host = _own()
    found: dict[str, Interpreter] = {}
    looked_for = [name for name in NAMES if name not in configured and _note(name, host.version)]
    answers = _ask_all([path for name in looked_for if (path := shutil.which(name))])
    for name in sorted({*NAMES, *configured}, key=_order):
        if name in configured:
            found[name] = _configured(name, configured[name])
        elif _note(name, host.version):
            found[name] = _on_this_machine(name, answers) or _stand_in(name, host)
        else:
            found[name] = msgspec.structs.replace(host, name=name)
    return Interpreters(found)


def _order(name: str) -> tuple[int, ...]:
    return tuple(int(digits) for digits in re.findall(r"\d{1,9}", name))


def _own() -> Interpreter:
    """The interpreter below the node's virtual environment: functions must not see what is installed in there."""
    base = Path(getattr(sys, "_base_executable", "") or sys.executable)
    path = str(base.resolve())
    return Interpreter(name="python3", path=path, version=".".join(map(str, sys.version_info[:3])))


def _configured(name: str, given: str) -> Interpreter:
    path = shutil.which(os.path.expanduser(given))
    if path is None:
        raise errors.InvalidArgument(f"the interpreter of {name}, {given!r}, is not there or cannot be executed")
    asked = _ask_all([path])[path]
    if asked is None:
        raise errors.InvalidArgument(f"the interpreter of {name}, {given!r}, does not say its version: is it a Python?")
    version, real = asked
    if _too_old(version):
        raise errors.InvalidArgument(
            f"the interpreter of {name}, {given!r}, is Python {version}; 3.{OLDEST[1]} is the oldest that works"
        )
    return Interpreter(name=name, path=real, version=version, note=_note(name, version))


def _on_this_machine(name: str, answers: Mapping[str, _Answer]) -> Interpreter | None:
    asked = answers.get(shutil.which(name) or "")
    if asked is None or _too_old(asked[0]) or _note(name, asked[0]):
        return None
    return Interpreter(name=name, path=asked[1], version=asked[0])


def _stand_in(name: str, host: Interpreter) -> Interpreter:
    return msgspec.structs.replace(host, name=name, note=_note(name, host.version))


def _note(name: str, version: str) -> str:
    """Empty if `version` is what `name` promises."""
    wanted = name.removeprefix("python")
    if wanted == "3" or version.startswith(wanted + "."):
        return ""
    return f"{name} is not on this node: runs on Python {version}"


def _too_old(version: str) -> bool:
    return tuple(map(int, version.split(".")[:2])) < OLDEST


def _ask_all(paths: Sequence[str]) -> dict[str, _Answer]:
    """What each says, asked at the same time: they are waited for together."""
    asked = {path: _ask(path) for path in dict.fromkeys(paths)}
    return {path: None if process is None else _answer(process) for path, process in asked.items()}


def _ask(path: str) -> subprocess.Popen[bytes] | None:
    try:
        return subprocess.Popen(
            [path, "-I", "-S", "-c", _PROBE],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
    except OSError:
        return None


def _answer(process: subprocess.Popen[bytes]) -> _Answer:
    with process:
        try:
            said, _ = process.communicate(timeout=_PROBE_LIMIT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            return None
    version, _, executable = said.decode(errors="replace").strip().partition(" ")
    if process.returncode or _VERSION.fullmatch(version) is None or not os.path.isabs(executable):
        return None
    return version, executable
