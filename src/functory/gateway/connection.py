"""One client connection: bytes in, one request at a time, bounded in size and time.

    HEAD ──whole head──→ BODY ──whole body──→ BUSY ──answered──→ HEAD …        any ──→ CLOSED
                                                └──upgraded──→ TUNNEL

Requests that arrive while one is answered wait in a bounded buffer (pipelining keeps its order); a client that sends
more than that is not read from. Times are kept by the server's sweep: a request only notes when it would be late.
"""

from __future__ import annotations

import asyncio
import http
from collections.abc import Callable
from enum import IntEnum
from typing import Protocol, cast

from functory.gateway import answer
from functory.gateway import head as heads
from functory.gateway.asgi import AsgiApp, AsgiCall
from functory.gateway.body import BodyCollector, Collected, too_large
from functory.gateway.calls import Calls
from functory.gateway.chunks import Chunks
from functory.gateway.head import BadHead, Head
from functory.gateway.http_trigger import HttpTriggers
from functory.gateway.streaming import StreamSink
from functory.gateway.targets import Targets
from functory.gateway.tunnel import Tunnel
from functory.model import errors
from functory.model.invocation import Outcome, ReplyStream, Sink
from functory.web import tls

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_WAITING_MAX = 128 * 1024
"""Bytes of further requests held while one is answered."""
_ACS3 = b"ACS3"
LINGER_NS = 2_000_000_000
"""How long a refused client's remaining bytes are read and dropped."""


class Phase(IntEnum):
    """Where the connection stands."""

    HEAD = 0  #: waits for a request head
    BODY = 1  #: takes a request body
    BUSY = 2  #: a request is being answered
    CLOSED = 3
    TUNNEL = 4  #: upgraded: bytes both ways


class Host(Protocol):
    """What a connection needs of its server."""

    calls: Calls
    targets: Targets
    triggers: HttpTriggers
    app: AsgiApp
    loop: asyncio.AbstractEventLoop
    address: tuple[str, int]
    now_ns: Callable[[], int]
    new_request_id: Callable[[], str]
    stopping: bool
    head_timeout_ns: int
    body_timeout_ns: int
    idle_late_ns: int
    tunnel_idle_ns: int
    small_max: int

    def joined(self, connection: Connection) -> None:
        """A client came."""

    def left(self, connection: Connection) -> None:
        """A client went."""

    def body_limit(self, head: Head) -> int:
        """How large this request's body may be."""

    def collector(self, limit_bytes: int, *, hashed: bool) -> BodyCollector:
        """A new body."""


