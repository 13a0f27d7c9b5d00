"""Who may call: the keys in memory, the first account and key of a fresh node, and credentials.json."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

import msgspec

from functory.clock import Clock
from functory.model.account import AccessKey, Scope
from functory.store.base import Keys

SECRET_BYTES = 32


class Credentials(msgspec.Struct, frozen=True, rename="camel"):
    """What `credentials.json` holds: all that a client on this machine needs."""

    endpoint: str
    account_id: str
    access_key_id: str
    access_key_secret: str


class Identity:
    """The access keys, loaded from the store. A Service."""

    def __init__(self, keys: Keys, *, clock: Clock, random: Callable[[int], bytes] = secrets.token_bytes) -> None:
        self._store = keys
        self._clock = clock
        self._random = random
        self._keys: dict[str, AccessKey] = {}
        self.admin: AccessKey
        """The key that the node wrote into credentials.json."""
        self.token_secret = b""
        self.link_secret = b""

    async def start(self) -> None:
        """Loads the keys; makes the first account and key of a fresh node."""
        for key in await self._store.all():
            self._keys[key.access_key_id] = key
        admins = [key for key in self._keys.values() if key.scope is Scope.ADMIN and key.active]
        if admins:
            self.admin = min(admins, key=lambda key: (key.created_at_ms, key.access_key_id))
        else:
            self.admin = self._new_key()
            await self._store.put(self.admin)
            self._keys[self.admin.access_key_id] = self.admin
        self.token_secret = await self._store.secret("call-tokens", self._random(SECRET_BYTES))
        self.link_secret = await self._store.secret("code-links", self._random(SECRET_BYTES))

    async def stop(self) -> None:
        """Nothing to stop."""

    def find(self, access_key_id: str) -> AccessKey | None:
        """The key of this id."""
        return self._keys.get(access_key_id)

    def _new_key(self) -> AccessKey:
        # An account id is 16 digits, as the official ones are: SDKs and ARNs show it.
        number = int.from_bytes(self._random(8), "big") % 9 * 10**15 + int.from_bytes(self._random(8), "big") % 10**15
        return AccessKey(
            access_key_id="FK" + self._random(11).hex(),
            secret=self._random(24).hex(),
            account_id=str(10**15 + number)[:16],
            created_at_ms=self._clock.now_ms(),
        )

    def write_credentials(self, path: Path, endpoint: str) -> bool:
        """Writes credentials.json (0600, whole or not at all); whether it was not there before."""
        fresh = not path.exists()
        text = msgspec.json.format(
            msgspec.json.encode(
                Credentials(
                    endpoint=endpoint,
                    account_id=self.admin.account_id,
                    access_key_id=self.admin.access_key_id,
                    access_key_secret=self.admin.secret,
                )
            ),
            indent=2,
        )
        temporary = path.with_suffix(".new")
        temporary.unlink(missing_ok=True)
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(text + b"\n")
        temporary.replace(path)
        return fresh
