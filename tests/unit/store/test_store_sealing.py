"""Environment variables at rest: what lies on the disk tells nothing of them."""

from __future__ import annotations

from pathlib import Path

import apsw
import msgspec
import pytest
from msgspec import structs

from functory.clock import SystemClock
from functory.lifecycle import running
from functory.model import errors
from functory.store import bodies, cipher
from functory.store.sealing import Sealing
from functory.store.sqlite import SqliteStore
from functory.testing.checks import samples

SECRET = "the word that nobody may read"
FUNCTION = structs.replace(samples.function(), environment={"PASSWORD": SECRET, "MODE": "fast"})


def make(folder: Path) -> SqliteStore:
    return SqliteStore(folder / "x.db", clock=SystemClock(), cipher=cipher.from_key_file(folder / "key"))


def on_disk(folder: Path) -> bytes:
    return b"".join(path.read_bytes() for path in folder.glob("x.db*"))


async def test_neither_functions_nor_versions_show_them_in_the_files(tmp_path: Path) -> None:
    async with running(store := make(tmp_path)):
        await store.functions.create(FUNCTION)
        await store.versions.publish(FUNCTION.account_id, FUNCTION.name, description="", at_ms=1)
        changed = structs.replace(FUNCTION, epoch=2, description="other")
        await store.functions.replace(changed)
        assert SECRET.encode() not in on_disk(tmp_path)
        assert b"PASSWORD" not in on_disk(tmp_path)
        assert FUNCTION.handler.encode() in on_disk(tmp_path), "the rest can be read"
    assert SECRET.encode() not in on_disk(tmp_path)
    async with running(store := make(tmp_path)):
        assert await store.functions.get(FUNCTION.account_id, FUNCTION.name) == changed
        assert await store.functions.all() == [changed]
        assert await store.functions.list(FUNCTION.account_id) == [changed]
        [version] = await store.versions.all()
        assert version.function.environment == FUNCTION.environment
        found = await store.versions.get(FUNCTION.account_id, FUNCTION.name, "1")
        assert found.function.environment == FUNCTION.environment
        assert await store.functions.delete(FUNCTION.account_id, FUNCTION.name) == changed


async def test_a_publish_without_a_change_is_still_seen(tmp_path: Path) -> None:
    async with running(store := make(tmp_path)):
        await store.functions.create(FUNCTION)
        await store.versions.publish(FUNCTION.account_id, FUNCTION.name, description="", at_ms=1)
        with pytest.raises(errors.VersionPublishError):
            await store.versions.publish(FUNCTION.account_id, FUNCTION.name, description="", at_ms=2)


async def test_what_an_earlier_functory_left_in_the_clear_is_sealed_at_the_next_start(tmp_path: Path) -> None:
    async with running(store := make(tmp_path)):
        await store.functions.create(structs.replace(FUNCTION, environment={}))
        await store.versions.publish(FUNCTION.account_id, FUNCTION.name, description="", at_ms=1)
        version = await store.versions.get(FUNCTION.account_id, FUNCTION.name, "1")
    frozen = structs.replace(version.function, environment=FUNCTION.environment)
    connection = apsw.Connection(str(tmp_path / "x.db"))
    connection.execute("UPDATE functions SET body = ?", (bodies.of_function(FUNCTION).decode(),))
    old = msgspec.json.encode(structs.replace(version, function=frozen)).decode()
    connection.execute("UPDATE function_parts SET body = ?", (old,))
    connection.close()
    async with running(store := make(tmp_path)):
        assert await store.functions.get(FUNCTION.account_id, FUNCTION.name) == FUNCTION
        assert (await store.versions.get(FUNCTION.account_id, FUNCTION.name, "1")).function == frozen
    connection = apsw.Connection(str(tmp_path / "x.db"))
    stored = [
        body for (body,) in connection.execute("SELECT body FROM functions UNION SELECT body FROM function_parts")
    ]
    connection.close()
    assert len(stored) == 2
    assert not any(SECRET in str(body) for body in stored)


def sealing(byte: int) -> Sealing:
    return Sealing(cipher.AesCipher(bytes([byte] * 32)))


def test_another_key_another_function_and_damage_are_told_apart() -> None:
    body = bodies.of_function(FUNCTION)
    sealed = sealing(1).seal(body)
    assert bodies.to_function(sealing(1).open(sealed)) == FUNCTION
    with pytest.raises(errors.StorageCorrupt, match=r"were sealed with key .*, this node has"):
        sealing(2).open(sealed)
    moved = sealed.replace(FUNCTION.function_id.encode(), b"another")
    with pytest.raises(errors.StorageCorrupt, match="cannot be opened"):
        sealing(1).open(moved)
    fields = msgspec.json.decode(sealed)
    for wrong in ("no key", 7, fields["sealed_environment"][:-8] + "AAAAAAA=", fields["sealed_environment"] + "!"):
        with pytest.raises(errors.StorageCorrupt):
            sealing(1).open(msgspec.json.encode({**fields, "sealed_environment": wrong}))


def test_two_seals_of_the_same_differ_and_nothing_is_sealed_that_is_not_there() -> None:
    body = bodies.of_function(FUNCTION)
    assert sealing(1).seal(body) != sealing(1).seal(body)
    bare = bodies.of_function(structs.replace(FUNCTION, environment={}))
    assert sealing(1).seal(bare) == bare


def test_the_words_of_the_field_in_a_value_are_no_field() -> None:
    odd = structs.replace(FUNCTION, environment={}, description='"sealed_environment"')
    body = bodies.of_function(odd)
    assert bodies.to_function(sealing(1).open(body)) == odd
