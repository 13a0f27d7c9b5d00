"""Checks JSON Web Tokens on HTTP triggers and custom domains (`authType: jwt`).

    {"jwks": {"keys": [{"kty": "RSA", "kid": "…", "alg": "RS256", "n": "…", "e": "AQAB"}]},
     "tokenLookup": "header:Authorization:Bearer,query:token,cookie:session",
     "claimPassBy": "header:sub:x-user,query:tenant:tenant",
     "whitelist": ["/public/*"]}

`tokenLookup`: where the token is looked for, in this order; the third part is a prefix that is cut off. `claimPassBy`:
which claims the function gets, and as what; what a client sends under that name itself is dropped. Paths of `whitelist`
need no token; with `blacklist`, only its paths do. The key decides which algorithms may be used, never the token.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

import jwt
import msgspec

from functory.model import errors

MAX_TOKEN_BYTES = 8192
MAX_KEYS = 20
LEEWAY_S = 60
DEFAULT_LOOKUP = "header:Authorization:Bearer"
_ALGORITHMS = {
    "RSA": ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    "EC": ("ES256", "ES384", "ES512"),
    "OKP": ("EdDSA",),
    "oct": ("HS256", "HS384", "HS512"),
}
_PLACES = frozenset({"header", "query", "cookie"})


class Lookup(NamedTuple):
    """Where a token may stand."""

    place: str
    name: str
    prefix: str


class PassBy(NamedTuple):
    """A claim that the function gets."""

    place: str
    claim: str
    name: str


class Claims(NamedTuple):
    """What a valid token says."""

    values: dict[str, Any]
    expires_ms: int
    """0 = never."""


class _Key(NamedTuple):
    kid: str
    algorithms: tuple[str, ...]
    key: Any


class _Config(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    jwks: dict[str, Any]
    token_lookup: str = DEFAULT_LOOKUP
    claim_pass_by: str = ""
    whitelist: Any = None
    blacklist: Any = None


class JwtRules:
    """One configuration, compiled."""

    def __init__(self, text: str) -> None:
        """`InvalidArgument` says what is wrong with it."""
        config = _read(text)
        self._keys = _keys(config.jwks)
        self.lookups = tuple(_lookup(part) for part in config.token_lookup.split(",") if part.strip())
        self.passed = tuple(_passed(part) for part in config.claim_pass_by.split(",") if _says(part))
        self._open = _paths("whitelist", config.whitelist)
        self._closed = _paths("blacklist", config.blacklist)
        if not self.lookups:
            raise errors.InvalidArgument("authConfig.tokenLookup names no place")
        if self._open is not None and self._closed is not None:
            raise errors.InvalidArgument("authConfig has a whitelist and a blacklist; one of them is allowed")

    def needed(self, path: str) -> bool:
        """Whether a call of this (decoded) path needs a token. One that may be read in two ways always does."""
        if "/." in path or "//" in path or "\\" in path:
            return True
        if self._open is not None:
            return self._open.fullmatch(path) is None
        return self._closed is None or self._closed.fullmatch(path) is not None

    def check(self, token: str, now_ms: int) -> Claims:
        """What the token says; `AccessDenied` if none of the keys signed it, or its time is not now."""
        if not 0 < len(token) <= MAX_TOKEN_BYTES:
            raise errors.AccessDenied("no token was found where this URL looks for one")
        try:
            header = jwt.get_unverified_header(token)
        except (jwt.PyJWTError, ValueError):
            raise errors.AccessDenied("the token is not a JSON Web Token") from None
        named = [key for key in self._keys if key.kid == header.get("kid")]
        for key in named or self._keys:
            if header.get("alg") in key.algorithms:
                claims = _verified(token, key)
                if claims is not None:
                    return _timely(claims, now_ms)
        raise errors.AccessDenied("the token is not signed by a key of this URL")


def _verified(token: str, key: _Key) -> dict[str, Any] | None:
    """Times are checked by the caller, on its clock; issuer and audience are the function's business."""
    options = {"verify_exp": False, "verify_nbf": False, "verify_iat": False, "verify_aud": False, "verify_iss": False}
    try:
        return jwt.decode(token, key.key, algorithms=list(key.algorithms), options=options)  # type: ignore[arg-type]
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        return None


