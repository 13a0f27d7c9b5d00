"""The node's end of a two-way stream: neither side gets further ahead of the other than its window."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator

import pytest

from functory.instances.channel import Channel
from functory.instances.duplex import Duplex
from functory.runtimes import wire

HEAD = b'{"statusCode":101}'


class Far:
    """The instance's side: reads what the node sends."""

    def __init__(self, read_fd: int) -> None:
        self._read_fd = read_fd
        os.set_blocking(read_fd, False)

    def frames(self) -> list[tuple[wire.Type, int, int, int]]:
        """`(type, flags, aux, length)` of all that has arrived."""
        data, found = b"", []
        while True:
            try:
                data += os.read(self._read_fd, 1 << 20)
            except BlockingIOError:
                break
        while data:
            length, _, _, kind, flags, aux = wire.HEADER.unpack_from(data)
            found.append((wire.Type(kind), flags, aux, length))
            data = data[wire.HEADER_BYTES + length :]
        return found


class Sink:
    def __init__(self) -> None:
        self.pieces: list[bytes] = []
        self.ended: bool | None = None

    def write(self, piece: bytes) -> None:
        self.pieces.append(piece)

    def end(self, complete: bool) -> None:
        self.ended = complete


@pytest.fixture
async def pair() -> AsyncIterator[tuple[Duplex, Far]]:
    request_read, request_write = os.pipe()
    reply_read, reply_write = os.pipe()
    channel = Channel(lambda _: None)
    channel.listen(lambda *_: None, lambda: None)
    await channel.open(request_write, reply_read)
    duplex = Duplex(channel, 7, len(HEAD))
    duplex.feed(HEAD)
    yield duplex, Far(request_read)
    channel.close()
    os.close(request_read)
    os.close(reply_write)


async def test_the_client_waits_for_credit_once_its_window_is_used(pair: tuple[Duplex, Far]) -> None:
    duplex, far = pair
    duplex.send(b"x" * 60_000)
    assert [(kind, length) for kind, _, _, length in far.frames()] == [(wire.Type.BODY, 60_000)]
    room: list[bool] = []
    duplex.on_room = lambda: room.append(True)
    duplex.send(b"x" * wire.WINDOW_BYTES)
    assert duplex.full
    assert duplex.sent_bytes == 60_000 + wire.WINDOW_BYTES
    assert room == []
    duplex.credit(59_999)
    assert duplex.full
    duplex.credit(1)
    assert (duplex.full, room) == (False, [True])


async def test_no_instance_gives_more_credit_than_a_window(pair: tuple[Duplex, Far]) -> None:
    duplex, _ = pair
    duplex.credit(1 << 31)
    duplex.send(b"x" * (wire.WINDOW_BYTES + 1))
    assert duplex.full


async def test_the_end_of_the_clients_side_follows_its_last_byte(pair: tuple[Duplex, Far]) -> None:
    duplex, far = pair
    duplex.send(b"last")
    duplex.end_sending()
    assert [(kind, flags, length) for kind, flags, _, length in far.frames()] == [
        (wire.Type.BODY, 0, 4),
        (wire.Type.BODY, wire.Flag.END, 0),
    ]


async def test_the_instance_gets_credit_for_what_was_passed_on_but_not_while_the_client_is_slow(
    pair: tuple[Duplex, Far],
) -> None:
    duplex, far = pair
    sink = Sink()
    duplex.start(sink)
    assert sink.pieces == [HEAD]
    begin = duplex.most_bytes
    assert begin == wire.WINDOW_BYTES + len(HEAD)
    quarter = wire.WINDOW_BYTES // 4
    duplex.feed(b"x" * quarter)
    assert far.frames() == [(wire.Type.CREDIT, 0, quarter, 0)]
    duplex.pause()
    duplex.feed(b"x" * quarter)
    assert far.frames() == []
    assert duplex.most_bytes == begin + quarter, "more than that would break the protocol"
    duplex.resume()
    assert far.frames() == [(wire.Type.CREDIT, 0, quarter, 0)]
    assert duplex.most_bytes == begin + 2 * quarter


async def test_a_client_that_leaves_is_told_once_and_what_still_comes_is_dropped(pair: tuple[Duplex, Far]) -> None:
    duplex, far = pair
    sink = Sink()
    duplex.start(sink)
    duplex.cancel()
    assert [kind for kind, *_ in far.frames()] == [wire.Type.CANCEL]
    duplex.feed(b"late")
    assert sink.pieces == [HEAD]
    duplex.finish(True)
    duplex.send(b"for nobody")
    assert far.frames() == []
