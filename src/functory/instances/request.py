"""A request on its way into an instance: one frame if it is small, pieces otherwise."""

from __future__ import annotations

import msgspec

from functory.instances.channel import Channel
from functory.model.invocation import Body, Invocation, Kind
from functory.runtimes import wire

_REQ = int(wire.Type.REQ)
_BODY = int(wire.Type.BODY)
_END = int(wire.Flag.END)
_META = int(wire.Flag.META)
_INLINE = wire.INLINE_BYTES
_PIECE = wire.PIECE_BYTES
_pack = wire.HEADER.pack


def send(channel: Channel, stream: int, invocation: Invocation, left_ms: int, *, tell_kind: bool = False) -> None:
    """Sends the invocation. A payload in a file is pumped as the instance reads it.

    `tell_kind`: the instance wants to know what came from an HTTP trigger.
    """
    meta = invocation.request_id.encode()
    flags = _END
    if invocation.attempt > 1 or invocation.trace_parent or tell_kind:
        flags |= _META
        facts = {"attempt": invocation.attempt, "traceParent": invocation.trace_parent}
        if tell_kind:
            facts["http"] = invocation.kind is Kind.HTTP
            if invocation.upgrade:
                facts["upgrade"] = True
        meta += b"\0" + msgspec.json.encode(facts)
    payload = invocation.payload
    if invocation.body is not None:
        _Pump(channel, stream, invocation.body, meta, flags & ~_END, left_ms).run()
    elif len(payload) <= _INLINE:
        channel.send(_pack(len(meta) + len(payload), stream, len(meta), _REQ, flags, left_ms) + meta + payload)
    else:
        _send_large(channel, stream, payload, meta, flags & ~_END, left_ms)


def _send_large(channel: Channel, stream: int, payload: bytes, meta: bytes, flags: int, left_ms: int) -> None:
    view = memoryview(payload)
    pieces: list[bytes | memoryview] = [
        _pack(len(meta) + _PIECE, stream, len(meta), _REQ, flags, left_ms) + meta,
        view[:_PIECE],
    ]
    for start in range(_PIECE, len(payload), _PIECE):
        piece = view[start : start + _PIECE]
        last = _END if start + _PIECE >= len(payload) else 0
        pieces += (_pack(len(piece), stream, 0, _BODY, last, 0), piece)
    channel.send_pieces(pieces)


class _Pump:
    """Sends a payload from its file, as fast as the instance reads."""

    def __init__(self, channel: Channel, stream: int, body: Body, meta: bytes, flags: int, left_ms: int) -> None:
        self._channel = channel
        self._stream = stream
        self._body = body
        self._offset = min(_PIECE, body.size_bytes)
        first = body.read_at(0, _PIECE)
        head = _pack(len(meta) + len(first), stream, len(meta), _REQ, flags, left_ms) + meta
        channel.send(head + first)

    def run(self) -> None:
        """Sends until the pipe is full; called again when it has room."""
        while not self._channel.full:
            piece = self._body.read_at(self._offset, _PIECE)
            self._offset += len(piece)
            last = self._offset >= self._body.size_bytes
            self._channel.send(_pack(len(piece), self._stream, 0, _BODY, _END if last else 0, 0) + piece)
            if last:
                self._channel.when_room(None)
                self._body.close()
                return
        self._channel.when_room(self.run)
