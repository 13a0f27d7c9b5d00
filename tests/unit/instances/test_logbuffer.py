"""What is kept of a long output."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from functory.instances.logbuffer import LogBuffer


def test_a_short_output_is_kept_whole() -> None:
    buffer = LogBuffer(100)
    buffer.add(b"one ")
    buffer.add(b"two")
    assert buffer.text() == b"one two"


def test_of_a_long_one_head_and_tail_stay_and_the_middle_is_named() -> None:
    buffer = LogBuffer(20)
    for letter in b"abcdefghijklmnopqrstuvwxyz":
        buffer.add(bytes([letter]))
    text = buffer.text()
    assert text.startswith(b"abcdefghij")
    assert text.endswith(b"qrstuvwxyz")
    assert b"6 bytes of output dropped" in text


def test_one_huge_piece_keeps_its_end() -> None:
    buffer = LogBuffer(10)
    buffer.add(b"x" * 1000 + b"the end")
    assert buffer.text().endswith(b"e end")


@given(st.lists(st.binary(max_size=40), max_size=60), st.integers(2, 64))
def test_nothing_is_lost_uncounted_and_memory_is_bounded(pieces: list[bytes], limit: int) -> None:
    buffer = LogBuffer(limit)
    for piece in pieces:
        buffer.add(piece)
    whole = b"".join(pieces)
    assert len(buffer.text()) <= limit + 120
    if buffer.dropped_bytes:
        kept = len(whole) - buffer.dropped_bytes
        assert 0 < kept <= limit
        assert whole.endswith(buffer.text()[-min(limit // 2, kept) :][-1:])
    else:
        assert buffer.text() == whole
