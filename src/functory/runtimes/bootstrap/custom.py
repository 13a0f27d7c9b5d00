"""The supervisor of a program of the function's own: custom runtimes and go1.

    start the program → it listens on its port, or asks the runtime API → initializer → HELLO
    → requests there, answers back → DRAIN: pre-stop hook, SIGTERM, its end is ours

The program is a child of this process, which alone speaks to the node. What ends the program ends the instance, in the
same way: by the same exit code or signal.
"""

from __future__ import annotations

import json
import os
import socket
from time import perf_counter_ns

from . import backend, child, facts, frames, health, listening, loop, runtime_api, speakers, tunnel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

PORT_NAMES = ("FC_CUSTOM_LISTEN_PORT", "FC_SERVER_PORT", "PORT")
_FIRST_LOOK_S, _LAST_LOOK_S = 0.002, 0.025
"""Between two looks whether it listens: the first, and the longest."""
_WELL_KNOWN_LOOK_S = 0.1
_SERVER_READ_BYTES = 262144
_LAST_TALK_S = 0.25
"""How long before the node's limit the supervisor says itself what is missing."""


def serve(spec: dict[str, Any], read_fd: int, pipe: frames.Pipe) -> int:
    """An instance's whole life; its exit code."""
    supervisor = Supervisor(spec, read_fd, pipe)
    try:
        supervisor.start()
    except child.NotStarted as failure:
        return supervisor.refuse(str(failure))
    return supervisor.run()