def _timely(claims: dict[str, Any], now_ms: int) -> Claims:
    expires, begins = claims.get("exp"), claims.get("nbf")
    for value in (expires, begins):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int | float)):
            raise errors.AccessDenied("the token's times are not numbers")
    if expires is not None and (expires + LEEWAY_S) * 1000 <= now_ms:
        raise errors.AccessDenied("the token has ended")
    if begins is not None and (begins - LEEWAY_S) * 1000 > now_ms:
        raise errors.AccessDenied("the token is not valid yet")
    return Claims(claims, int((expires + LEEWAY_S) * 1000) if expires is not None else 0)


def _read(text: str) -> _Config:
    try:
        plain = msgspec.json.decode(text, type=dict[str, Any])
        for ours, theirs in (("whitelist", "whiteList"), ("blacklist", "blackList")):
            if theirs in plain:
                plain[ours] = plain.pop(theirs)
        return msgspec.convert({name: value for name, value in plain.items() if value not in (None, "")}, _Config)
    except msgspec.ValidationError as wrong:
        raise errors.InvalidArgument(f"authConfig is not valid: {wrong}") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as wrong:
        raise errors.InvalidArgument(f"authConfig is not a JSON text: {wrong}") from None


def _keys(jwks: dict[str, Any]) -> tuple[_Key, ...]:
    given = jwks.get("keys")
    if not isinstance(given, list) or not 0 < len(given) <= MAX_KEYS:
        raise errors.InvalidArgument(f"authConfig.jwks.keys must be a list of 1 to {MAX_KEYS} keys")
    return tuple(_key(number, one) for number, one in enumerate(given))


def _key(number: int, given: Any) -> _Key:
    if not isinstance(given, dict) or given.get("kty") not in _ALGORITHMS:
        raise errors.InvalidArgument(f"authConfig.jwks.keys[{number}] is not a key: kty must be RSA, EC, OKP or oct")
    allowed = _ALGORITHMS[given["kty"]]
    algorithm = given.get("alg")
    if algorithm is not None and algorithm not in allowed:
        raise errors.InvalidArgument(
            f"authConfig.jwks.keys[{number}].alg is not valid: {', '.join(allowed)} for kty {given['kty']}"
        )
    # A private key that was pasted by mistake verifies too: only its public half is kept.
    public = {name: value for name, value in given.items() if name not in ("d", "p", "q", "dp", "dq", "qi", "oth")}
    try:
        key = jwt.PyJWK.from_dict(public, algorithm or allowed[0]).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError, AttributeError) as wrong:
        raise errors.InvalidArgument(f"authConfig.jwks.keys[{number}] cannot be read: {wrong}") from None
    return _Key(str(given.get("kid", "")), (algorithm,) if algorithm else allowed, key)


def _lookup(part: str) -> Lookup:
    place, _, rest = part.strip().partition(":")
    name, _, prefix = rest.partition(":")
    if place not in _PLACES or not name:
        raise errors.InvalidArgument(
            f"authConfig.tokenLookup {part[:80]!r} is not valid: header, query or cookie, then a name: header:X-Token"
        )
    return Lookup(place, name.lower() if place == "header" else name, prefix.strip())


def _says(part: str) -> bool:
    """Whether a part of `claimPassBy` names a claim: the official default, `query::`, names none."""
    return bool(part.partition(":")[2].strip(" :"))


def _passed(part: str) -> PassBy:
    place, claim, name = (*part.strip().split(":"), "", "")[:3]
    if place not in ("header", "query") or not claim:
        raise errors.InvalidArgument(
            f"authConfig.claimPassBy {part[:80]!r} is not valid: header or query, a claim, and a name"
        )
    return PassBy(place, claim, name or claim)


def _paths(what: str, given: Any) -> re.Pattern[str] | None:
    """Patterns such as `/a/*`, joined; also as {"path": [...]}."""
    if isinstance(given, dict):
        given = given.get("path", given.get("paths"))
    if given is None:
        return None
    paths = [given] if isinstance(given, str) else given
    if not isinstance(paths, list) or len(paths) > 100 or not all(isinstance(one, str) for one in paths):
        raise errors.InvalidArgument(f"authConfig.{what} must be a list of at most 100 paths")
    return re.compile("|".join(_pattern(what, one) for one in paths) or r"(?!)")


def _pattern(what: str, path: str) -> str:
    head, star, rest = path.partition("*")
    if not path.startswith("/") or rest or len(path) > 1024:
        raise errors.InvalidArgument(
            f"authConfig.{what} {path[:80]!r} is not a path: /a exactly, or /a/* for all below"
        )
    return re.escape(head) + (r"(?s:.*)" if star else "")
