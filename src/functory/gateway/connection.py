"""One client connection: bytes in, one request at a time, bounded in size and time.

    HEAD ──whole head──→ BODY ──whole body──→ BUSY ──answered──→ HEAD …        any ──→ CLOSED
                                                └──upgraded──→ TUNNEL

Requests that arrive while one is answered wait in a bounded buffer (pipelining keeps its order); a client that sends
more than that is not read from. Times are kept by the server's sweep: a request only notes when it would be late.
"""

from __future__ import annotations

import asyncio
import http
from enum import IntEnum

from functory.gateway import answer
from functory.gateway import head as heads
from functory.gateway.asgi import AsgiCall
from functory.gateway.body import Collected, too_large
from functory.gateway.head import BadHead, Head
from functory.gateway.host import Host
from functory.gateway.incoming import Chunked, Counted
from functory.gateway.line import ClientLine
from functory.gateway.streaming import StreamSink
from functory.gateway.tunnel import Tunnel
from functory.model import errors
from functory.model.invocation import Outcome, ReplyStream, Sink
from functory.web import tls

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_WAITING_MAX = 128 * 1024
"""Bytes of further requests held while one is answered."""
_ACS3 = b"ACS3"


class Phase(IntEnum):
    """Where the connection stands."""

    HEAD = 0  #: waits for a request head
    BODY = 1  #: takes a request body
    BUSY = 2  #: a request is being answered
    CLOSED = 3
    TUNNEL = 4  #: upgraded: bytes both ways


class Connection(ClientLine):
    """Implements `calls.Client`."""

    __slots__ = (
        "_asgi",
        "_head",
        "_incoming",
        "_last",
        "_stream",
        "_tunnel",
        "_waiting",
        "keep_alive",
        "phase",
    )

    def __init__(self, server: Host, *, secure: bool = False) -> None:
        super().__init__(server, secure=secure)
        self.phase = Phase.HEAD
        self._waiting = b""
        self._last: Head | None = None
        self._head: Head | None = None
        self._incoming: Counted | Chunked | None = None
        self._stream: StreamSink | None = None
        self._asgi: AsgiCall | None = None
        self._tunnel: Tunnel | None = None
        self.keep_alive = True

    # --- transport ----------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._server.joined(self)
        if self._secure and not tls.is_allowed(transport.get_extra_info("ssl_object")):
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.phase = Phase.CLOSED
        super().connection_lost(exc)
        self._server.left(self)
        self._drop_body()
        if self._stream is not None:
            self._stream.client_gone()
        if self._asgi is not None:
            self._asgi.client_gone()
        if self._tunnel is not None:
            self._tunnel.client_gone()

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._stream is not None:
            self._stream.source.pause()
        elif self._tunnel is not None:
            self._tunnel.stream.pause()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._stream is not None:
            self._stream.source.resume()
        elif self._tunnel is not None:
            self._tunnel.stream.resume()

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
        body = self._server.collector(limit, hashed=head.call is not None and head.authorization.startswith(_ACS3))
        self._incoming = Chunked(body) if head.chunked else Counted(head, body)
        if head.expects_continue and not rest and self._transport is not None:
            self._transport.write(_CONTINUE)
        self._take_body(rest)

    def _take_body(self, data: bytes) -> None:
        incoming, head = self._incoming, self._head
        assert incoming is not None
        assert head is not None
        self.late_ns = self._server.now_ns() + self._server.body_timeout_ns
        try:
            done = incoming.feed(data)
        except (errors.FunctoryError, BadHead) as refused:
            self._drop_body()
            self.keep_alive = False
            self._unread = True
            self.phase = Phase.BUSY
            self._refuse_body(refused)
            return
        if incoming.rest is None:
            self.keep_alive = False
        elif incoming.rest:
            self._waiting = incoming.rest
        if done:
            self._incoming = None
            collected = incoming.body.finish()
            self._serve(head, collected.payload, collected)

    def _refuse_body(self, refused: Exception) -> None:
        if isinstance(refused, BadHead):
            self._bad(refused)
        elif isinstance(refused, errors.EntityTooLarge) and self._head is not None and self._head.bound is not None:
            self._server.calls.refuse(self, errors.InvalidArgument(refused.message))
        else:
            self._server.calls.refuse(self, refused)

    def _drop_body(self) -> None:
        if self._incoming is not None:
            self._incoming.body.drop()
        self._incoming = None

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

    def reply(self, data: bytes) -> None:
        transport = self._transport
        if transport is None:
            return
        transport.write(data)
        self.answered()

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
            self.phase = Phase.CLOSED
            self._end(transport)
            return
        self.phase = Phase.HEAD
        self.late_ns = self._server.idle_late_ns
        if self._waiting:
            transport.resume_reading()
            # By way of the loop: a long pipeline must not become a deep stack.
            self._server.loop.call_soon(self._next)

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

    def close_if_idle(self) -> bool:
        """Closes it if no request is being served; whether it did."""
        if self.phase is Phase.HEAD and self._transport is not None:
            self._transport.close()
            return True
        self.keep_alive = False
        return False
