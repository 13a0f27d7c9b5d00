"""The SQLite store beside its contract: its file, its schema, its secrets, its writer."""

from __future__ import annotations

import asyncio
import os
import stat
import threading
from pathlib import Path

import apsw
import pytest

from functory.clock import SystemClock
from functory.lifecycle import running
from functory.model import errors
from functory.store import chunks, cipher, queries, rules
from functory.store.sqlite import SqliteStore, connect, failures
from functory.testing.checks import samples


@pytest.fixture
def store(tmp_path: Path) -> SqliteStore:
    return make(tmp_path)


def make(folder: Path) -> SqliteStore:
    return SqliteStore(folder / "functory.db", clock=SystemClock(), cipher=cipher.from_key_file(folder / "data.key"))


# The file -------------------------------------------------------------------------------------------------------------


async def test_only_the_owner_may_read_the_files(store: SqliteStore, tmp_path: Path) -> None:
    async with running(store):
        await store.functions.create(samples.function())
        names = {path.name: stat.S_IMODE(path.stat().st_mode) for path in os.scandir(tmp_path)}
    assert set(names) == {"data.key", "functory.db", "functory.db-wal", "functory.db-shm"}
    assert set(names.values()) == {0o600}


async def test_commits_wait_for_the_disk(store: SqliteStore) -> None:
    async with running(store):
        pragmas = await store._writer.submit(
            lambda connection: {name: connection.pragma(name) for name in ("journal_mode", "synchronous")}
        )
    assert pragmas == {"journal_mode": "wal", "synchronous": 2}


async def test_every_connection_keeps_the_rules_of_the_schema_and_waits_for_others(store: SqliteStore) -> None:
    def pragmas(connection: apsw.Connection) -> list[object]:
        return [connection.pragma(name) for name in ("foreign_keys", "busy_timeout", "trusted_schema")]

    async with running(store):
        assert await store._writer.submit(pragmas) == [1, 5000, 0]
        assert await store._readers.run(pragmas) == [1, 5000, 0]


async def test_readers_cannot_write(store: SqliteStore) -> None:
    async with running(store):
        with pytest.raises(errors.SystemFault):
            await store._readers.run(lambda connection: connection.execute("DELETE FROM functions"))


async def test_a_database_of_a_newer_functory_is_refused_and_left_alone(store: SqliteStore, tmp_path: Path) -> None:
    async with running(store):
        await store._writer.submit(lambda connection: connection.pragma("user_version", 99))
    before = (tmp_path / "functory.db").read_bytes()
    with pytest.raises(errors.StorageCorrupt, match="written by a newer Functory") as caught:
        await make(tmp_path).start()
    assert "install that version" in str(caught.value)
    assert (tmp_path / "functory.db").read_bytes() == before


async def test_a_database_of_another_program_is_refused(tmp_path: Path) -> None:
    apsw.Connection(str(tmp_path / "functory.db")).execute("CREATE TABLE theirs (x)")
    with pytest.raises(errors.StorageCorrupt, match="another program"):
        await make(tmp_path).start()


@pytest.mark.parametrize(
    "content", [b"this is not a database at all, but text " * 99, b"SQLite format 3\x00" + b"\xff" * 9000]
)
async def test_a_damaged_database_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "functory.db").write_bytes(content)
    with pytest.raises(errors.StorageCorrupt):
        await make(tmp_path).start()


async def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    secrets = cipher.AesCipher(bytes(32))
    store = SqliteStore(tmp_path / "no" / "such.db", clock=SystemClock(), cipher=secrets)
    with pytest.raises(errors.SystemFault, match="cannot be opened"):
        await store.start()
    with pytest.raises(errors.Unavailable):
        await store.functions.all()
    await store.stop()


async def test_damage_found_later_is_said(store: SqliteStore) -> None:
    async with running(store):
        await store.functions.create(samples.function())
        await store.requests.append([samples.record(1)], [samples.log(1)])

        def spoil(connection: apsw.Connection) -> None:
            connection.execute("UPDATE functions SET body = '{}'")
            connection.execute("UPDATE records_20260101 SET body = x'c1'")
            connection.execute("UPDATE logs_20260101 SET body = x'93'")

        await store._writer.submit(spoil)
        for call in (
            store.functions.get(samples.ACCOUNT, "hello"),
            store.requests.list(samples.ACCOUNT),
            store.requests.logs(samples.request_id(1)),
        ):
            with pytest.raises(errors.StorageCorrupt):
                await call


