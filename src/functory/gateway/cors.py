"""Cross-origin rules of an HTTP trigger or custom domain: the answer to a preflight, and the headers of all others."""

from __future__ import annotations

from collections.abc import Iterable

from functory.model.trigger import Cors

NAMES = frozenset(
    {
        b"access-control-allow-origin",
        b"access-control-allow-credentials",
        b"access-control-allow-headers",
        b"access-control-allow-methods",
        b"access-control-expose-headers",
        b"access-control-max-age",
    }
)
"""What the rules say, so a function's own headers of these names are left out."""


class CorsRules:
    """One configuration, compiled."""

    def __init__(self, config: Cors, methods: Iterable[str]) -> None:
        origins = [origin.lower() for origin in config.allow_origins or []]
        self._any = "*" in origins
        self._exact = frozenset(origins)
        self._below = tuple(tuple(origin.split("*", 1)) for origin in origins if "*" in origin and origin != "*")
        self._credentials = bool(config.allow_credentials)
        self._methods = ", ".join(config.allow_methods or sorted(methods)).encode("latin-1")
        self._headers = ", ".join(config.allow_headers or []).encode("latin-1")
        self._exposed = ", ".join(config.expose_headers or []).encode("latin-1")
        self._max_age = config.max_age

    def lines(self, origin: bytes) -> bytes:
        """The header lines of an answer to a page of `origin`; empty if it may not read it."""
        named = self._named(origin.decode("latin-1").lower())
        if not origin or not (named or self._any):
            return b"vary: Origin\r\n"
        lines = b"access-control-allow-origin: %b\r\nvary: Origin\r\n" % (origin if named else b"*")
        if self._credentials and named:
            # Never for `*`: any page could then act in the name of whoever looks at it.
            lines += b"access-control-allow-credentials: true\r\n"
        if self._exposed:
            lines += b"access-control-expose-headers: %b\r\n" % self._exposed
        return lines

    def preflight(self, origin: bytes, asked_headers: bytes) -> bytes:
        """The header lines of the answer to a preflight."""
        lines = self.lines(origin)
        if not lines.startswith(b"access"):
            return lines
        lines += b"access-control-allow-methods: %b\r\n" % self._methods
        headers = asked_headers if self._headers in (b"", b"*") else self._headers
        if headers:
            lines += b"access-control-allow-headers: %b\r\n" % headers
        if self._max_age is not None:
            lines += b"access-control-max-age: %d\r\n" % self._max_age
        return lines

    def _named(self, origin: str) -> bool:
        if origin in self._exact:
            return True
        return any(
            len(origin) > len(head) + len(tail) and origin.startswith(head) and origin.endswith(tail)
            for head, tail in self._below
        )
