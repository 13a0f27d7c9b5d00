"""Custom runtimes: the function is a program, an HTTP server on a port of its own.

`bootstrap/custom.py` starts it inside the instance and speaks for it. Each instance has a port of its own, which the
program learns from `FC_CUSTOM_LISTEN_PORT` (also `FC_SERVER_PORT` and `PORT`); one that listens on 9000 without asking
is found there, but only one instance at a time can, as long as all share the machine's network.
"""

from __future__ import annotations

from collections.abc import Sequence

from functory.model.function import Custom, Function
from functory.model.instance import Program
from functory.runtimes.base import Start

NAMES = ("custom", "custom.debian10", "custom.debian11", "custom.debian12")
BOOTSTRAP = "/code/bootstrap"
"""What is run when nothing else is said."""
PROGRAM = "a program of the function"
RESERVE_MB = 512
"""Languages map far more than they use; how much is used is the function's limit."""


class CustomRuntime:
    """Implements `base.Runtime`."""

    def __init__(self, zygote: str, start_timeout_s: int) -> None:
        self._zygote = zygote
        self._start_timeout_s = start_timeout_s

    @property
    def names(self) -> Sequence[str]:
        return NAMES

    def resolve(self, name: str) -> tuple[str, str, str]:
        _, _, system = name.partition(".")
        note = f"{name} runs on this machine's system and programs, whatever they are" if system else ""
        return PROGRAM, "", note

    def describe(self) -> list[dict[str, str]]:
        return [{"name": name, "interpreter": PROGRAM, "version": "", "note": self.resolve(name)[2]} for name in NAMES]

    def start(self, function: Function) -> Start:
        custom = function.custom or Custom()
        program = Program(
            command=(*(custom.command or (BOOTSTRAP,)), *custom.args), port=custom.port, health=custom.health
        )
        return Start(
            zygote=self._zygote,
            program=program,
            reserve_mb=RESERVE_MB,
            start_timeout_s=self._start_timeout_s,
        )
