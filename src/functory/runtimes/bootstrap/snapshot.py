"""A function that is loaded and initialised once, and copied for each instance.

    take: load → initializer → before_snapshot → (looked at) → announce ─fork─→ run: after_restore → serve

The hooks are plain functions of the handler's module, found by name: `before_snapshot(context)` runs once, last, in the
process that will be copied; `after_restore(context)` runs in each copy, before its first request.
"""

from __future__ import annotations

import gc
import os
import sys
from time import perf_counter_ns

from . import fault, frames, fresh, life, load, output, touched

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

REFUSED = "TemplateRefused"
"""The type of the error that says: nothing is wrong with the function, but it cannot be copied."""
_BEFORE, _AFTER = "before_snapshot", "after_restore"
_ONE_THREAD = ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS")
"""Numerical libraries start threads when they are loaded unless told otherwise; copies would not have them."""


def take(spec: dict[str, Any], read_fd: int, pipe: frames.Pipe, out: output.Output) -> Snapshot | int:
    """Loads and initialises; the exit code if that fails, which is told."""
    quiet = [name for name in _ONE_THREAD if name not in os.environ]
    for name in quiet:
        os.environ[name] = "1"
    try:
        made = Snapshot(life.Life(spec, read_fd, pipe, out), pipe, out)
        made.initialise()
    except SystemExit as leaving:
        return life.not_started(pipe, out, _as_error(leaving))
    except Exception as failure:
        return life.not_started(pipe, out, failure)
    finally:
        for name in quiet:
            os.environ.pop(name, None)
    return made


def _as_error(leaving: SystemExit) -> Exception:
    return fault.Refused(
        "InitializationError", f"the code ended the process: sys.exit({leaving.code!r})", frames.E_INIT
    )


class Snapshot:
    """What a template holds, and what each copy does with it."""

    def __init__(self, loaded: life.Life, pipe: frames.Pipe, out: output.Output) -> None:
        self._life = loaded
        self._pipe = pipe
        self._out = out
        module = sys.modules.get(loaded.spec["handler"].rpartition(".")[0].replace("/", "."))
        self._before = _hook(module, _BEFORE)
        self._after = _hook(module, _AFTER)
        self._collects = True
        self._touched: touched.Touched

    def initialise(self) -> None:
        """Runs the initializer and the hook; `Refused` if it could not be copied afterwards."""
        began = perf_counter_ns()
        of = self._life
        if of.initializer is not None and load.is_async(of.initializer) and load.is_async(of.handler):
            raise _refused(
                "the initializer is a coroutine: what it makes belongs to an event loop, which is not copied"
            )
        of.initialise()
        if self._before is not None:
            _call(of, self._before, _BEFORE)
        self._collects = gc.isenabled()
        of.init_us = (perf_counter_ns() - began) // 1000

    def refuse(self, reason: str) -> None:
        """Tells why no copies will be made."""
        life.not_started(self._pipe, self._out, _refused(reason))

    def announce(self) -> None:
        """Says that copies can be made; what is printed from here on goes to the raw log."""
        self._touched = touched.Touched()
        self._life.hello["mode"] = "template"
        self._life.announce()
        self._out.raw_fd = 2

    def wait(self, fd: int) -> None:
        """In a copy that is no instance yet: returns when something comes on `fd`, or a little earlier."""
        self._touched.make_ready_if_idle(fd)

    def run(self, spec: dict[str, Any]) -> int:
        """A copy's life; the exit code."""
        self._out.raw_fd = -1
        if self._collects:
            gc.enable()
        return life.live(lambda: self._begin(spec), self._pipe, self._out)

    def _begin(self, spec: dict[str, Any]) -> life.Life:
        began = perf_counter_ns()
        of = self._life
        fresh.of_a_copy()
        of.take_over(spec)
        of.choose()
        of.watch_heap(touched.FirstRequest(self._touched))
        if self._after is not None:
            _call(of, self._after, _AFTER)
        of.import_us = of.init_us = 0
        of.hello["restoreUs"] = (perf_counter_ns() - began) // 1000
        return of


def _refused(reason: str) -> fault.Refused:
    return fault.Refused(REFUSED, reason, frames.E_INIT)


def _hook(module: Any, name: str) -> Callable[..., Any] | None:
    found: Callable[..., Any] | None = getattr(module, name, None)
    return found if callable(found) else None


def _call(of: life.Life, hook: Callable[..., Any], name: str) -> None:
    try:
        of.call(hook)
    except Exception as failure:
        text = f"{name} failed: {type(failure).__name__}: {failure}"
        raise fault.Refused("SnapshotHookError", text, frames.E_INIT) from failure
