"""Signed links: a path that whoever holds it may read, until it ends."""

from __future__ import annotations

import hmac

from functory.clock import Clock
from functory.model import errors

_PURPOSE = b"functory:link\n"


class Links:
    """Signs and checks paths with a secret of the node."""

    def __init__(self, secret: bytes, clock: Clock) -> None:
        self._secret = secret
        self._clock = clock

    def sign(self, path: str, expires_in_s: int) -> str:
        """The query (`expires=…&signature=…`) that opens `path` for so many seconds."""
        expires = str(self._clock.now_ms() // 1000 + expires_in_s)
        return f"expires={expires}&signature={self._signature(path, expires)}"

    def check(self, path: str, expires: str, signature: str) -> None:
        """`AccessDenied` unless `signature` is that of `path` and `expires`, and the time has not come."""
        expected = self._signature(path, expires)
        if not hmac.compare_digest(expected.encode(), signature.encode("utf-8", "replace")):
            raise errors.AccessDenied("the link's signature does not match its path and time")
        # Only what this node signed comes here, so it is a number.
        if int(expires) * 1000 <= self._clock.now_ms():
            raise errors.AccessDenied("the link has ended", hint="ask for a new one: GetFunctionCode")

    def _signature(self, path: str, expires: str) -> str:
        text = _PURPOSE + f"{expires}\n{path}".encode("utf-8", "replace")
        return hmac.digest(self._secret, text, "sha256").hex()
