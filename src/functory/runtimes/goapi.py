"""`go1`: a program built with the official Go SDK. It asks for its events over the runtime API (`FC_RUNTIME_API`).

The handler is the program's path in the code. Any language that speaks the runtime API can be run the same way.
"""

from __future__ import annotations

from collections.abc import Sequence

from functory.model.function import Function
from functory.model.instance import Program
from functory.runtimes.base import Start
from functory.runtimes.custom import PROGRAM, RESERVE_MB

NAMES = ("go1",)


class GoRuntime:
    """Implements `base.Runtime`."""

    def __init__(self, zygote: str, start_timeout_s: int) -> None:
        self._zygote = zygote
        self._start_timeout_s = start_timeout_s

    @property
    def names(self) -> Sequence[str]:
        return NAMES

    def resolve(self, name: str) -> tuple[str, str, str]:
        return PROGRAM, "", ""

    def describe(self) -> list[dict[str, str]]:
        return [{"name": name, "interpreter": PROGRAM, "version": "", "note": ""} for name in NAMES]

    def start(self, function: Function) -> Start:
        return Start(
            zygote=self._zygote,
            program=Program(command=(f"/code/{function.handler}",), serves_http=False),
            reserve_mb=RESERVE_MB,
            start_timeout_s=self._start_timeout_s,
        )
