"""Questions of instances, which may be anything, and answers to them."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functory.network import dns


def question(name: str, kind: int = dns.A, *, flags: int = 0x0100, family: int = 1) -> bytes:
    labels = b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
    return struct.pack(">HHHHHH", 7, flags, 1, 0, 0, 0) + labels + b"\0" + struct.pack(">HH", kind, family)


def test_a_question_is_read_in_lower_case() -> None:
    found = dns.parse(question("DB.Example"))
    assert found is not None
    assert (found.number, found.name, found.kind) == (7, "db.example", dns.A)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        bytes(12),
        question("a.example")[:-3],
        question("a.example", flags=0x8100),
        question("a.example", family=3),
        question("a b.example"),
        question("a\0.example"),
        question("x" * 63 + "." + "y" * 63 + "." + "z" * 63 + "." + "w" * 63 + ".e"),
        struct.pack(">HHHHHH", 7, 0x0100, 2, 0, 0, 0) + question("a.example")[12:],
        struct.pack(">HHHHHH", 7, 0x0100, 1, 0, 0, 0) + b"\xc0\x0c" + struct.pack(">HH", 1, 1),
    ],
)
def test_what_is_no_plain_question_is_ignored(data: bytes) -> None:
    assert dns.parse(data) is None


@given(st.binary(max_size=300))
def test_no_bytes_at_all_break_the_reader(data: bytes) -> None:
    dns.parse(data)
    dns.parse(question("a.example")[:12] + data)


def test_an_answer_repeats_the_question_and_gives_the_address() -> None:
    asked = dns.parse(question("a.example"))
    assert asked is not None
    reply = dns.answer(asked, addresses=(bytes([198, 18, 1, 2]),))
    number, flags, questions, answers, _, _ = struct.unpack_from(">HHHHHH", reply)
    assert (number, questions, answers) == (7, 1, 1)
    assert flags & 0x8000
    assert reply.endswith(bytes([0, 4, 198, 18, 1, 2]))
    assert dns.answer(asked, dns.NO_SUCH_NAME)[3] & 15 == 3
