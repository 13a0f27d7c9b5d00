"""Nonces over restarts: what one node took, the next one refuses, however the first one ended."""

from __future__ import annotations

from pathlib import Path

import pytest

from functory.model import errors
from functory.web import nonce_file
from functory.web.nonce_file import NonceFile
from functory.web.nonces import Nonces

NOW_S = 1_795_446_000
NOW_MS = NOW_S * 1000
BOOT, NEXT_BOOT = b"1" * 36, b"2" * 36


def started(path: Path, *, now_s: int = NOW_S, boot: bytes = BOOT, fresh: bool = False) -> tuple[Nonces, NonceFile]:
    kept = NonceFile(path, now_s=now_s, fresh=fresh, boot=lambda: boot)
    return Nonces(kept=kept), kept


def test_what_was_taken_is_refused_after_a_crash_and_after_a_clean_stop(tmp_path: Path) -> None:
    first, _ = started(tmp_path / "n", fresh=True)
    assert first.use("a", b"1", NOW_MS, NOW_MS)
    second, kept = started(tmp_path / "n")  # the first one was never closed
    assert not second.use("a", b"1", NOW_MS, NOW_MS)
    assert second.use("b", b"1", NOW_MS, NOW_MS), "another key's nonce is another one"
    assert second.use("a", b"2", NOW_MS, NOW_MS)
    kept.close()
    kept.close()
    third, _ = started(tmp_path / "n", boot=NEXT_BOOT)
    for key, nonce in (("a", b"1"), ("b", b"1"), ("a", b"2")):
        assert not third.use(key, nonce, NOW_MS, NOW_MS)


def test_clients_whose_clock_is_off_are_served_on_after_a_restart(tmp_path: Path) -> None:
    first, _ = started(tmp_path / "n", fresh=True)
    assert first.use("a", b"1", NOW_MS + 800_000, NOW_MS)
    second, _ = started(tmp_path / "n", now_s=NOW_S + 1)
    assert second.use("a", b"behind", NOW_MS - 800_000, NOW_MS)
    assert not second.use("a", b"1", NOW_MS + 800_000, NOW_MS + 700_000)


def test_after_a_power_cut_what_is_dated_before_the_start_is_refused(tmp_path: Path) -> None:
    first, _ = started(tmp_path / "n", fresh=True)
    assert first.use("a", b"1", NOW_MS, NOW_MS)
    second, _ = started(tmp_path / "n", now_s=NOW_S + 30, boot=NEXT_BOOT)
    assert not second.use("a", b"never seen", NOW_MS + 30_000, NOW_MS + 30_000)
    assert second.use("a", b"never seen", NOW_MS + 31_000, NOW_MS + 31_000)


def test_a_file_that_is_lost_or_damaged_in_a_used_folder_refuses_what_is_older_than_the_start(tmp_path: Path) -> None:
    for content in (None, b"", b"x" * 100):
        if content is not None:
            (tmp_path / "n").write_bytes(content)
        nonces, kept = started(tmp_path / "n")
        assert not nonces.use("a", b"1", NOW_MS, NOW_MS)
        assert nonces.use("a", b"1", NOW_MS + 1000, NOW_MS)
        kept.close()
        (tmp_path / "n").unlink()
    nonces, _ = started(tmp_path / "n", fresh=True)
    assert nonces.use("a", b"1", NOW_MS, NOW_MS)


def test_what_the_ring_drops_leaves_a_floor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nonce_file, "SLOTS", 8)
    first, _ = started(tmp_path / "n", fresh=True)
    for number in range(10):
        assert first.use("a", b"%d" % number, NOW_MS + number * 1000, NOW_MS)
    assert first.use("a", b"late", NOW_MS, NOW_MS), "in the process itself nothing is lost"
    second, _ = started(tmp_path / "n")
    assert not second.use("a", b"unknown", NOW_MS + 2000, NOW_MS)
    for number in range(10):
        assert not second.use("a", b"%d" % number, NOW_MS + number * 1000, NOW_MS)
    assert second.use("a", b"unknown", NOW_MS + 9000, NOW_MS)


def test_a_flood_of_one_key_dated_ahead_shuts_out_no_other_key_after_a_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(nonce_file, "SLOTS", 8)
    first, _ = started(tmp_path / "n", fresh=True)
    assert first.use("quiet", b"mine", NOW_MS, NOW_MS)
    for number in range(30):
        assert first.use("flood", b"%d" % number, NOW_MS + 800_000, NOW_MS)
    second, _ = started(tmp_path / "n")
    assert not second.use("quiet", b"mine", NOW_MS, NOW_MS), "dropped, and not to be had again"
    assert second.use("quiet", b"next", NOW_MS + 1000, NOW_MS + 1000)
    assert second.use("third", b"first", NOW_MS, NOW_MS)
    for number in range(30):
        assert not second.use("flood", b"%d" % number, NOW_MS + 800_000, NOW_MS)
    assert not second.use("flood", b"new", NOW_MS + 1000, NOW_MS + 1000)


def test_over_many_restarts_nothing_is_taken_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(nonce_file, "SLOTS", 16)
    taken: set[tuple[bytes, int]] = set()
    for run in range(12):
        nonces, kept = started(tmp_path / "n", now_s=NOW_S + run * 3, fresh=run == 0)
        for number in range(5):
            at_ms = NOW_MS + (run * 3 + number % 3) * 1000
            nonce = b"%d" % (number + run)
            if nonces.use("a", nonce, at_ms, at_ms):
                assert (nonce, at_ms) not in taken
                taken.add((nonce, at_ms))
        for nonce, at_ms in taken:
            assert not nonces.use("a", nonce, at_ms, at_ms)
        if run % 2:
            kept.close()


def test_a_place_that_cannot_be_written_is_said(tmp_path: Path) -> None:
    with pytest.raises(errors.Unavailable, match="cannot be used"):
        NonceFile(tmp_path / "none" / "n", now_s=NOW_S, fresh=True)
