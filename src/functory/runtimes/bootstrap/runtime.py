"""The Python runtime: what an instance does from the fork to its end."""

from __future__ import annotations

import gc
import os
import sys

from . import blocking, frames, fresh, instance, life, logs, output

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, NoReturn

    from . import snapshot


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
        fresh.draw_anew()
        if spec["program"]:
            from . import custom

            return life.guarded(lambda: int(custom.serve(spec, self._read_fd, pipe)), out)
        return life.live(lambda: life.Life(spec, self._read_fd, pipe, out).begin(), pipe, out)

    def prepare(self, spec: dict[str, Any]) -> snapshot.Snapshot | int:
        """Loads and initialises `spec` for a template; its exit code if that fails, which is told."""
        from . import snapshot

        self._out.raw_fd = -1
        gc.enable()
        return snapshot.take(spec, self._read_fd, self._pipe, self._out)

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

def handler(event, context):
    if event == b"bytes":
        return event
    with open("/dev/null") as nothing:
        nothing.read()
    return {"answer": json.loads(event), "id": context.request_id}
"""