class Connection(asyncio.Protocol):
    """Implements `calls.Client`."""

    __slots__ = (
        "_asgi",
        "_body",
        "_chunks",
        "_head",
        "_last",
        "_left",
        "_paused",
        "_secure",
        "_server",
        "_stream",
        "_transport",
        "_tunnel",
        "_unread",
        "_waiting",
        "keep_alive",
        "late_ns",
        "peer",
        "phase",
        "write_room",
    )

    def __init__(self, server: Host, *, secure: bool = False) -> None:
        self._server = server
        self._secure = secure
        self._transport: asyncio.Transport | None = None
        self.phase = Phase.HEAD
        self.peer = ""
        self.late_ns = 0
        """When, on the monotonic clock, the client has taken too long; 0 while it waits for us."""
        self._waiting = b""
        self._last: Head | None = None
        self._head: Head | None = None
        self._left = 0
        self._body: BodyCollector | None = None
        self._chunks: Chunks | None = None
        self._stream: StreamSink | None = None
        self._asgi: AsgiCall | None = None
        self._tunnel: Tunnel | None = None
        self._paused = False
        self._unread = False
        self.keep_alive = True
        self.write_room: asyncio.Future[None] | None = None

    # --- transport ----------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        peer = transport.get_extra_info("peername")
        self.peer = str(peer[0]) if isinstance(peer, tuple) else "local"
        self._server.joined(self)
        if self._secure and not tls.is_allowed(transport.get_extra_info("ssl_object")):
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.phase = Phase.CLOSED
        self._transport = None
        self._server.left(self)
        self._drop_body()
        if self._stream is not None:
            self._stream.client_gone()
        if self._asgi is not None:
            self._asgi.client_gone()
        if self._tunnel is not None:
            self._tunnel.client_gone()
        self._let_write()

    def pause_writing(self) -> None:
        self._paused = True
        if self._stream is not None:
            self._stream.source.pause()
        elif self._tunnel is not None:
            self._tunnel.stream.pause()

    def resume_writing(self) -> None:
        self._paused = False
        if self._stream is not None:
            self._stream.source.resume()
        elif self._tunnel is not None:
            self._tunnel.stream.resume()
        self._let_write()

    def _let_write(self) -> None:
        if self.write_room is not None and not self.write_room.done():
            self.write_room.set_result(None)
        self.write_room = None

    # --- bytes in -----------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        phase = self.phase
        if phase is Phase.HEAD:
            self._take_head(self._waiting + data if self._waiting else data)
        elif phase is Phase.BODY:
            self._take_body(data)
        elif phase is Phase.BUSY:
            self._waiting += data
            if len(self._waiting) > _WAITING_MAX and self._transport is not None:
                self._transport.pause_reading()
        elif phase is Phase.TUNNEL and self._tunnel is not None:
            self.late_ns = self._server.now_ns() + self._server.tunnel_idle_ns
            self._tunnel.take(data)

    def eof_received(self) -> bool:
        """The client sends no more; whether the connection stays open for what it still reads."""
        if self.phase is not Phase.TUNNEL or self._tunnel is None or self._secure:
            return False  # TLS has no half-closed connections
        self._tunnel.client_ended()
        return True

    def _take_head(self, data: bytes) -> None:
        head = self._last
        if head is None or not data.startswith(head.raw):
            end = data.find(heads.END)
            if end < 0 or end > heads.HEAD_MAX_BYTES:
                if len(data) > heads.HEAD_MAX_BYTES:
                    self._bad(BadHead(431, f"the request head is longer than {heads.HEAD_MAX_BYTES} bytes"))
                    return
                self._wait_for_head(data)
                return
            try:
                head = heads.parse(data[: end + 4])
            except BadHead as bad:
                self._bad(bad)
                return
            self._last = head
            targets = self._server.targets
            if head.call is None or targets.by_host:
                targets.bind(head, self.peer, secure=self._secure)
        start = len(head.raw)
        need = head.content_length
        self._head = head
        self.keep_alive = head.keep_alive and not self._server.stopping
        if not head.chunked and len(data) - start >= need and need <= self._server.small_max:
            # The usual case: the whole request is here.
            self._waiting = data[start + need :] if len(data) - start > need else b""
            self._serve(head, data[start : start + need], None)
            return
        self._begin_body(head, data[start:])

    def _wait_for_head(self, data: bytes) -> None:
        # A head that is dripped in does not get more time with each drop.
        if not self._waiting:
            self.late_ns = self._server.now_ns() + self._server.head_timeout_ns
        self._waiting = data

    # --- body ---------------------------------------------------------------------------------------------------------

    def _begin_body(self, head: Head, rest: bytes) -> None:
        limit = self._server.body_limit(head)
        if head.content_length > limit:
            self.keep_alive = False
            self._unread = True
            self._refuse_body(too_large(limit))
            return
        self._waiting = b""
        self.phase = Phase.BODY
        self._body = self._server.collector(
            limit, hashed=head.call is not None and head.authorization.startswith(_ACS3)
        )
        self._left = head.content_length
        self._chunks = Chunks(head, self._body) if head.chunked else None
        if head.expects_continue and not rest and self._transport is not None:
            self._transport.write(_CONTINUE)
        self._take_body(rest)

    def _take_body(self, data: bytes) -> None:
        body, head = self._body, self._head
        assert body is not None
        assert head is not None
        self.late_ns = self._server.now_ns() + self._server.body_timeout_ns
        try:
            if self._chunks is not None:
                done = self._chunks.feed(data)
                if self._chunks.more:
                    # Where a chunked body ends inside a read is the parser's secret: such a connection ends here.
                    self.keep_alive = False
            else:
                piece = data if len(data) <= self._left else data[: self._left]
                self._left -= len(piece)
                body.add(piece)
                done = self._left == 0
                if len(piece) < len(data):
                    self._waiting = data[len(piece) :]
        except (errors.FunctoryError, BadHead) as refused:
            self._drop_body()
            self.keep_alive = False
            self._unread = True
            self.phase = Phase.BUSY
            self._refuse_body(refused)
            return
        if done:
            self._body = self._chunks = None
            collected = body.finish()
            self._serve(head, collected.payload, collected)

    def _refuse_body(self, refused: Exception) -> None:
        if isinstance(refused, BadHead):
            self._bad(refused)
        elif isinstance(refused, errors.EntityTooLarge) and self._head is not None and self._head.bound is not None:
            self._server.calls.refuse(self, errors.InvalidArgument(refused.message))
        else:
            self._server.calls.refuse(self, refused)

    def _drop_body(self) -> None:
        if self._body is not None:
            self._body.drop()
        self._body = self._chunks = None

    # --- serving ------------------------------------------------------------------------------------------------------

    def _serve(self, head: Head, payload: bytes, collected: Collected | None) -> None:
        self.phase = Phase.BUSY
        self.late_ns = 0
        body, digest = (collected.body, collected.sha256) if collected is not None else (None, "")
        if head.call is not None:
            self._server.calls.call(self, head, payload, body, digest)
            return
        targets = self._server.targets
        if head.bound_generation != targets.generation:
            targets.bind(head, self.peer, secure=self._secure)
        if head.bound is not None:
            self._server.triggers.call(self, head, payload, body)
        else:
            self._asgi = AsgiCall(self, head, payload, body, self._server.app, self._server.address)
            self._asgi.run(self._server.loop)

    def _bad(self, bad: BadHead) -> None:
        """The bytes cannot be understood, so nothing after them can be either: answer and close."""
        self.keep_alive = False
        self._unread = True
        self.phase = Phase.BUSY
        request_id = self._server.new_request_id()
        body = b'{"Code":"InvalidArgument","Message":"%b","RequestId":"%b"}' % (
            bad.message.replace("\\", "\\\\").replace('"', "'").encode("ascii", "replace"),
            request_id.encode(),
        )
        headers = [(b"content-type", b"application/json"), (b"x-fc-request-id", request_id.encode())]
        reason = http.HTTPStatus(bad.status).phrase
        self.reply(answer.small(bad.status, reason, headers, body, keep_alive=False))

    # --- answers (calls.Client) ---------------------------------------------------------------------------------------

    @property
    def gone(self) -> bool:
        return self._transport is None

    @property
    def writing_paused(self) -> bool:
        """The client is slow."""
        return self._paused

    def reply(self, data: bytes) -> None:
        transport = self._transport
        if transport is None:
            return
        transport.write(data)
        self.answered()

    def write(self, data: bytes) -> None:
        """Part of an answer."""
        if self._transport is not None:
            self._transport.write(data)

    def stream_to(self, head: bytes, outcome: Outcome, *, chunked: bool) -> None:
        assert outcome.stream is not None
        outcome.stream.start(self.open_stream(head, outcome.stream, chunked=chunked))

    def open_stream(self, head: bytes, source: ReplyStream, *, chunked: bool) -> Sink:
        """Sends a head; the sink takes what follows, and `source` is paused while the client is slow."""
        if not chunked and source.size_bytes is None:
            self.keep_alive = False
        self.write(head)
        self._stream = StreamSink(self, source, chunked=chunked)
        if self._paused:
            source.pause()
        return self._stream

    def answered(self) -> None:
        """The answer is sent: go on with the next request, or close."""
        transport = self._transport
        self._stream = None
        self._asgi = None
        if transport is None:
            return
        if not self.keep_alive:
            self._close(transport)
            return
        self.phase = Phase.HEAD
        self.late_ns = self._server.idle_late_ns
        if self._waiting:
            transport.resume_reading()
            # By way of the loop: a long pipeline must not become a deep stack.
            self._server.loop.call_soon(self._next)

    def _close(self, transport: asyncio.Transport) -> None:
        self.phase = Phase.CLOSED
        if not self._unread:
            transport.close()
            return
        # A close with unread bytes resets the connection, and the client may lose the answer: say that this was all,
        # and read on for a moment without keeping anything.
        if not transport.can_write_eof():
            transport.close()  # TLS has no half-closed connections
            return
        transport.write_eof()
        self.late_ns = self._server.now_ns() + LINGER_NS

    def _next(self) -> None:
        if self.phase is Phase.HEAD and self._waiting:
            data, self._waiting = self._waiting, b""
            self._take_head(data)

    # --- upgraded (tunnel.Line) ---------------------------------------------------------------------------------------

    def switch(self, head: bytes, tunnel: Tunnel) -> None:
        if self._transport is None:
            tunnel.client_gone()
            return
        self.phase, self.keep_alive, self._tunnel = Phase.TUNNEL, False, tunnel
        self.tunnel_write(head)
        if self._paused:
            tunnel.stream.pause()
        self._transport.resume_reading()
        early, self._waiting = self._waiting, b""
        if early:
            tunnel.take(early)

    def tunnel_write(self, data: bytes) -> None:
        if self._transport is not None:
            self.late_ns = self._server.now_ns() + self._server.tunnel_idle_ns
            self._transport.write(data)

    def tunnel_end(self) -> None:
        self._tunnel = None
        if self._transport is not None:
            self.phase = Phase.CLOSED
            self.late_ns = self._server.now_ns() + self._server.body_timeout_ns
            self._transport.close()

    def hold(self, held: bool) -> None:
        if self._transport is not None:
            if held:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    def abort(self) -> None:
        """Ends the connection at once."""
        if self._transport is not None:
            self._transport.abort()

    def close_if_idle(self) -> bool:
        """Closes it if no request is being served; whether it did."""
        if self.phase is Phase.HEAD and self._transport is not None:
            self._transport.close()
            return True
        self.keep_alive = False
        return False
