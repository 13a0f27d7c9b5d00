"""Call tokens: what a program needs to call functions, without a secret to sign with.

A JWT (HS256) over a secret of the node, sent as `Authorization: Bearer TOKEN`. It lives as long as it says and as the
key it was made with. It may call functions and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import jwt
import msgspec

from functory.clock import Clock
from functory.model import errors
from functory.model.account import AccessKey, Principal, Scope

MAX_TOKEN_CHARS = 4096
MIN_SECRET_BYTES = 32

_ALGORITHM = "HS256"
_ISSUER = "functory"
_AUDIENCE = "functory:call"
_WANTED = ["iss", "aud", "exp", "sub", "acc"]


class _Claims(msgspec.Struct, frozen=True, kw_only=True):
    """The payload of a token."""

    sub: str
    """The access key id it was made with."""
    acc: str
    """The account id."""
    exp: int
    """When it ends, in seconds since 1970."""
    fns: list[str] | None = None
    """The only functions it may call; None = all."""


class CallTokens:
    """Makes and checks call tokens. `secret`: 32 bytes or more; `keys`: the access key of an id, or None."""

    def __init__(self, secret: bytes, clock: Clock, keys: Callable[[str], AccessKey | None]) -> None:
        if len(secret) < MIN_SECRET_BYTES:
            raise ValueError(f"the token secret has {len(secret)} bytes; {MIN_SECRET_BYTES} are needed")
        self._secret = secret
        self._clock = clock
        self._keys = keys

    def make(self, principal: Principal, functions: Sequence[str] | None, expires_in_s: int) -> tuple[str, int]:
        """A token for these functions (None = all) and its end in milliseconds since 1970."""
        expires_s = self._clock.now_ms() // 1000 + expires_in_s
        claims: dict[str, object] = {
            "iss": _ISSUER,
            "aud": _AUDIENCE,
            "exp": expires_s,
            "sub": principal.access_key_id,
            "acc": principal.account_id,
            "fns": None if functions is None else sorted(functions),
        }
        token = jwt.encode(claims, self._secret, algorithm=_ALGORITHM)
        if len(token) > MAX_TOKEN_CHARS:
            raise errors.InvalidArgument(
                f"a token for {len(functions or ())} functions has {len(token)} characters; {MAX_TOKEN_CHARS} are "
                "allowed: name fewer functions"
            )
        return token, expires_s * 1000

    def check(self, token: str) -> Principal:
        """Who it stands for; `AccessDenied` if it is not ours, ended, or its key is no longer active.

        An answer may be kept until `expires_at_ms`, and no longer than a change of the keys.
        """
        claims = self._decode(token)
        if claims.exp * 1000 <= self._clock.now_ms():
            raise errors.AccessDenied("the call token has ended", hint="make a new one")
        key = self._keys(claims.sub)
        if key is None or not key.active or key.account_id != claims.acc:
            raise errors.AccessDenied("the access key this call token was made with is not active any more")
        return Principal(
            account_id=claims.acc,
            access_key_id=claims.sub,
            scope=Scope.INVOKE,
            functions=None if claims.fns is None else frozenset(claims.fns),
            expires_at_ms=claims.exp * 1000,
        )

    def _decode(self, token: str) -> _Claims:
        """The claims of a token of this node. Its end is checked by the caller, on the injected clock."""
        if len(token) > MAX_TOKEN_CHARS:
            raise errors.AccessDenied(f"the call token is longer than {MAX_TOKEN_CHARS} characters")
        try:
            claims = jwt.decode(
                token,
                self._secret,
                algorithms=[_ALGORITHM],
                audience=_AUDIENCE,
                issuer=_ISSUER,
                options={"require": _WANTED, "verify_exp": False},
            )
            return msgspec.convert(claims, _Claims)
        except (jwt.PyJWTError, msgspec.ValidationError, ValueError, RecursionError):
            # ValueError: characters that no token has (pyjwt lets the encoder's error through).
            raise errors.AccessDenied("the call token is not valid on this node") from None
