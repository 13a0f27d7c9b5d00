"""How a program is asked: as an HTTP server (`HttpSpeaker`), or by events that it fetches itself (`ApiSpeaker`).

Both carry the node's requests to the program and its answers back as frames, and call the hooks.
"""

from __future__ import annotations

import json

from . import backend, facts, fault, frames, runtime_api, web

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Protocol

    from . import child, tunnel

    class Speaker(Protocol):
        """One of the two."""

        mode: str

        def begin(self, request: facts.Request) -> None:
            """Carries a request to the program."""

        def cancel(self, stream: int) -> None:
            """Nobody wants this answer any more; a last frame for it is still sent."""

        def initialize(self, done: Done) -> None:
            """Calls the initializer."""

        def pre_stop(self, done: Done) -> None:
            """Calls the pre-stop hook."""

    Done = Callable[[bytes], None]
    """Told the error JSON of a hook, or nothing if it went well."""

_HOOK_MS = 3_000


class Answers:
    """Sends what comes back. `on_answered` hears of each request's end."""

    def __init__(self, pipe: frames.Pipe, printed: child.Printed, on_answered: Callable[[int], None]) -> None:
        self._pipe = pipe
        self._printed = printed
        self._on_answered = on_answered

    def whole(self, request: facts.Request, body: bytes) -> None:
        """An answer in one piece."""
        self._printed.finish(request.stream)
        if len(body) > frames.REPLY_BYTES:
            self.error(
                request, error_json(f"the answer has {len(body)} bytes, the limit is {frames.REPLY_BYTES}", "TooLarge")
            )
            return
        self._pipe.write_all(frames.answer(request.stream, 0, request.elapsed_us(), body))
        self._on_answered(request.stream)

    def error(self, request: facts.Request, payload: bytes) -> None:
        """The function failed."""
        self._printed.finish(request.stream)
        self._pipe.write(frames.frame(request.stream, frames.ERROR, frames.END, frames.E_UNHANDLED, b"", payload))
        self._on_answered(request.stream)

    def begin_two_way(self, request: facts.Request, head: bytes) -> None:
        """The answer's head; what follows are the bytes of a connection, both ways."""
        self._pipe.write(frames.frame(request.stream, frames.RESP, frames.TWO_WAY, 0, b"", head))

    def credit(self, request: facts.Request, count: int) -> None:
        """So many bytes of the node's side were passed on."""
        self._pipe.write(frames.frame(request.stream, frames.CREDIT, 0, count, b"", b""))

    def piece(self, request: facts.Request, data: bytes, *, first: bool, last: bool, length: int | None) -> None:
        """Some of an answer that flows."""
        if last:
            self._printed.finish(request.stream)
        else:
            self._printed.drain()
        for at in range(0, max(1, len(data)), frames.PIECE_BYTES):
            end = frames.END if last and at + frames.PIECE_BYTES >= len(data) else 0
            kind = frames.RESP if first else frames.BODY
            meta = length.to_bytes(8, "little") if first and length is not None else b""
            self._pipe.write(frames.frame(request.stream, kind, end, 0, meta, data[at : at + frames.PIECE_BYTES]))
            first = False
        if last:
            self._on_answered(request.stream)


