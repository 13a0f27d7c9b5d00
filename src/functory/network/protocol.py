"""What the node and its relay say to each other: JSON, one message per datagram of a SEQPACKET socket.

node → relay    attach (with the instance's sockets) · detach · end of file: end
relay → node    ready (once) · denied
"""

from __future__ import annotations

import msgspec

from functory.model.network import Policy

MESSAGE_BYTES = 1 << 18


class Attach(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="attach"):
    """Relay this instance. Its sockets come along, in the order of `sandbox.networks`; those of UDP may be missing."""

    id: str
    place: int
    """Where its counters begin."""
    policy: Policy


class Detach(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="detach"):
    """It is gone: close all that was its; harmless if there is nothing."""

    id: str


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="ready"):
    """The relay listens."""


class Denied(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="denied"):
    """An instance was refused a destination, for the first time."""

    id: str
    what: str
    """A sentence for its log."""


encode = msgspec.json.Encoder().encode
decode_request = msgspec.json.Decoder(Attach | Detach).decode
decode_answer = msgspec.json.Decoder(Ready | Denied).decode
