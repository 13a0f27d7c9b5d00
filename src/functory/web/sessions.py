"""Temporary credentials of functions: made from a role, good for a while, kept nowhere.

    security token = FS1. + base64url(account, role, function, end) + . + base64url(HMAC-SHA256 over it)
    secret         = base64url(HMAC-SHA256 over the same, under another purpose)

Whoever shows the token with a signature made with the secret is the function, so nothing is stored per session and
nothing written per call. What the role may do is looked up at each use: a role that is deleted or narrowed counts at
once. What was opened is remembered until the roles change or the token ends.
"""

from __future__ import annotations

import binascii
import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable
from typing import NamedTuple

import msgspec

from functory.clock import Clock
from functory.model import errors
from functory.model.account import Principal
from functory.model.role import Role
from functory.web import signers
from functory.web.signers import Signer

PREFIX = b"FS1."
MIN_SECRET_BYTES = 32
_KNOWN_MAX = 10_000
_TOKEN_PURPOSE, _SECRET_PURPOSE = b"functory:session-token\n", b"functory:session-secret\n"


class Credentials(NamedTuple):
    """What a function gets."""

    access_key_id: str
    access_key_secret: str
    security_token: str
    expires_at_ms: int

    def __repr__(self) -> str:
        return f"Credentials({self.access_key_id}, until {self.expires_at_ms})"


class _Claims(msgspec.Struct, frozen=True, array_like=True):
    """What a token says."""

    account_id: str
    role_id: str
    function_name: str
    expires_at_ms: int


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(_Claims).decode

FindRole = Callable[[str, str], Role | None]
"""The role of an account and role id, or None."""


class Sessions:
    """Makes and opens temporary credentials. `secret`: 32 bytes or more, of the node."""

    def __init__(self, secret: bytes, clock: Clock, roles: FindRole) -> None:
        if len(secret) < MIN_SECRET_BYTES:
            raise ValueError(f"the session secret has {len(secret)} bytes; {MIN_SECRET_BYTES} are needed")
        self._secret = secret
        self._clock = clock
        self._roles = roles
        self._known: dict[bytes, tuple[Signer, int]] = {}

    def roles_changed(self) -> None:
        """Nothing remembered about rights is valid."""
        self._known.clear()

    def make(self, role: Role, function_name: str, lives_s: int) -> Credentials:
        """Credentials of this role for so many seconds."""
        expires_at_ms = self._clock.now_ms() + lives_s * 1000
        claims = _encode(_Claims(role.account_id, role.role_id, function_name, expires_at_ms))
        token = PREFIX + urlsafe_b64encode(claims) + b"." + self._mac(_TOKEN_PURPOSE, claims)
        return Credentials(
            access_key_id=_id_of(role),
            access_key_secret=self._mac(_SECRET_PURPOSE, claims).decode(),
            security_token=token.decode(),
            expires_at_ms=expires_at_ms,
        )

    def open(self, access_key_id: str, token: bytes) -> Signer:
        """Whose credentials these are; `InvalidSecurityToken`, `SecurityTokenExpired`."""
        known = self._known.get(token)
        if known is None:
            known = self._open(token)
            if len(self._known) >= _KNOWN_MAX:
                self._known.clear()
            self._known[token] = known
        signer, expires_at_ms = known
        if expires_at_ms <= self._clock.now_ms():
            self._known.pop(token, None)
            raise errors.SecurityTokenExpired("the temporary credentials have ended", hint="read them from the context")
        if signer.principal.access_key_id != access_key_id:
            raise errors.InvalidSecurityToken("the security token does not belong to this access key id")
        return signer

    def _open(self, token: bytes) -> tuple[Signer, int]:
        body = self._checked(token)
        claims = _decode(body)
        role = self._roles(claims.account_id, claims.role_id)
        if role is None:
            raise errors.InvalidSecurityToken("the role that these credentials were made from is deleted")
        principal = Principal(
            account_id=claims.account_id,
            access_key_id=_id_of(role),
            scope=role.scopes[0],
            more=role.scopes[1:],
            functions=None if role.functions is None else frozenset(role.functions),
            expires_at_ms=claims.expires_at_ms,
            role=role.name,
        )
        return Signer(self._mac(_SECRET_PURPOSE, body).decode(), principal), claims.expires_at_ms

    def _checked(self, token: bytes) -> bytes:
        """What a token of this node says."""
        if not token:
            raise errors.InvalidSecurityToken("temporary credentials need their security token beside the signature")
        head, _, given = token[: signers.MAX_TOKEN_BYTES + 1].rpartition(b".")
        if len(token) <= signers.MAX_TOKEN_BYTES and head.startswith(PREFIX):
            try:
                body = urlsafe_b64decode(head[len(PREFIX) :])
            except (binascii.Error, ValueError):
                body = b""
            if body and hmac.compare_digest(self._mac(_TOKEN_PURPOSE, body), given):
                return body
        raise errors.InvalidSecurityToken("the security token is not one of this node's")

    def _mac(self, purpose: bytes, body: bytes) -> bytes:
        return urlsafe_b64encode(hmac.digest(self._secret, purpose + body, "sha256")).rstrip(b"=")


def _id_of(role: Role) -> str:
    return signers.TEMPORARY + role.role_id
