"""Whose signature it is: a key of the store, or temporary credentials that come with their security token.

Every signature scheme asks here, so that all accept temporary credentials in the same way.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, Protocol

from functory.model import errors
from functory.model.account import AccessKey, Principal

Keys = Callable[[str], AccessKey | None]
"""The access key of this id, or None."""

TEMPORARY = "STS."
"""How the ids of temporary credentials begin."""
MAX_TOKEN_BYTES = 2048


class Signer(NamedTuple):
    """Who signs, and with what."""

    secret: str
    principal: Principal


class Sessions(Protocol):
    """Opens security tokens: `web.sessions.Sessions`."""

    def open(self, access_key_id: str, token: bytes) -> Signer:
        """Whose token it is; `InvalidSecurityToken`, `SecurityTokenExpired`."""


class NoSessions:
    """Where there are no temporary credentials."""

    def open(self, access_key_id: str, token: bytes) -> Signer:
        """Refuses all."""
        raise errors.InvalidSecurityToken("no temporary credentials are given out here")


NO_SESSIONS = NoSessions()


def find(keys: Keys, sessions: Sessions, access_key_id: str, token: bytes) -> Signer:
    """The signer of this id; `InvalidAccessKey` if there is none. `token`: the security token sent, or nothing."""
    if token or access_key_id.startswith(TEMPORARY):
        return sessions.open(access_key_id, token.strip())
    key = keys(access_key_id)
    if key is None or not key.active:
        raise errors.InvalidAccessKey(f"access key {access_key_id[:64]!r} does not exist or is not active")
    return Signer(key.secret, Principal(account_id=key.account_id, access_key_id=key.access_key_id, scope=key.scope))
