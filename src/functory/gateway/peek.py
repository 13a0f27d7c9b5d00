"""A streamed answer of a trigger: its first piece decides what it is."""

from __future__ import annotations

from typing import Protocol

from functory.gateway import http_answer
from functory.gateway.head import Head
from functory.gateway.http_answer import BAD_ANSWER, Answer, BadAnswer
from functory.gateway.targets import Bound
from functory.gateway.tunnel import Line
from functory.model.invocation import ReplyStream, Sink
from functory.model.pieces import Pieces

NO_BODY = (204, 304)


class Client(Line, Protocol):
    """The connection that an answer goes to."""

    peer: str
    keep_alive: bool

    def reply(self, data: bytes) -> None:
        """Sends a whole answer and ends the request."""

    def open_stream(self, head: bytes, source: ReplyStream, *, chunked: bool) -> Sink:
        """Sends a head; the sink takes what follows."""


class Owner(Protocol):
    """Who answers in one piece: `http_trigger.HttpTriggers`."""

    def returned(self, client: Client, head: Head, bound: Bound, request_id: str, payload: bytes) -> None:
        """Answers with a whole return value."""

    def send(self, client: Client, head: Head, mapped: Answer, request_id: str, cors_lines: bytes) -> None:
        """Writes a whole answer."""


class Peek:
    """Looks at the first piece of a streamed answer, then passes all on. Implements `model.invocation.Sink`.

    A reply of known length that begins like a JSON object may be an answer in JSON, and is taken whole first.
    """

    __slots__ = ("_bound", "_client", "_done", "_head", "_kept", "_owner", "_request_id", "_sink", "_source")

    def __init__(
        self, owner: Owner, client: Client, head: Head, bound: Bound, request_id: str, source: ReplyStream
    ) -> None:
        self._owner = owner
        self._client = client
        self._head = head
        self._bound = bound
        self._request_id = request_id
        self._source = source
        self._sink: Sink | None = None
        self._kept: Pieces | None = None
        self._done = False
        """The client has its answer; what still comes is dropped."""

    def write(self, piece: bytes) -> None:
        if self._sink is not None:
            self._sink.write(piece)
        elif self._done:
            return
        elif self._kept is not None:
            self._kept.add(piece)
        elif piece:
            self._first(piece)

    def end(self, complete: bool) -> None:
        if self._done:
            return
        if self._sink is None and self._kept is None and complete:
            self._open(Answer(200, http_answer.BYTES, b""))  # nothing came
        if self._sink is not None:
            self._sink.end(complete)
        elif self._kept is not None and complete:
            self._owner.returned(self._client, self._head, self._bound, self._request_id, self._kept.joined())
        elif not self._client.gone:
            message = "the function ended before its answer did"
            broken = http_answer.failure(502, "UnhandledInvocationError", message, BAD_ANSWER, self._request_id)
            self._send_whole(broken)

    def _first(self, piece: bytes) -> None:
        if self._client.gone:
            self._source.cancel()
            return
        if self._source.size_bytes is not None and piece[:1] == b"{":
            self._kept = Pieces()
            self._kept.add(piece)
            return
        try:
            head = http_answer.head_of_stream(piece) if self._source.size_bytes is None else None
        except BadAnswer as bad:
            self._source.cancel()
            self._send_whole(http_answer.failure(502, BAD_ANSWER, str(bad), BAD_ANSWER, self._request_id))
            return
        if head is not None:
            self._open(head)
            piece = head.body
        else:
            self._open(Answer(200, self._kind(piece), b""))
        if piece and self._sink is not None:
            self._sink.write(piece)

    def _kind(self, piece: bytes) -> bytes:
        if self._source.size_bytes is None and b"text/event-stream" in self._head.get(b"accept"):
            return http_answer.EVENTS
        return http_answer.kind_of(piece)

    def _open(self, head: Answer) -> None:
        client, size = self._client, self._source.size_bytes
        chunked = size is None and client.keep_alive and self._head.version == "1.1"
        cors_lines = self._bound.cors_lines
        lines = http_answer.without_cors(head.lines) if cors_lines else head.lines
        first = http_answer.head(
            head._replace(lines=lines),
            self._request_id,
            cors_lines,
            length=size,
            keep_alive=client.keep_alive and (size is not None or chunked),
            chunked=chunked,
        )
        if self._head.method == "HEAD" or head.status in NO_BODY:
            self._source.cancel()
            self._done = True
            client.reply(first)
            return
        self._sink = client.open_stream(first, self._source, chunked=chunked)

    def _send_whole(self, whole: Answer) -> None:
        self._done = True
        self._owner.send(self._client, self._head, whole, self._request_id, self._bound.cors_lines)
