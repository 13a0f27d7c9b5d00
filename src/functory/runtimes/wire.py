"""The frames between the node and an instance: bytes only, no sockets.

     0        4        8     10   11   12       16
     | length | stream | mlen |type|flag|  aux   | meta (mlen bytes) | payload (length - mlen bytes)
       u32      u32      u16    u8   u8   u32      little-endian

`length` counts the bytes after the header. `stream` names a request on this channel and is never reused while open;
stream 0 is the instance itself. The channel is two pipes, one each way. `runtimes/bootstrap/python.py` holds the same
numbers (it imports nothing of ours); a test compares them.

What the node sends
    REQ     a request. meta = request id (ASCII), then, if flag META is set, a NUL and a JSON object
            {"attempt": int, "traceParent": str, "http": bool, "upgrade": bool}; http (told to programs only) = it came
            from an HTTP trigger, upgrade = its client wants to go on in both directions (WebSocket); aux = milliseconds
            left. Whole payload in this frame if it is at most INLINE_BYTES and flag END is set; otherwise the payload
            is the first piece and BODY frames follow, the last with END. An instance that runs one request at a time
            reads them in order.
    CANCEL  the caller of `stream` is gone; an instance may stop early, and still answers.
    CREDENTIALS  stream 0: payload = JSON {"accessKeyId", "accessKeySecret", "securityToken"}: the function's temporary
            credentials from now on.
    DRAIN   stream 0: run the pre-stop hook, then exit. aux = milliseconds it may take.

What an instance sends
    HELLO   stream 0, once, when code is loaded and the initializer has run. meta = JSON
            {"protocol": 1, "mode": "blocking" | "async" | "threads" | "http" | "api", "importUs": int, "initUs": int,
            "pid": int}; pid is the program's where the instance runs one. A template says "mode": "template"; a copy of
            one adds "restoreUs": int, what being an instance of its own took, and loading took it nothing.
    RESP    the answer of `stream`. aux = execution time in µs (information only). With END the payload is the whole
            answer. Without END, BODY frames follow; meta is the total length as 8 bytes, or empty if unknown.
    ERROR   the function failed: payload = error JSON; aux = an `ErrorCode`. Always END. On stream 0 before HELLO:
            the code could not be loaded or the initializer failed (ErrorCode INIT or HANDLER).
    BODY    more of a RESP, at most PIECE_BYTES; END on the last.
    CREDIT  both ways, on a stream that is two-way: aux = so many bytes more may be sent.
    LOG     text printed during `stream` (0: outside any request). Never END.
    NOTE    how far `stream` is: payload = JSON of at most NOTE_BYTES. Never END; for a request that is over, ignored.

Flag TWO_WAY on a RESP without END, only if the request said upgrade: from now on BODY frames go both ways, as bytes of
one connection. Each side begins with WINDOW_BYTES to send, and gets more by CREDIT once the other has passed them on,
so that a slow end is waited for without stopping the channel. END = that side sends no more; the instance's ends all.

Flag RAW_LOG on RESP and ERROR: something was written to the raw descriptors 1 or 2 during the request and may still lie
in the log pipe; the node reads that first, so that the lines go to the right request.

Everything an instance sends is hostile until checked: a frame longer than MAX_FRAME_BYTES, an unknown type or stream is
the end of the instance.
"""

from __future__ import annotations

import struct
from enum import IntEnum, IntFlag

PROTOCOL = 1
HEADER = struct.Struct("<IIHBBI")
HEADER_BYTES = HEADER.size

INLINE_BYTES = 65536
"""A payload up to this size travels in its REQ or RESP frame."""
PIECE_BYTES = 65536
"""The most one BODY frame carries."""
WINDOW_BYTES = 262144
"""What either side of a two-way stream may send before it is given credit."""
NOTE_BYTES = 4096
"""The longest payload of a NOTE; a longer one is ignored."""
MAX_FRAME_BYTES = 1 << 20
"""The longest frame (after its header) that either side accepts."""


class Type(IntEnum):
    """Frame types. The numbers are the protocol's; gaps are taken by types of later runtimes."""

    HELLO = 0
    REQ = 1
    RESP = 2
    BODY = 3
    ERROR = 5
    CANCEL = 6
    CREDIT = 7
    LOG = 9
    DRAIN = 10
    NOTE = 13
    CREDENTIALS = 14


class Flag(IntFlag):
    """Frame flags."""

    END = 1
    META = 4
    RAW_LOG = 16
    TWO_WAY = 32


class ErrorCode(IntEnum):
    """The `aux` of an ERROR frame."""

    HANDLER = 1  #: the handler could not be found or is not callable
    UNHANDLED = 2  #: the handler raised, or returned what it may not return
    INIT = 3  #: the module could not be imported, or the initializer raised
    MEMORY = 4  #: a MemoryError reached the runtime
    TOO_LARGE = 5  #: the answer is larger than the limit
    HANDLED = 6  #: the function reported a failure itself, without raising


def frame(stream: int, kind: int, flags: int, aux: int, meta: bytes, payload: bytes) -> bytes:
    """One frame as bytes."""
    return HEADER.pack(len(meta) + len(payload), stream, len(meta), kind, flags, aux) + meta + payload