async def test_the_schema_repeats_the_rules(store: SqliteStore) -> None:
    bad = [
        "INSERT INTO functions VALUES ('1', '1x', 'id', 1, '{}', 0)",
        "INSERT INTO functions VALUES ('1', 'a b', 'id', 1, '{}', 0)",
        "INSERT INTO functions VALUES ('1', 'x', 'id', 0, '{}', 0)",
        "INSERT INTO functions VALUES ('1', 'x', 'id', 1, '{', 0)",
        "INSERT INTO functions VALUES ('', 'x', 'id', 1, '{}', 0)",
        "INSERT INTO access_keys VALUES ('k', '1', 'root', 1, 0, x'00', '')",
        "INSERT INTO access_keys VALUES ('k', '1', 'read', 2, 0, x'00', '')",
        "INSERT INTO functions VALUES ('1', 'x', 'id', 1, '{}', -1)",
        "INSERT INTO account_parts VALUES ('', '1', 'x', '', '{}')",
        "INSERT INTO audit VALUES (1, '1', 2, '{}')",
        "INSERT INTO layers VALUES ('k', 'a', 'd', -1, 0)",
    ]
    async with running(store):
        for sql in bad:
            with pytest.raises(errors.SystemFault, match="CHECK constraint"):
                await store._writer.submit(lambda connection, sql=sql: connection.execute(sql))  # type: ignore[misc]


def test_migrations_are_numbered_and_run_once(tmp_path: Path) -> None:
    steps = queries.migrations()
    assert [step.version for step in steps] == list(range(1, len(steps) + 1))
    for _ in range(2):
        connection = connect.writer(tmp_path / "x.db")
        assert connection.pragma("user_version") == len(steps)
        assert connection.pragma("application_id") == connect.APPLICATION_ID
        connection.close()


# Secrets --------------------------------------------------------------------------------------------------------------


async def test_no_secret_is_in_the_files_in_the_clear(store: SqliteStore, tmp_path: Path) -> None:
    async with running(store):
        await store.keys.put(samples.key("LTAI", secret="unmistakable-secret"))
        await store.keys.secret("token", b"another-unmistakable")
        for name in os.listdir(tmp_path):
            assert b"unmistakable" not in (tmp_path / name).read_bytes()


async def test_another_data_key_is_said_and_not_taken_for_an_empty_store(store: SqliteStore, tmp_path: Path) -> None:
    async with running(store):
        await store.keys.put(samples.key("LTAI"))
        await store.keys.secret("token", b"x")
    (tmp_path / "data.key").unlink()
    with pytest.raises(errors.StorageCorrupt, match="data key"):
        await make(tmp_path).start()


def test_a_sealed_secret_opens_only_under_its_name() -> None:
    box = cipher.AesCipher(bytes(32))
    sealed = box.seal(b"s3cret", "a")
    assert box.open(sealed, "a") == b"s3cret"
    assert box.seal(b"s3cret", "a") != sealed
    for wrong, context in ((sealed, "b"), (sealed[:-1], "a"), (b"", "a"), (sealed[:12] + b"\x00" + sealed[13:], "a")):
        with pytest.raises(errors.StorageCorrupt):
            box.open(wrong, context)


def test_a_key_file_is_made_once_and_half_a_one_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "new" / "data.key"
    sealed = cipher.from_key_file(path).seal(b"x", "a")
    assert cipher.from_key_file(path).open(sealed, "a") == b"x"
    path.write_bytes(b"short")
    with pytest.raises(errors.StorageCorrupt, match="5 bytes instead of a key of 32"):
        cipher.from_key_file(path)


# The writer -----------------------------------------------------------------------------------------------------------


