"""Access keys and the node's own secrets in SQLite, sealed."""

from __future__ import annotations

from collections.abc import Sequence

import apsw

from functory.clock import Clock
from functory.model import errors
from functory.model.account import AccessKey, Scope
from functory.store import queries, rules
from functory.store.cipher import Cipher
from functory.store.sqlite.readers import Readers
from functory.store.sqlite.writer import Writer

SQL = queries.load("keys")


class SqliteKeys:
    """`store.base.Keys`."""

    def __init__(self, writer: Writer, readers: Readers, clock: Clock, cipher: Cipher) -> None:
        self._writer = writer
        self._readers = readers
        self._clock = clock
        self._cipher = cipher

    async def put(self, key: AccessKey) -> None:
        """Adds or replaces a key."""
        rules.check_key(key)
        row = {
            "access_key_id": key.access_key_id,
            "account_id": key.account_id,
            "scope": str(key.scope),
            "active": int(key.active),
            "created_at_ms": key.created_at_ms,
            "label": key.label,
            "sealed": self._cipher.seal(key.secret.encode(), _key_context(key.access_key_id)),
        }

        def put(connection: apsw.Connection) -> None:
            connection.execute(SQL["put_key"], row)

        await self._writer.submit(put)

    async def delete(self, access_key_id: str) -> None:
        """Removes a key."""
        values = {"access_key_id": access_key_id}

        def delete(connection: apsw.Connection) -> None:
            connection.execute(SQL["delete_key"], values)

        await self._writer.submit(delete)

    async def all(self) -> Sequence[AccessKey]:
        """All keys."""
        return await self._readers.run(self._all)

    async def secret(self, name: str, new: bytes) -> bytes:
        """The stored secret of this name; if there is none, `new` is stored and answered."""
        row = {
            "name": rules.check_text("the secret's name", name),
            "created_at_ms": self._clock.now_ms(),
            "sealed": self._cipher.seal(new, _secret_context(name)),
        }

        def add(connection: apsw.Connection) -> bytes:
            connection.execute(SQL["add_secret"], row)
            sealed: bytes = connection.execute(SQL["get_secret"], {"name": name}).get
            return self._cipher.open(sealed, _secret_context(name))

        return await self._writer.submit(add)

    def check(self, connection: apsw.Connection) -> None:
        """`StorageCorrupt` if the data key is not the one that this database was sealed with.

        Before anything is sealed: what were sealed with a wrong one, the right one could never open again.
        """
        self._all(connection)

    def _all(self, connection: apsw.Connection) -> list[AccessKey]:
        return [self._key(*row) for row in connection.execute(SQL["all_keys"])]

    def _key(
        self,
        access_key_id: str,
        sealed: bytes,
        account_id: str,
        scope: str,
        active: int,
        created_at_ms: int,
        label: str,
    ) -> AccessKey:
        try:
            secret = self._cipher.open(sealed, _key_context(access_key_id)).decode()
        except UnicodeDecodeError as reason:
            raise errors.StorageCorrupt(f"the secret of access key {access_key_id} is not text") from reason
        return AccessKey(
            access_key_id=access_key_id,
            secret=secret,
            account_id=account_id,
            scope=Scope(scope),
            active=bool(active),
            created_at_ms=created_at_ms,
            label=label,
        )


def _key_context(access_key_id: str) -> str:
    return f"access key {access_key_id}"


def _secret_context(name: str) -> str:
    return f"secret {name}"