class HttpSpeaker:
    """The program is an HTTP server."""

    mode = "http"

    def __init__(
        self,
        server: backend.Backend,
        headers: facts.Headers,
        answers: Answers,
        name: str,
        tunnels: tunnel.Tunnels,
    ) -> None:
        self._server = server
        self._tunnels = tunnels
        self._headers = headers
        self._answers = answers
        self._name = name
        self._open: dict[int, tuple[facts.Request, backend.Answer]] = {}
        self._host = f"{backend.HOST}:{server.port}".encode()

    def begin(self, request: facts.Request) -> None:
        """POST /invoke; a request of an HTTP trigger as it came."""
        if request.facts.get("http"):
            self._begin_web(request)
            return
        head = self._head(b"POST", b"/invoke", b"/invoke", len(request.event), self._headers.of_request(request))
        relay = _Relay(request, self._answers, lambda: self._open.pop(request.stream, None))
        self._open[request.stream] = (request, self._server.send(head, request.event, relay.news))

    def _begin_web(self, request: facts.Request) -> None:
        upgrade = bool(request.facts.get("upgrade"))
        asked = web.Asked(request.event, upgrade=upgrade)
        head = asked.head + self._headers.of_request(request) + b"x-fc-control-path: /http-invoke\r\n"
        if upgrade:
            self._tunnels.open(request, self._server.port, head, WebRelay(request, self._answers, lambda: None))
            return
        relay = WebRelay(request, self._answers, lambda: self._open.pop(request.stream, None))
        self._open[request.stream] = (request, self._server.send(head, asked.body, relay.news))

    def cancel(self, stream: int) -> None:
        """Closes the connection: that is how a server hears of it."""
        found = self._open.pop(stream, None)
        if found is not None:
            self._server.drop(found[1])
            self._answers.error(found[0], error_json("the request was cancelled", "Cancelled"))

    def initialize(self, done: Done) -> None:
        """POST /initialize."""
        self._hook(b"POST", b"/initialize", done)

    def pre_stop(self, done: Done) -> None:
        """GET /pre-stop."""
        self._hook(b"GET", b"/pre-stop", done)

    def _hook(self, method: bytes, path: bytes, done: Done) -> None:
        told = b"x-fc-request-id: " + self._name.encode() + b"\r\n" + self._headers.constant
        pieces: list[bytes] = []

        def news(answer: backend.Answer) -> None:
            if answer.failure:
                done(error_json(f"{path.decode()} failed: {answer.failure}", "HookFailed"))
                return
            pieces.append(answer.take())
            if answer.whole:
                body = b"".join(pieces)[: fault.ERROR_BYTES]
                why = f"{path.decode()} answered HTTP {answer.status}"
                done(b"" if 200 <= answer.status < 300 else as_error(body, why, "HookFailed"))

        self._server.send(self._head(method, path, path, 0, told), b"", news)

    def _head(self, method: bytes, path: bytes, control: bytes, length: int, told: bytes) -> bytes:
        return b"".join(
            (
                *(method, b" ", path, b" HTTP/1.1\r\nhost: ", self._host, b"\r\n", told),
                *(b"x-fc-control-path: ", control, b"\r\ncontent-type: application/octet-stream\r\n"),
                b"content-length: %d\r\n" % length,
            )
        )


class _Relay:
    """One answer of the server on its way to the node."""

    def __init__(self, request: facts.Request, answers: Answers, on_end: Callable[[], Any]) -> None:
        self._request = request
        self._answers = answers
        self._on_end = on_end
        self._begun = False
        self._error = b""

    def news(self, answer: backend.Answer) -> None:
        """More has come."""
        if answer.failure:
            self._on_end()
            self._answers.error(
                self._request, error_json(f"the function's server failed: {answer.failure}", "ServerFailed")
            )
        elif answer.status < 200:
            return
        elif _is_failure(answer) and not self._begun:
            self._failing(answer)
        elif answer.whole and not self._begun:
            self._on_end()
            self._answers.whole(self._request, answer.take())
        elif self._begun or answer.length is None or answer.length > frames.INLINE_BYTES:
            self._flow(answer)

    def _flow(self, answer: backend.Answer) -> None:
        data = answer.take()
        if not data and not answer.whole:
            return
        first, self._begun = not self._begun, True
        if answer.whole:
            self._on_end()
        self._answers.piece(self._request, data, first=first, last=answer.whole, length=answer.length)

    def _failing(self, answer: backend.Answer) -> None:
        self._error = (self._error + answer.take())[: fault.ERROR_BYTES]
        if answer.whole:
            self._on_end()
            said = "x-fc-status" in answer.headers
            kind = "FunctionError" if said or answer.status == 404 else f"HttpStatus{answer.status}"
            why = f"the function's server answered HTTP {answer.status}"
            self._answers.error(self._request, as_error(self._error, why, kind))