async def test_writers_who_come_together_share_a_commit(store: SqliteStore) -> None:
    def commits(connection: apsw.Connection) -> int:
        return int(connection.pragma("data_version"))  # counts what others committed

    async with running(store):
        watcher = connect.reader(store._path)
        before = commits(watcher)
        held = threading.Event()
        first = store._writer.submit(lambda _: held.wait())
        others = [asyncio.ensure_future(store.functions.create(samples.function(f"f{n}"))) for n in range(300)]
        await asyncio.sleep(0)
        held.set()
        await asyncio.gather(first, *others)
        assert commits(watcher) - before <= 4  # one for `first`, two for 300, one to spare
        watcher.close()


async def test_a_job_that_fails_leaves_nothing_of_itself(store: SqliteStore) -> None:
    def half(connection: apsw.Connection) -> None:
        connection.execute("INSERT INTO layers VALUES ('half', 'a', 'd', 0, 0)")
        raise errors.ConcurrentUpdate

    def broken(connection: apsw.Connection) -> None:
        connection.execute("INSERT INTO layers VALUES ('half', 'a', 'd', 0, 0)")
        raise RuntimeError("a mistake in a job")

    async with running(store):
        jobs = [store._writer.submit(job) for job in (half, broken)]
        beside = asyncio.ensure_future(store.functions.create(samples.function()))
        answers = await asyncio.gather(*jobs, beside, return_exceptions=True)
        assert [type(answer) for answer in answers] == [errors.ConcurrentUpdate, errors.SystemFault, type(None)]
        assert await store.layers.get("half") is None


async def test_a_transaction_that_sqlite_takes_back_fails_and_the_next_succeeds(store: SqliteStore) -> None:
    def lose(connection: apsw.Connection) -> None:
        connection.execute("ROLLBACK")
        raise apsw.IOError("the disk is gone")

    async with running(store):
        gate = threading.Event()
        held = store._writer.submit(lambda _: gate.wait(10))  # so that the next two are committed together
        beside = asyncio.ensure_future(store.functions.create(samples.function("beside")))
        await asyncio.sleep(0)
        lost = store._writer.submit(lose)
        gate.set()
        _, *answers = await asyncio.gather(held, beside, lost, return_exceptions=True)
        assert {type(answer) for answer in answers} == {errors.SystemFault}
        await store.functions.create(samples.function("next"))
        assert [each.name for each in await store.functions.all()] == ["next"]


def test_failures_have_their_meaning() -> None:
    assert isinstance(failures.translate(apsw.FullError()), errors.StorageFull)
    assert isinstance(failures.translate(apsw.IOError(), 28), errors.StorageFull)
    assert isinstance(failures.translate(apsw.CorruptError()), errors.StorageCorrupt)
    assert isinstance(failures.translate(apsw.BusyError()), errors.Unavailable)
    plain = apsw.IOError("x")
    error = failures.translate(plain, 5)
    assert type(error) is errors.SystemFault
    assert error.__cause__ is plain
    already = errors.FunctionNotFound("f")
    assert failures.translate(already) is already


# Chunks ---------------------------------------------------------------------------------------------------------------


def test_a_chunk_is_one_function_one_minute_and_at_most_a_thousand_records() -> None:
    batch = [samples.record(second, number) for number in range(1100) for second in (58, 61)]
    batch += [samples.record(61, 9999, name="other"), samples.record(61, 9998, account_id="2")]
    rows = chunks.of_records(batch)
    assert sorted(row.size for row in rows) == [1, 1, 100, 100, 1000, 1000]
    for row in rows:
        held = chunks.unpack_records(row.body)
        orders = rules.orders([each.request_id for each in held])
        assert (row.first, row.last, row.size) == (min(orders), max(orders), len(held))
        assert {(each.account_id, each.function_name) for each in held} == {(row.account_id, row.function_name)}
        assert rules.minute_end(row.first) == rules.minute_end(row.last)


def test_a_chunk_of_logs_is_closed_once_its_text_is_long() -> None:
    rows = chunks.of_logs([samples.log(1, number, b"x" * 400_000) for number in range(7)])
    assert [row.size for row in rows] == [3, 3, 1]


def test_an_empty_batch_is_no_row() -> None:
    assert chunks.of_records([]) == []
    assert chunks.of_logs([]) == []
