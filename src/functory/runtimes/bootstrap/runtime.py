"""The Python runtime: what an instance does from the fork to its end."""

from __future__ import annotations

import gc
import json
import os
import sys
from time import perf_counter_ns

from . import blocking, context, fault, frames, instance, load, logs, output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

_START_FAILED = 1
_CHANNEL_BROKEN = 71


class Runtime:
    """Made once, in the zygote; `run` in each copy. What can stand ready before the fork does."""

    def __init__(self, read_fd: int, write_fd: int) -> None:
        self._read_fd = read_fd
        self._write_fd = write_fd
        self._pipe = frames.Pipe(write_fd)
        self._out = output.Output(self._pipe)

    def warm(self) -> None:
        """Runs a small function through all that a first request touches, then takes the function's posture."""
        _rehearse()
        sys.dont_write_bytecode = True  # a function's code is read-only and shared
        sys.argv = [""]
        sys.modules["__main__"] = type(sys)("__main__")
        self._out.install()
        logs.when_imported(self._out)
        os.register_at_fork(after_in_child=self._let_go)

    def run(self, spec: dict[str, Any]) -> int:
        """Serves `spec` until the node lets go; answers the exit code."""
        if spec["argv"]:
            from . import execute

            execute.become(spec, (self._read_fd, self._write_fd))
        out, pipe = self._out, self._pipe
        out.raw_fd = -1
        gc.enable()
        try:
            _give_copies_their_own_chance()
            if spec["program"]:
                from . import custom

                return custom.serve(spec, self._read_fd, pipe)
            try:
                life = _Life(spec, self._read_fd, pipe, out)
            except Exception as failure:
                return _not_started(pipe, out, failure)
            return life.serve()
        except SystemExit as leaving:
            return _leave(out, instance.exit_code(leaving))
        except frames.Gone:
            return 0
        except OSError as failure:
            os.write(2, f"the channel to the node broke: {failure}\n".encode())
            return _CHANNEL_BROKEN

    def start_ahead(self, argv: list[str]) -> NoReturn:
        """Becomes a program that hears later which function it shall run."""
        from . import execute

        execute.become_ahead(argv, (self._read_fd, self._write_fd))

    def _let_go(self) -> None:
        """A process that a function forked must not speak on its parent's channel; leaving the handler ends it."""
        if self._out.raw_fd >= 0:
            return  # it is an instance, forked by the zygote
        self._out.raw_fd = 1
        self._pipe.unlock()
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, self._read_fd, inheritable=False)
        os.dup2(null, self._write_fd, inheritable=False)
        os.close(null)


def _not_started(pipe: frames.Pipe, out: output.Output, failure: Exception) -> int:
    out.finish(out.log)
    code, text = fault.describe(failure, frames.E_INIT)
    pipe.write(frames.frame(0, frames.ERROR, frames.END, code, b"", text))
    return _START_FAILED


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


def _give_copies_their_own_chance() -> None:
    """Copies of one memory would draw the same numbers."""
    random = sys.modules.get("random")
    if random is not None:
        random.seed()
    ssl = sys.modules.get("ssl")
    if ssl is not None:
        ssl.RAND_add(os.urandom(32), 32.0)


class _Life:
    """Load, initialise, say hello, serve, end."""

    def __init__(self, spec: dict[str, Any], read_fd: int, pipe: frames.Pipe, out: output.Output) -> None:
        began = perf_counter_ns()
        self._out = out
        self._pipe = pipe
        self._spec = spec
        context.set_facts(spec, out.note)
        load.set_path(spec["code_dir"], spec["layer_dirs"])
        handler = load.find(spec["handler"], "handler")
        initializer = load.find(spec["initializer"], "initializer") if spec["initializer"] else None
        self._pre_stop = load.find(spec["pre_stop"], "pre-stop hook") if spec["pre_stop"] else None
        self._of = instance.Instance(read_fd, pipe, out, handler, spec["concurrency"])
        self._server = self._choose(handler)
        loaded = perf_counter_ns()
        if initializer is not None:
            self._call(initializer)
        self._import_us = (loaded - began) // 1000
        self._init_us = (perf_counter_ns() - loaded) // 1000

    def _choose(self, handler: load.Handler) -> Any:
        if load.is_async(handler):
            from . import coroutines

            self.mode = "async"
            return coroutines.Coroutines(self._of)
        if self._spec["concurrency"] > 1:
            from . import threads

            self.mode = "threads"
            return threads.Threads(self._of)
        self.mode = "blocking"
        return blocking.Blocking(self._of)

    def serve(self) -> int:
        """Until the node lets go."""
        hello = {
            "protocol": frames.PROTOCOL,
            "mode": self.mode,
            "importUs": self._import_us,
            "initUs": self._init_us,
            "pid": os.getpid(),
        }
        self._out.finish(self._out.log)
        self._pipe.write(frames.frame(0, frames.HELLO, 0, 0, json.dumps(hello).encode(), b""))
        try:
            self._server.serve()
        except blocking.Drained:
            self._stop()
        return _leave(self._out, 0)

    def _stop(self) -> None:
        if self._pre_stop is None:
            return
        try:
            self._call(self._pre_stop)
        except Exception as failure:
            _, text = fault.describe(failure)
            self._out.write(b"the pre-stop hook failed: " + text + b"\n")

    def _call(self, hook: Callable[..., Any]) -> None:
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


def _rehearse() -> None:
    """A small function's whole way, with a failure: what is touched, compiled and made here is shared by all copies."""
    requests, replies = os.pipe(), os.pipe()
    pipe = frames.Pipe(replies[1])
    out = output.Output(pipe)
    code = compile(_WARM_UP, "<warm-up>", "exec")
    space: dict[str, Any] = {}
    exec(code, space)
    served = instance.Instance(requests[0], pipe, out, space["handler"], 1)
    for stream, event in enumerate((b'{"n": 1}', b"{", b"bytes"), 1):
        os.write(requests[1], frames.frame(stream, frames.REQ, frames.END, 1000, b"1-warm-up", event))
    os.close(requests[1])
    blocking.Blocking(served).serve()
    for fd in (requests[0], *replies):
        os.close(fd)


_WARM_UP = """
import json

def handler(event, context):
    if event == b"bytes":
        return event
    with open("/dev/null") as nothing:
        nothing.read()
    return {"answer": json.loads(event), "id": context.request_id}
"""
