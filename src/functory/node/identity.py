"""Who may call: the keys in memory, the first account and key of a fresh node, and credentials.json."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable
from pathlib import Path

import msgspec

from functory.clock import Clock
from functory.model import account, errors
from functory.model.account import AccessKey, Account, Scope
from functory.store.accounts import Accounts
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

    def __init__(
        self,
        keys: Keys,
        *,
        clock: Clock,
        random: Callable[[int], bytes] = secrets.token_bytes,
        accounts: Accounts | None = None,
    ) -> None:
        """`accounts`: where the first account is noted down, if it is not yet."""
        self._store = keys
        self._accounts = accounts
        self._clock = clock
        self._random = random
        self._keys: dict[str, AccessKey] = {}
        self.admin: AccessKey
        """The key that the node wrote into credentials.json: the oldest active admin key of the first account."""
        self.owner = ""
        """The account that the node was made with: its admins manage all others."""
        self.token_secret = b""
        self.link_secret = b""
        self.session_secret = b""

    async def start(self) -> None:
        """Loads the keys; makes the first account and key of a fresh node."""
        keys = sorted(await self._store.all(), key=_age)
        first = next((key.account_id for key in keys if key.scope is Scope.ADMIN), "")
        first = first or account.new_account_id(self._random)
        self.owner = (await self._store.secret("owner-account", first.encode())).decode()
        if not any(_leads(key, self.owner) for key in keys):
            await self._store.put(
                account.new_key(self._random, self.owner, Scope.ADMIN, now_ms=self._clock.now_ms(), label="first")
            )
        await self.reload()
        await self._note_owner()
        self.token_secret = await self._store.secret("call-tokens", self._random(SECRET_BYTES))
        self.session_secret = await self._store.secret("sessions", self._random(SECRET_BYTES))
        self.link_secret = await self._store.secret("code-links", self._random(SECRET_BYTES))

    async def stop(self) -> None:
        """Nothing to stop."""

    async def reload(self) -> bool:
        """Takes over the stored keys; whether another key belongs into credentials.json now."""
        self._keys = {key.access_key_id: key for key in await self._store.all()}
        before: AccessKey | None = getattr(self, "admin", None)
        self.admin = min((key for key in self._keys.values() if _leads(key, self.owner)), key=_age)
        return before is not None and before != self.admin

    async def _note_owner(self) -> None:
        if self._accounts is None:
            return
        try:
            await self._accounts.get(self.owner)
        except errors.AccountNotFound:
            now_ms = self._clock.now_ms()
            await self._accounts.put(Account(account_id=self.owner, name="first", created_at_ms=now_ms))

    def find(self, access_key_id: str) -> AccessKey | None:
        """The key of this id."""
        return self._keys.get(access_key_id)

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


def _age(key: AccessKey) -> tuple[int, str]:
    return (key.created_at_ms, key.access_key_id)


def _leads(key: AccessKey, owner: str) -> bool:
    return key.account_id == owner and key.scope is Scope.ADMIN and key.active