class Supervisor:
    """One program and its requests."""

    def __init__(self, spec: dict[str, Any], read_fd: int, pipe: frames.Pipe) -> None:
        self._spec = spec
        self._program = spec["program"]
        self._read_fd = read_fd
        self._pipe = pipe
        self._began_ns = perf_counter_ns()
        self._loop = loop.Loop()
        self._inbox = frames.Inbox((frames.BODY, frames.CREDIT))
        self._headers = facts.Headers(spec)
        self._printed = child.Printed(self._loop, pipe)
        self._answers = speakers.Answers(pipe, self._printed, self._answered)
        self._api = runtime_api.RuntimeApi(self._loop, self._asks_for_events, self._api_answered)
        self._by_api = speakers.ApiSpeaker(self._api, self._headers, self._answers, spec["instance_id"])
        self._tunnels = tunnel.Tunnels(self._loop, self._answers)
        self._speaker: speakers.Speaker | None = None
        self._child: child.Child | None = None
        self._health: health.Health | None = None
        self._port = 0
        self._look_s = _FIRST_LOOK_S
        self._looked_s = 0.0
        self._open: dict[int, facts.Request] = {}
        self._draining_ms = -1
        self._ready = False

    # --- start --------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Runs the program; `NotStarted` says why that cannot be done."""
        self._port = self._choose_port()
        for name in PORT_NAMES:
            os.environ[name] = str(self._port)
        os.environ["FC_RUNTIME_API"] = self._api.address
        try:
            inside = "image" if self._spec.get("image") else "code"
            pid = child.start(self._program["command"], self._spec["code_dir"], self._printed.write_fd, inside)
        finally:
            self._printed.close_write_end()
        self._child = child.Child(self._loop, pid, self._ended)
        limit_s = self._spec["start_timeout_s"]
        if limit_s:
            self._loop.later(limit_s - _LAST_TALK_S, self._give_up)
        if self._program["serves_http"]:
            rules = self._program["health"]
            self._loop.later(max(self._look_s, rules["initial_delay_s"] if rules else 0), self._look)

    def _choose_port(self) -> int:
        """The port that the user fixed, or any free one."""
        fixed = self._program["port"]
        if not fixed and os.environ.get("PORT", "").isdigit():
            fixed = self._program["port"] = int(os.environ["PORT"])
        if fixed:
            if listening.is_taken(fixed) and self._program["serves_http"]:
                raise child.NotStarted(
                    f"port {fixed} is taken on this machine by another process: leave the port out of "
                    "customRuntimeConfig and listen on the one that the variable PORT names"
                )
            return int(fixed)
        with socket.socket() as any_port:
            any_port.bind((backend.HOST, 0))
            return int(any_port.getsockname()[1])

    def run(self) -> int:
        """Until the node lets go or the program ends."""
        os.set_blocking(self._read_fd, False)
        self._loop.watch(self._read_fd, loop.IN, self._readable)
        result = self._loop.run()
        return child.end_like(result) if result < 0x10000 else 0

    def refuse(self, why: str, code: int = frames.E_HANDLER) -> int:
        """The instance cannot start."""
        self._printed.flush()
        text = speakers.error_json(why, "FunctionNotStarted")
        self._pipe.write(frames.frame(0, frames.ERROR, frames.END, code, b"", text))
        return 1

    def _look(self) -> None:
        """Whether the server can be asked."""
        if self._speaker is not None or self._child is None:
            return
        if self._listens():
            self._server_is_up()
            return
        self._looked_s += self._look_s
        self._look_s = min(_LAST_LOOK_S, self._look_s * 1.5)
        self._loop.later(self._look_s, self._look)

    def _listens(self) -> bool:
        assert self._child is not None
        if self._program["port"]:
            ours = listening.is_ours(self._port, self._child.pid)
            return _answers(self._port) if ours is None else ours
        if _answers(self._port):
            return True
        if self._looked_s >= _WELL_KNOWN_LOOK_S:
            self._looked_s = 0
            if listening.is_ours(self._program["well_known"], self._child.pid):
                self._port = self._program["well_known"]
                return True
        return False

    def _server_is_up(self) -> None:
        server = backend.Backend(self._loop, self._port)
        rules = self._program["health"]
        speaker = speakers.HttpSpeaker(server, self._headers, self._answers, self._spec["instance_id"], self._tunnels)
        if rules:
            self._health = health.Health(self._loop, server, rules, self._unhealthy)
            self._health.wait(lambda: self._speaks(speaker))
        else:
            self._speaks(speaker)

    def _asks_for_events(self) -> None:
        """The program speaks the runtime API."""
        if self._speaker is None:
            self._speaks(self._by_api)

    def _speaks(self, speaker: speakers.Speaker) -> None:
        if self._speaker is not None:
            return
        self._speaker = speaker
        loaded_ns = perf_counter_ns()
        if self._spec["initializer"]:
            speaker.initialize(lambda failure: self._initialized(loaded_ns, failure))
        else:
            self._initialized(loaded_ns, b"")

    def _initialized(self, loaded_ns: int, failure: bytes) -> None:
        self._printed.drain()
        if failure:
            self._pipe.write(frames.frame(0, frames.ERROR, frames.END, frames.E_INIT, b"", failure))
            self._leave(1)
            return
        assert self._speaker is not None
        assert self._child is not None
        hello = {
            "protocol": frames.PROTOCOL,
            "mode": self._speaker.mode,
            "importUs": (loaded_ns - self._began_ns) // 1000,
            "initUs": (perf_counter_ns() - loaded_ns) // 1000,
            "pid": self._child.pid,
        }
        self._ready = True
        if self._health is not None:
            self._health.watch()
        self._pipe.write(frames.frame(0, frames.HELLO, 0, 0, json.dumps(hello).encode(), b""))

    def _give_up(self) -> None:
        if self._speaker is None:
            where = f"nothing listens on port {self._port}" if self._program["serves_http"] else ""
            asks = "the program did not ask the runtime API for its first event"
            why = f"{where}, and {asks}" if where else asks
            self._leave(self.refuse(f"{why}, after {self._spec['start_timeout_s']} s"))

    # --- requests -----------------------------------------------------------------------------------------------------

    def _readable(self, _: int) -> None:
        try:
            data = os.read(self._read_fd, _SERVER_READ_BYTES)
        except (BlockingIOError, InterruptedError):
            return
        if not data:
            raise frames.Gone
        for kind, stream, flags, meta, event, aux in self._inbox.feed(data):
            if kind == frames.REQ:
                request = self._open[stream] = facts.Request(stream, flags, meta, event, aux)
                self._printed.begin(stream, request.name.encode())
                assert self._speaker is not None
                self._speaker.begin(request)
            elif kind == frames.DRAIN:
                self._drain(aux)
            elif kind == frames.CREDENTIALS:
                self._headers.renew(event)
            elif kind == frames.BODY:
                self._tunnels.more(stream, event, last=bool(flags & frames.END))
            elif kind == frames.CREDIT:
                self._tunnels.credit(stream, aux)
            elif self._speaker is not None and not self._tunnels.cancel(stream):
                self._speaker.cancel(stream)

    def _answered(self, stream: int) -> None:
        self._open.pop(stream, None)
        if self._draining_ms >= 0 and not self._open:
            self._stop()

    def _api_answered(self, name: str, is_error: bool, body: bytes) -> None:
        self._by_api.answered(name, is_error, body)

    def _unhealthy(self, why: str) -> None:
        """The server fails its checks: those who wait are told, and the instance goes."""
        text = speakers.error_json(why, "HealthCheckFailed")
        for request in list(self._open.values()):
            self._answers.error(request, text)
        if not self._ready:
            self.refuse(why)
        self._leave(1)

    # --- the end ------------------------------------------------------------------------------------------------------

    def _drain(self, limit_ms: int) -> None:
        if self._draining_ms < 0:
            self._draining_ms = limit_ms
            if not self._open:
                self._stop()

    def _stop(self) -> None:
        if self._health is not None:
            self._health.stop()
        if self._spec["pre_stop"] and self._speaker is not None:
            self._speaker.pre_stop(self._stopped)
        else:
            self._stopped(b"")

    def _stopped(self, failure: bytes) -> None:
        self._printed.flush()
        if failure:
            text = b"the pre-stop hook failed: " + failure + b"\n"
            self._pipe.write(frames.frame(0, frames.LOG, 0, 0, b"", text))
        if self._child is None:
            self._loop.stop(0)
            return
        self._child.terminate()
        # The node kills what does not end in time; a program that ignores the signal must not hold it up so long.
        self._loop.later(min(1.0, self._draining_ms / 1000), lambda: self._loop.stop(0))

    def _ended(self, status: int) -> None:
        """The program has ended."""
        self._child = None
        self._printed.flush()
        if self._draining_ms >= 0:
            self._loop.stop(0)
        elif self._ready:
            self._loop.stop(status)
        elif self._speaker is None:
            where = f"before it listened on port {self._port}" if self._program["serves_http"] else "at once"
            tail = self._printed.tail.decode("utf-8", "replace").strip()
            last = f"; its last words: {tail}" if tail else ""
            self._leave(self.refuse(f"the program ended with {child.describe(status)} {where}{last}"))
        else:
            why = f"the program ended with {child.describe(status)} in its initializer"
            self._leave(self.refuse(why, frames.E_INIT))

    def _leave(self, code: int) -> None:
        if self._child is not None:
            self._child.kill()
        self._loop.stop(code << 8)


def _answers(port: int) -> bool:
    """Whether anybody accepts connections. Loopback says so at once."""
    with socket.socket() as probe:
        return probe.connect_ex((backend.HOST, port)) == 0
