"""Bytes in pieces: nothing is lost, and small pieces take no more room than their bytes."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functory.gateway.body import BodyBudget, BodyCollector, BodyConfig
from functory.instances.logbuffer import LogBuffer
from functory.model.pieces import Pieces

SIZES = st.lists(st.one_of(st.integers(0, 3), st.integers(1000, 1100), st.just(70_000)), max_size=60)


@given(SIZES)
def test_what_was_put_in_comes_out_whole_and_in_order(sizes: list[int]) -> None:
    given_pieces = [bytes([number % 251]) * size for number, size in enumerate(sizes)]
    pieces = Pieces()
    for piece in given_pieces:
        pieces.add(piece)
    assert pieces.size_bytes == sum(sizes)
    assert pieces.joined() == b"".join(given_pieces) == b"".join(pieces.take())
    assert (pieces.joined(), pieces.size_bytes) == (b"", 0)


def collector() -> Callable[[bytes], None]:
    return BodyCollector(BodyBudget(BodyConfig(folder="/nowhere")), limit_bytes=1 << 22, hashed=False).add


@pytest.mark.parametrize("make", [lambda: Pieces().add, collector, lambda: LogBuffer(1 << 20).add])
@pytest.mark.parametrize("piece", [b"", b"xy"], ids=["empty", "two bytes"])
def test_pieces_that_somebody_cuts_small_do_not_bloat_the_node(
    make: Callable[[], Callable[[bytes], None]], piece: bytes
) -> None:
    add = make()
    tracemalloc.start()
    try:
        for number in range(200_000):
            add(bytes(bytearray(piece)) if number else piece)
        _, peak_bytes = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak_bytes < 1_200_000  # 400,000 bytes as such; in a list of pieces they take ten million
