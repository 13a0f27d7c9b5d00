"""Seam: a runtime, that is how functions of some official names are run here.

A runtime names what it runs, says what an owner should know about it, and answers how an instance of a function is
started. What then runs inside the instance lies in `bootstrap/` and speaks the frames of `wire`.

`Runtimes` is all that a node has; `node/runtimes.py` puts it together. A runtime that needs a program which is not on
this machine is left out, so that deploying to it is refused with the list of what there is.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import msgspec

from functory.model import errors
from functory.model.function import Function
from functory.model.instance import Program, RootImage


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """How an instance is made: the parts of an `InstanceSpec` that depend on the language."""

    zygote: str
    """The interpreter whose zygote is forked."""
    argv: tuple[str, ...] = ()
    ahead: bool = False
    """The program of `argv` may stand ready before the function is known."""
    program: Program | None = None
    reserve_mb: int = 0
    start_timeout_s: int = 0
    image: RootImage | None = None
    """What it is rooted in, instead of code."""
    environment: dict[str, str] = {}
    """Variables that the function's own and the platform's win over."""


class Runtime(Protocol):
    """One language, or one way to run programs."""

    @property
    def names(self) -> Sequence[str]:
        """The official names it serves."""

    def resolve(self, name: str) -> tuple[str, str, str]:
        """`(what runs it, its version, a sentence for the owner or nothing)`."""

    def describe(self) -> list[dict[str, str]]:
        """`{name, interpreter, version, note}` of each name, as the API shows them."""

    def start(self, function: Function) -> Start:
        """How an instance of the function is made."""


class Runtimes:
    """The runtimes of a node, by name."""

    def __init__(self, *runtimes: Runtime) -> None:
        self._runtimes = runtimes
        self._by_name = {name: runtime for runtime in runtimes for name in runtime.names}

    def get(self, name: str) -> Runtime:
        """The runtime of this name; `InvalidArgument` with what there is."""
        found = self._by_name.get(name)
        if found is None:
            raise errors.InvalidArgument(
                f"runtime '{name}' is not available on this node; it has {', '.join(self._by_name)}"
            )
        return found

    def resolve(self, name: str) -> tuple[str, str, str]:
        """`(what runs it, its version, a sentence for the owner or nothing)`; `InvalidArgument`."""
        return self.get(name).resolve(name)

    def start(self, function: Function) -> Start:
        """How an instance of the function is made; `InvalidArgument` if the node does not have its runtime any more."""
        return self.get(function.runtime).start(function)

    def describe(self) -> list[dict[str, str]]:
        """All of them, as the API shows them."""
        return [row for runtime in self._runtimes for row in runtime.describe()]
