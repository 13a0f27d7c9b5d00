"""Nonces: used once, in bounded memory, whatever the clock does."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from functory.web.nonces import Nonces

NOW_MS = 1_795_446_000_000
SKEW_MS = 900_000


def test_a_nonce_is_new_once_per_key() -> None:
    nonces = Nonces()
    assert nonces.use("a", b"1", NOW_MS, NOW_MS)
    assert not nonces.use("a", b"1", NOW_MS, NOW_MS)
    assert nonces.use("b", b"1", NOW_MS, NOW_MS)
    assert nonces.use("a", b"2", NOW_MS, NOW_MS)


def test_what_the_date_alone_refuses_is_forgotten() -> None:
    nonces = Nonces()
    assert nonces.use("a", b"1", NOW_MS, NOW_MS)
    later_ms = NOW_MS + SKEW_MS + 2000
    assert nonces.use("a", b"2", later_ms, later_ms)
    assert nonces.count == 1


def test_a_request_from_the_future_is_remembered_until_its_own_date_has_passed() -> None:
    nonces = Nonces()
    future_ms = NOW_MS + SKEW_MS
    assert nonces.use("a", b"1", future_ms, NOW_MS)
    for at_ms in (NOW_MS + SKEW_MS, NOW_MS + 2 * SKEW_MS):
        assert nonces.use("a", b"%d" % at_ms, at_ms, at_ms)
        assert not nonces.use("a", b"1", future_ms, at_ms)


def test_a_clock_that_steps_back_does_not_reopen_what_was_forgotten() -> None:
    nonces = Nonces()
    assert nonces.use("a", b"1", NOW_MS, NOW_MS)
    assert nonces.use("a", b"2", NOW_MS + 10 * SKEW_MS, NOW_MS + 10 * SKEW_MS)
    assert not nonces.use("a", b"1", NOW_MS, NOW_MS)
    assert nonces.use("a", b"3", NOW_MS + 1000, NOW_MS + 1000)


def test_a_flood_forgets_the_oldest_dates_and_refuses_them_from_then_on() -> None:
    nonces = Nonces(limit=10)
    for second in range(20):
        assert nonces.use("a", b"%d" % second, NOW_MS + second * 1000, NOW_MS)
    assert nonces.count == 10
    assert not nonces.use("a", b"0", NOW_MS, NOW_MS)
    assert not nonces.use("a", b"new", NOW_MS + 9000, NOW_MS)
    assert nonces.use("a", b"new", NOW_MS + 15_000, NOW_MS)
    assert nonces.use("b", b"0", NOW_MS, NOW_MS)


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(-900, 900), st.integers(-300, 900)),
        max_size=60,
    )
)
def test_no_nonce_is_ever_accepted_twice_with_the_same_date(steps: list[tuple[int, int, int]]) -> None:
    nonces, now_ms = Nonces(limit=8), NOW_MS
    accepted: set[tuple[bytes, int]] = set()
    for name, off_s, passed_s in steps:
        now_ms += passed_s * 1000
        date_ms = now_ms // 10_000 * 10_000 + off_s // 300 * 300_000
        pair = (b"%d" % name, date_ms)
        if nonces.use("a", *pair, now_ms):
            assert pair not in accepted
            accepted.add(pair)
        assert nonces.count <= 8
