"""An instance's life inside: load, initialise, say hello, serve, end."""

from __future__ import annotations

import json
import os
import sys
from time import perf_counter_ns

from . import blocking, context, fault, frames, instance, load, output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

START_FAILED = 1
_CHANNEL_BROKEN = 71


class Life:
    """One function on one channel."""

    def __init__(self, spec: dict[str, Any], read_fd: int, pipe: frames.Pipe, out: output.Output) -> None:
        """Finds the code; what it raises is what the code raises."""
        began = perf_counter_ns()
        self.spec = spec
        self.hello: dict[str, object] = {"protocol": frames.PROTOCOL}
        self._out = out
        self._pipe = pipe
        context.set_facts(spec, out.note)
        load.set_path(spec["code_dir"], spec["layer_dirs"])
        self.handler = load.find(spec["handler"], "handler")
        self.initializer = load.find(spec["initializer"], "initializer") if spec["initializer"] else None
        self._pre_stop = load.find(spec["pre_stop"], "pre-stop hook") if spec["pre_stop"] else None
        self._of = instance.Instance(read_fd, pipe, out, self.handler, spec["concurrency"])
        self._server: Any = None
        self.init_us = 0
        self.import_us = (perf_counter_ns() - began) // 1000

    def take_over(self, spec: dict[str, Any]) -> None:
        """In a copy of a template: this instance's own facts."""
        self.spec = spec
        context.take_over(spec, self._out.note)

    def begin(self) -> Life:
        """Calls the initializer: it can serve then."""
        began = perf_counter_ns()
        self.choose()
        chosen = perf_counter_ns()
        self.initialise()
        self.import_us += (chosen - began) // 1000
        self.init_us = (perf_counter_ns() - chosen) // 1000
        return self

    def initialise(self) -> None:
        """Calls the initializer, if there is one."""
        if self.initializer is not None:
            self.call(self.initializer)

    def choose(self) -> None:
        """How it serves: one request at a time, in threads, or in a loop."""
        if load.is_async(self.handler):
            from . import coroutines

            self.hello["mode"] = "async"
            self._server = coroutines.Coroutines(self._of)
        elif self.spec["concurrency"] > 1:
            from . import threads

            self.hello["mode"] = "threads"
            self._server = threads.Threads(self._of)
        else:
            self.hello["mode"] = "blocking"
            self._server = blocking.Blocking(self._of)

    def watch_heap(self, watch: Any) -> None:
        """Another one than the usual watches the heap, where requests are waited for in a system call."""
        if self.hello["mode"] != "async":
            self._server.watch_heap(watch)

    def announce(self) -> None:
        """Says hello."""
        times = {"importUs": self.import_us, "initUs": self.init_us, "pid": os.getpid()}
        self._out.finish(self._out.log)
        self._pipe.write(frames.frame(0, frames.HELLO, 0, 0, json.dumps({**self.hello, **times}).encode(), b""))

    def serve(self) -> int:
        """Until the node lets go; the exit code."""
        self.announce()
        try:
            self._server.serve()
        except blocking.Drained:
            self._stop()
        return _leave(self._out, 0)

    def _stop(self) -> None:
        if self._pre_stop is None:
            return
        try:
            self.call(self._pre_stop)
        except Exception as failure:
            _, text = fault.describe(failure)
            self._out.write(b"the pre-stop hook failed: " + text + b"\n")

    def call(self, hook: Callable[..., Any]) -> None:
        """Calls a hook with a context that belongs to no request."""
        result = hook(context.Context())
        if hasattr(result, "__await__"):
            import asyncio

            loop = getattr(self._server, "loop", None)
            if loop is None:
                asyncio.run(_awaited(result))
            else:
                loop.run_until_complete(_awaited(result))


async def _awaited(result: Any) -> None:
    await result


def live(begin: Callable[[], Life], pipe: frames.Pipe, out: output.Output) -> int:
    """Begins a life and serves; the exit code. What goes wrong before it serves is told."""

    def serve() -> int:
        try:
            life = begin()
        except Exception as failure:
            return not_started(pipe, out, failure)
        return life.serve()

    return guarded(serve, out)


def guarded(serve: Callable[[], int], out: output.Output) -> int:
    """Serves; the exit code, also of a function that ends the process and of a node that lets go."""
    try:
        return serve()
    except SystemExit as leaving:
        return _leave(out, instance.exit_code(leaving))
    except frames.Gone:
        return 0
    except OSError as failure:
        os.write(2, f"the channel to the node broke: {failure}\n".encode())
        return _CHANNEL_BROKEN


def not_started(pipe: frames.Pipe, out: output.Output, failure: BaseException) -> int:
    """Tells why it cannot serve; the exit code."""
    out.finish(out.log)
    code, text = fault.describe(failure, frames.E_INIT)
    pipe.write(frames.frame(0, frames.ERROR, frames.END, code, b"", text))
    return START_FAILED


def _leave(out: output.Output, code: int) -> int:
    """What a program may expect of its end: exit functions, and everything printed."""
    atexit = sys.modules.get("atexit")
    if atexit is not None:
        try:
            atexit._run_exitfuncs()
        except Exception as failure:
            sys.stderr.write(f"an exit function failed: {type(failure).__name__}\n")
    out.finish(out.log)
    return code
