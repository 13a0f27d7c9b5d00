"""A data folder that the first version left opens with today's code, whole, however often it is interrupted."""

from __future__ import annotations

from pathlib import Path

import apsw
import pytest

from functory.clock import SystemClock
from functory.lifecycle import running
from functory.model import errors
from functory.model.invocation import Status
from functory.store import cipher
from functory.store.cipher import AesCipher
from functory.store.sqlite import SqliteStore

ACCOUNT = "7882033292423759"
KEY = bytes.fromhex("aa5974c678bb5ff241958aefe90db5f34256cd5581fc99a2ccc12ad7fcfe6eb4")


def folder_of(tmp_path: Path) -> Path:
    """The database of then, with a second function beside the first."""
    connection = apsw.Connection(str(tmp_path / "x.db"))
    for _ in connection.execute((Path(__file__).parent / "first_version.sql").read_text()):
        pass
    connection.execute(
        "INSERT INTO functions SELECT account_id, 'second', function_id, epoch, json_replace(body, '$.name', 'second') "
        "FROM functions"
    )
    connection.close()
    (tmp_path / "key").write_bytes(KEY)
    return tmp_path


def stored_bodies(folder: Path) -> list[str]:
    connection = apsw.Connection(str(folder / "x.db"))
    try:
        return [str(body) for (body,) in connection.execute("SELECT body FROM functions")]
    finally:
        connection.close()


async def test_functions_keys_secrets_and_records_of_the_first_version_are_there(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    for _ in range(2):
        database = folder / "x.db"
        opened = cipher.from_key_file(folder / "key", sealed=database)
        async with running(store := SqliteStore(database, clock=SystemClock(), cipher=opened)):
            found = await store.functions.all()
            assert [function.name for function in found] == ["old", "second"]
            assert {function.environment["SECRET"] for function in found} == {"kept"}
            [key] = await store.keys.all()
            assert (key.access_key_id, key.account_id, len(key.secret)) == ("FKaf973f1291fc3558f7d939", ACCOUNT, 48)
            assert len(await store.keys.secret("call-tokens", b"another")) == 32
            [record] = await store.requests.list(ACCOUNT)
            assert (record.function_name, record.status) == ("old", Status.OK)
            assert record.request_id == "1-6b049d41-dc9ac56b-000000000002"
        assert not any("kept" in body for body in stored_bodies(folder))


class BreaksOff:
    """A random source that works once: whoever seals a second time is interrupted."""

    def __init__(self) -> None:
        self.asked = 0

    def __call__(self, size: int) -> bytes:
        self.asked += 1
        if self.asked > 1:
            raise errors.StorageFull("interrupted")
        return bytes(size)


async def test_sealing_what_is_old_is_done_for_all_or_for_none(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    breaks_off = BreaksOff()
    store = SqliteStore(folder / "x.db", clock=SystemClock(), cipher=AesCipher(KEY, breaks_off))
    with pytest.raises(errors.StorageFull):
        await store.start()
    assert breaks_off.asked == 2
    assert all("kept" in body for body in stored_bodies(folder))
    async with running(again := SqliteStore(folder / "x.db", clock=SystemClock(), cipher=AesCipher(KEY))):
        assert {function.environment["SECRET"] for function in await again.functions.all()} == {"kept"}
    assert not any("kept" in body for body in stored_bodies(folder))


def test_a_key_that_is_missing_beside_its_database_is_not_made_anew(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    (folder / "key").unlink()
    with pytest.raises(errors.StorageCorrupt, match="key is missing") as refused:
        cipher.from_key_file(folder / "key", sealed=folder / "x.db")
    assert "backup" in refused.value.hint
    assert not (folder / "key").exists()


async def test_another_key_is_refused_before_anything_is_changed(tmp_path: Path) -> None:
    folder = folder_of(tmp_path)
    store = SqliteStore(folder / "x.db", clock=SystemClock(), cipher=AesCipher(bytes(32)))
    with pytest.raises(errors.StorageCorrupt, match="cannot be opened"):
        await store.start()
    assert all("kept" in body for body in stored_bodies(folder)), "what a wrong key seals is lost with it"
    async with running(again := SqliteStore(folder / "x.db", clock=SystemClock(), cipher=AesCipher(KEY))):
        assert {function.environment["SECRET"] for function in await again.functions.all()} == {"kept"}
