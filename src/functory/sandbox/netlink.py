"""Messages to the kernel's network: addresses, routes and packet rules as bytes. Pure but for `send`.

Runs in zygotes too, loaded by path: the standard library only, and no program such as `ip` or `nft` (5 ms each).
"""

from __future__ import annotations

import _socket
import os
import struct

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

NETLINK_ROUTE, NETLINK_NETFILTER = 0, 12
_REQUEST, _ACK, _CREATE, _APPEND = 1, 4, 0x400, 0x800
_ERROR = 2
_NEW_LINK, _NEW_ADDRESS, _NEW_ROUTE = 16, 20, 24
_UP = 1
_TABLE_LOCAL, _PROTOCOL_STATIC, _SCOPE_HOST, _ROUTE_LOCAL = 255, 4, 254, 2
_LOOPBACK = 1
"""The number of `lo` in every network namespace."""
_BATCH_BEGIN, _BATCH_END = 16, 17
_TABLES, _LOGS = 10, 4
_NEW_TABLE, _NEW_CHAIN, _NEW_RULE = 0, 3, 6
_INET = 1
_REGISTER = 1
_ACCEPT, _JUMP, _GOTO, _RETURN = 1, -3, -4, -5
_EQUAL, _NOT_EQUAL = 0, 1
_L4PROTO, _NFPROTO = 16, 15
_NETWORK_HEADER, _TRANSPORT_HEADER = 1, 2
_SOCKET_BYTES = 1 << 16


def attribute(kind: int, value: bytes) -> bytes:
    """One attribute, padded."""
    return struct.pack("=HH", 4 + len(value), kind) + value + bytes(-len(value) % 4)


def nested(kind: int, *parts: bytes) -> bytes:
    """An attribute that holds attributes."""
    return attribute(kind | 0x8000, b"".join(parts))


def text(kind: int, value: str) -> bytes:
    """A string with its closing zero."""
    return attribute(kind, value.encode() + b"\0")


def number(kind: int, value: int) -> bytes:
    """32 bits in network order, as packet rules have them."""
    return attribute(kind, struct.pack(">i" if value < 0 else ">I", value))


def message(kind: int, flags: int, body: bytes, sequence: int = 1) -> bytes:
    """One message with its header."""
    return struct.pack("=IHHII", 16 + len(body), kind, _REQUEST | flags, sequence, 0) + body


# --- links, addresses, routes -------------------------------------------------------------------------------------


def loopback_up() -> bytes:
    """`ip link set lo up`."""
    return message(_NEW_LINK, _ACK, struct.pack("=BxHiII", 0, 0, _LOOPBACK, _UP, _UP))


def address(family: int, packed: bytes) -> bytes:
    """`ip address add … dev lo`, for one address."""
    no_detection = 2  # of duplicates: nobody else is there
    head = struct.pack("=BBBBI", family, len(packed) * 8, no_detection, _SCOPE_HOST, _LOOPBACK)
    return message(_NEW_ADDRESS, _ACK | _CREATE, head + attribute(2, packed) + attribute(1, packed))


def all_is_local(family: int, source: bytes) -> bytes:
    """`ip route add local default dev lo src …`: every address leads to this machine itself."""
    head = struct.pack("=BBBBBBBBI", family, 0, 0, 0, _TABLE_LOCAL, _PROTOCOL_STATIC, _SCOPE_HOST, _ROUTE_LOCAL, 0)
    attributes = attribute(4, struct.pack("=I", _LOOPBACK)) + attribute(7, source)
    return message(_NEW_ROUTE, _ACK | _CREATE, head + attributes)


# --- packet rules -------------------------------------------------------------------------------------------------


def _family(family: int, resource: int = 0) -> bytes:
    return struct.pack(">BBH", family, 0, resource)


def batch(messages: Iterable[bytes]) -> bytes:
    """Rules that come into force together or not at all. The last one is acknowledged."""
    inside = b"".join(messages)
    return message(_BATCH_BEGIN, 0, _family(0, _TABLES)) + inside + message(_BATCH_END, _ACK, _family(0, _TABLES))


def _table_message(kind: int, flags: int, *attributes: bytes) -> bytes:
    return message(_TABLES << 8 | kind, flags, _family(_INET) + b"".join(attributes))


def table(name: str) -> bytes:
    """A new table for both families."""
    return _table_message(_NEW_TABLE, _CREATE, text(1, name))


def chain(table_name: str, name: str, *, hook: int = -1, priority: int = 0) -> bytes:
    """A new chain, called by the kernel at `hook` (0 = as packets come in) if one is given."""
    parts = [text(1, table_name), text(3, name)]
    if hook >= 0:
        parts += [nested(4, number(1, hook), number(2, priority)), text(7, "filter")]
    return _table_message(_NEW_CHAIN, _CREATE, *parts)


def rule(table_name: str, chain_name: str, *expressions: bytes) -> bytes:
    """A rule at the chain's end."""
    listed = nested(4, *expressions)
    return _table_message(_NEW_RULE, _CREATE | _APPEND, text(1, table_name), text(2, chain_name), listed)


