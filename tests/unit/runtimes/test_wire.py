"""Both sides of the wire mean the same bytes."""

from __future__ import annotations

from functory.runtimes import wire
from functory.runtimes.bootstrap import frames


def test_the_bootstrap_repeats_the_numbers_of_the_protocol() -> None:
    for name in ("PROTOCOL", "HEADER_BYTES", "INLINE_BYTES", "PIECE_BYTES", "MAX_FRAME_BYTES"):
        assert getattr(frames, name) == getattr(wire, name), name
    assert frames.HEADER.format == wire.HEADER.format
    for kind in wire.Type:
        assert getattr(frames, kind.name) == kind
    for flag in wire.Flag:
        assert getattr(frames, str(flag.name)) == flag
    for code in wire.ErrorCode:
        assert getattr(frames, f"E_{code.name}") == code


def test_a_frame_is_the_same_on_both_sides() -> None:
    parts = (7, wire.Type.RESP, wire.Flag.END, 12, b"meta", b"payload")
    assert frames.frame(*parts) == wire.frame(*parts)
    assert len(frames.frame(*parts)) == wire.HEADER_BYTES + len(b"metapayload")


def test_an_answer_goes_inline_up_to_the_limit_and_in_pieces_beyond() -> None:
    inline = frames.answer(1, 0, 5, b"x" * wire.INLINE_BYTES)
    assert len(inline) == 2
    buffers = frames.answer(1, wire.Flag.RAW_LOG, 5, b"x" * (2 * wire.PIECE_BYTES + 1))
    heads = [wire.HEADER.unpack_from(bytes(head)) for head in buffers[::2]]
    assert [(head[3], head[4]) for head in heads] == [
        (wire.Type.RESP, wire.Flag.RAW_LOG),
        (wire.Type.BODY, 0),
        (wire.Type.BODY, wire.Flag.END),
    ]
    assert bytes(buffers[0])[16:] == (2 * wire.PIECE_BYTES + 1).to_bytes(8, "little")
    assert max(head[0] for head in heads) <= wire.MAX_FRAME_BYTES


def test_the_inbox_puts_pieces_of_several_requests_together_however_they_are_cut() -> None:
    sent = b"".join(
        (
            wire.frame(1, wire.Type.REQ, 0, 11, b"id-1", b"a"),
            wire.frame(2, wire.Type.REQ, wire.Flag.END, 22, b"id-2", b"whole"),
            wire.frame(1, wire.Type.BODY, 0, 0, b"", b"b"),
            wire.frame(3, wire.Type.CANCEL, 0, 0, b"", b""),
            wire.frame(1, wire.Type.BODY, wire.Flag.END, 0, b"", b"c"),
        )
    )
    expected = [
        (wire.Type.REQ, 2, wire.Flag.END, b"id-2", b"whole", 22),
        (wire.Type.CANCEL, 3, 0, b"", b"", 0),
        (wire.Type.REQ, 1, 0, b"id-1", b"abc", 11),
    ]
    for size in (1, 7, 16, 17, len(sent)):
        inbox = frames.Inbox()
        found = [request for at in range(0, len(sent), size) for request in inbox.feed(sent[at : at + size])]
        assert found == expected, size