class WebRelay:
    """The answer to a request of an HTTP trigger: a head as the gateway takes it, then the body as it comes."""

    def __init__(self, request: facts.Request, answers: Answers, on_end: Callable[[], Any]) -> None:
        self._request = request
        self._answers = answers
        self._on_end = on_end
        self._begun = False

    def news(self, answer: backend.Answer) -> None:
        """More has come."""
        if answer.failure:
            self._on_end()
            why = f"the function's server failed: {answer.failure}"
            self._answers.error(self._request, error_json(why, "ServerFailed"))
            return
        if answer.status < 200:
            return
        if not self._begun:
            self._begun = True
            head = web.head(answer.status, answer.headers)
            self._answers.piece(self._request, head, first=True, last=False, length=None)
        data = answer.take()
        if answer.whole:
            self._on_end()
        if data or answer.whole:
            self._answers.piece(self._request, data, first=False, last=answer.whole, length=None)


def _is_failure(answer: backend.Answer) -> bool:
    """By `x-fc-status` if the server says it, otherwise by the status: 404 officially, and all from 400 on here."""
    said = answer.headers.get("x-fc-status", "")
    if said:
        return said != "200"
    return answer.status >= 400


class ApiSpeaker:
    """The program fetches its events over the runtime API."""

    mode = "api"

    def __init__(self, api: runtime_api.RuntimeApi, headers: facts.Headers, answers: Answers, name: str) -> None:
        self._api = api
        self._headers = headers
        self._answers = answers
        self._name = name
        self._open: dict[str, facts.Request] = {}
        self._hooks: dict[str, Done] = {}

    def begin(self, request: facts.Request) -> None:
        """An event for whoever asks next."""
        if request.facts.get("upgrade"):
            why = "WebSockets need a server that listens; this program asks the runtime API for its events"
            self._answers.error(request, error_json(why, "UpgradeNotSupported"))
            return
        if request.name in self._open:
            # Two attempts at once: the program answers by this name, so the second needs one of its own.
            request.name += f"~{request.stream}"
        head = self._headers.of_event(request.name, runtime_api.INVOKE, request.left_ms, request)
        self._open[request.name] = request
        self._api.put(request.name, head, request.event)

    def answered(self, name: str, is_error: bool, body: bytes) -> None:
        """What the program posted."""
        hook = self._hooks.pop(name, None)
        if hook is not None:
            hook(as_error(body[: fault.ERROR_BYTES], "the hook failed", "HookFailed") if is_error else b"")
            return
        request = self._open.pop(name)
        if is_error:
            why = "the function failed"
            self._answers.error(request, as_error(body[: fault.ERROR_BYTES], why, "FunctionError"))
        else:
            self._answers.whole(request, body)

    def cancel(self, stream: int) -> None:
        """Its answer, should one come, is refused."""
        for name, request in list(self._open.items()):
            if request.stream == stream:
                del self._open[name]
                self._api.drop(name)
                self._answers.error(request, error_json("the request was cancelled", "Cancelled"))

    def initialize(self, done: Done) -> None:
        """An event of type 1."""
        self._hook("initialize", runtime_api.INITIALIZER, done)

    def pre_stop(self, done: Done) -> None:
        """An event of type 2."""
        self._hook("pre-stop", runtime_api.PRE_STOP, done)

    def _hook(self, what: str, kind: int, done: Done) -> None:
        name = f"{self._name}-{what}"
        self._hooks[name] = done
        self._api.put(name, self._headers.of_event(name, kind, _HOOK_MS), b"")


def error_json(message: str, kind: str) -> bytes:
    """The official error JSON of a failure that was noticed here."""
    return json.dumps({"errorMessage": message, "errorType": kind, "stackTrace": []}).encode()


def as_error(body: bytes, why: str, kind: str) -> bytes:
    """What the program said about its failure, as error JSON: its own if it is one, wrapped otherwise."""
    try:
        if isinstance(json.loads(body), dict):
            return body
    except (ValueError, RecursionError):
        pass
    text = body.decode("utf-8", "replace").strip()
    return error_json(f"{why}: {text}" if text else why, kind)