def _expression(name: str, *attributes: bytes) -> bytes:
    return nested(1, text(1, name), nested(2, *attributes))


def _value(kind: int, raw: bytes) -> bytes:
    return nested(kind, attribute(1, raw))


def _compare(raw: bytes, how: int = _EQUAL) -> bytes:
    return _expression("cmp", number(1, _REGISTER), number(2, how), _value(3, raw))


def _payload(base: int, offset: int, length: int) -> bytes:
    return _expression("payload", number(1, _REGISTER), number(2, base), number(3, offset), number(4, length))


def protocol_is(protocol: int) -> bytes:
    """The packet is of TCP (6) or UDP (17)."""
    return _expression("meta", number(1, _REGISTER), number(2, _L4PROTO)) + _compare(bytes([protocol]))


def destination_in(network: bytes, bits: int) -> bytes:
    """The packet goes to an address of which the first `bits` are those of `network` (4 or 16 bytes)."""
    size = len(network)
    family, offset = (2, 16) if size == 4 else (10, 24)
    mask = ((1 << bits) - 1 << size * 8 - bits).to_bytes(size, "big")
    expressions = _expression("meta", number(1, _REGISTER), number(2, _NFPROTO)) + _compare(bytes([family]))
    if bits:
        masked = _expression(
            "bitwise",
            number(1, _REGISTER),
            number(2, _REGISTER),
            number(3, size),
            _value(4, mask),
            _value(5, bytes(size)),
        )
        expressions += _payload(_NETWORK_HEADER, offset, size) + masked + _compare(network)
    return expressions


def port_in(first: int, last: int) -> bytes:
    """The packet goes to one of these ports; only after `protocol_is`."""
    low, high = struct.pack(">H", first), struct.pack(">H", last)
    loaded = _payload(_TRANSPORT_HEADER, 2, 2)
    if first == last:
        return loaded + _compare(low)
    return loaded + _expression("range", number(1, _REGISTER), number(2, _EQUAL), _value(3, low), _value(4, high))


def _verdict(code: int, chain_name: str = "") -> bytes:
    target = text(2, chain_name) if chain_name else b""
    return _expression("immediate", number(1, 0), nested(2, nested(2, number(1, code), target)))


def accept() -> bytes:
    """Lets it through."""
    return _verdict(_ACCEPT)


def leave() -> bytes:
    """Back to the chain that jumped here."""
    return _verdict(_RETURN)


def jump(chain_name: str) -> bytes:
    """Goes on in another chain, and comes back."""
    return _verdict(_JUMP, chain_name)


def to_proxy(port: int) -> bytes:
    """Gives the packet to the transparent socket at this port, whatever address and port it was sent to."""
    loaded = _expression("immediate", number(1, _REGISTER), _value(2, struct.pack(">H", port)))
    return loaded + _expression("tproxy", number(1, 0), number(3, _REGISTER)) + accept()


def report(group: int, per_second: int) -> bytes:
    """Tells who listens to `group`, at most so often; the packet goes on in the next rule."""
    often = struct.pack(">Q", per_second), struct.pack(">Q", 1)
    limited = _expression("limit", attribute(1, often[0]), attribute(2, often[1]), number(3, per_second))
    return limited + _expression("log", attribute(1, struct.pack(">H", group)), number(3, 64), attribute(4, b"\0\1"))


def refuse(*, reset: bool) -> bytes:
    """Refuses it at once: a reset for TCP, "port unreachable" for others."""
    return _expression("reject", number(1, 1 if reset else 2), attribute(2, bytes([1])))


def listen_to_reports(group: int) -> bytes:
    """What a netlink socket sends to be told of `group`."""
    kind = _LOGS << 8 | 1
    head = _family(0, group)
    return message(kind, _ACK, head + attribute(1, b"\1")) + message(
        kind, _ACK, head + attribute(2, struct.pack(">IBx", 64, 2)) + attribute(5, struct.pack(">I", 1))
    )


# --- the kernel ---------------------------------------------------------------------------------------------------


def send(family: int, data: bytes, answers: int) -> _socket.socket:
    """Sends `data` and reads `answers` acknowledgements; OSError with the first refusal. The socket stays open."""
    made = _socket.socket(_socket.AF_NETLINK, _socket.SOCK_RAW | _socket.SOCK_CLOEXEC, family)
    try:
        made.send(data)
        while answers > 0:
            answers -= _take(made.recv(_SOCKET_BYTES))
    except BaseException:
        made.close()
        raise
    return made


def _take(raw: bytes) -> int:
    """How many acknowledgements a datagram holds; OSError for a refusal."""
    found = at = 0
    while at + 16 <= len(raw):
        size, kind = struct.unpack_from("=IH", raw, at)
        if kind == _ERROR:
            (code,) = struct.unpack_from("=i", raw, at + 16)
            if code:
                raise OSError(-code, f"the kernel's network refuses it: {os.strerror(-code)}")
            found += 1
        at += max(16, size + 3 & ~3)
    return found
