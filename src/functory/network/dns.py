"""DNS messages, as far as instances need them: a question in, addresses or a refusal out. Pure; RFC 1035."""

from __future__ import annotations

import struct
from typing import NamedTuple

A, AAAA = 1, 28
NO_ERROR, SERVER_FAILURE, NO_SUCH_NAME = 0, 2, 3
TTL_S = 30
"""Short: an address stands for a name only as long as the relay remembers it."""
_HEAD = 12
_INTERNET = 1
_POINTER = b"\xc0\x0c"
_RESPONSE, _RECURSION_WANTED, _RECURSION_OFFERED, _TRUNCATED = 0x8000, 0x0100, 0x0080, 0x0200
MESSAGE_BYTES = 1232
"""The longest question that is read."""


class Question(NamedTuple):
    """What an instance asks for."""

    number: int
    name: str
    """In lower case, without the dot at its end."""
    kind: int
    raw: bytes
    """The question as it came: answers repeat it."""
    flags: int


def parse(data: bytes) -> Question | None:
    """The question; None for what is no plain question."""
    if not _HEAD < len(data) <= MESSAGE_BYTES:
        return None
    number, flags, questions = struct.unpack_from(">HHH", data)
    if flags & 0xF800 or questions != 1:
        return None
    labels, at = [], _HEAD
    while True:
        if at >= len(data):
            return None
        size = data[at]
        at += 1
        if size == 0:
            break
        label = data[at : at + size]
        if size > 63 or len(label) < size or not _is_plain(label):
            return None
        labels.append(label.decode().lower())
        at += size
    name = ".".join(labels)
    if len(data) < at + 4 or len(name) > 253:
        return None
    kind, family = struct.unpack_from(">HH", data, at)
    return Question(number, name, kind, data[_HEAD : at + 4], flags) if family == _INTERNET else None


def _is_plain(label: bytes) -> bool:
    return all(byte in _PLAIN for byte in label)


_PLAIN = frozenset(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_")


def answer(question: Question, code: int = NO_ERROR, addresses: tuple[bytes, ...] = ()) -> bytes:
    """The answer; no addresses and no error = there is nothing of this kind."""
    flags = _RESPONSE | _RECURSION_OFFERED | question.flags & _RECURSION_WANTED | code
    head = struct.pack(">HHHHHH", question.number, flags, 1, len(addresses), 0, 0)
    records = [
        _POINTER + struct.pack(">HHIH", A if len(one) == 4 else AAAA, _INTERNET, TTL_S, len(one)) + one
        for one in addresses
    ]
    return head + question.raw + b"".join(records)
