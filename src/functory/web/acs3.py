"""Checks ACS3-HMAC-SHA256, the signature of the official SDKs.

    Authorization: ACS3-HMAC-SHA256 Credential=AK,SignedHeaders=a;b;c,Signature=hex

    canonical request = METHOD, path as sent, canonical query, canonical headers, signed headers, hex(SHA-256(body))
    string to sign    = "ACS3-HMAC-SHA256", hex(SHA-256(canonical request))
    signature         = hex(HMAC-SHA256(secret, string to sign))                          all joined by newlines

The target is taken as it was on the wire: whoever decodes the path first breaks the signature. The canonical query
has sorted `name=value` pairs with RFC 3986 values; names come unencoded from some clients and encoded from others,
so both are tried. Host, date, nonce and body hash must be among the signed headers: a signature that leaves one of
them open could be sent again elsewhere or with another body.

This is on the path of every call. What is the same for all requests of a client (key, signed header names) is parsed
once, and only after a valid signature, so that strangers cannot fill the cache.
"""

from __future__ import annotations

import hmac
from datetime import datetime
from hashlib import sha256
from typing import NamedTuple
from urllib.parse import quote, unquote_to_bytes

from functory.model import errors
from functory.model.account import Principal
from functory.web import signers
from functory.web.nonces import Nonces
from functory.web.signers import NO_SESSIONS, Keys, Sessions

ALGORITHM = b"ACS3-HMAC-SHA256"
MAX_AUTHORIZATION_BYTES = 4096
MAX_TARGET_BYTES = 16384
MAX_NONCE_BYTES = 128
MAX_QUERY_PAIRS = 100
MAX_SIGNED_HEADERS = 64
_PUNCTUATION = frozenset(b"&=%\r\n")

_REQUIRED = (b"host", b"x-acs-content-sha256", b"x-acs-date", b"x-acs-signature-nonce")
_KNOWN_MAX = 4096
TOKEN = b"x-acs-security-token"
"""The header that temporary credentials come with."""


class SignedRequest(NamedTuple):
    """What a signature covers."""

    method: str
    """As sent, upper case."""
    target: bytes
    """The request target exactly as on the wire: path and query."""
    headers: list[tuple[bytes, bytes]]
    """Names in lower case, values as sent."""
    body_sha256: str
    """SHA-256 of the whole body as received, after de-chunking, in hex."""


class _Head(NamedTuple):
    """The part of the Authorization header that a client repeats with every request."""

    access_key_id: str
    names: tuple[bytes, ...]
    signed: bytes


_heads: dict[bytes, _Head] = {}


def verify(
    request: SignedRequest, keys: Keys, nonces: Nonces, now_ms: int, sessions: Sessions = NO_SESSIONS
) -> Principal:
    """Who signed this request.

    Raises `MissingRequiredHeader` or a `Denied` (`InvalidAccessKey`, `SignatureNotMatch`, `InvalidSecurityToken`,
    `SecurityTokenExpired`), and nothing else, whatever is sent.
    """
    method, target, header_list, body_sha256 = request
    headers = dict(header_list)
    authorization = headers.get(b"authorization")
    if authorization is None:
        raise errors.MissingRequiredHeader("the request is not signed: header Authorization is missing")
    prefix, found, given = authorization.rpartition(b"Signature=")
    head = _heads.get(prefix)
    known = head is not None
    if head is None:
        head = _parse_head(prefix if found else b"", authorization)
    if len(headers) != len(header_list):
        _refuse_doubled(header_list, head.names)
    for name in _REQUIRED:
        if name not in headers:
            raise errors.MissingRequiredHeader(f"header {name.decode()} is missing; it is part of the signature")

    signer = signers.find(keys, sessions, head.access_key_id, headers.get(TOKEN, b""))
    date_ms = check_date(headers[b"x-acs-date"], now_ms, nonces.skew_ms)
    nonce = headers[b"x-acs-signature-nonce"]
    if not 0 < len(nonce) <= MAX_NONCE_BYTES:
        raise errors.SignatureNotMatch(f"x-acs-signature-nonce must have 1 to {MAX_NONCE_BYTES} characters")
    if headers[b"x-acs-content-sha256"].strip().lower() != body_sha256.encode():
        raise errors.SignatureNotMatch("x-acs-content-sha256 is not the SHA-256 of the body that arrived")

    if not _matches(signer.secret, given, method, target, _canonical_headers(headers, head), head.signed, body_sha256):
        raise errors.SignatureNotMatch(
            "the signature does not match the request", hint="check the secret, and that no proxy changed the request"
        )
    if not nonces.use(head.access_key_id, nonce, date_ms, now_ms):
        raise errors.SignatureNotMatch(
            "x-acs-signature-nonce was used already, or the date is older than the nonces this node can remember",
            hint="sign every request anew, with the current time",
        )
    if not known:
        _remember_head(prefix, head)
    return signer.principal


def claimed_body_sha256(headers: list[tuple[bytes, bytes]]) -> str:
    """The body hash that the request says it has; empty if it says none. To verify before the body is read."""
    for name, value in headers:
        if name == b"x-acs-content-sha256":
            return value.strip().lower().decode("latin-1")[:64]
    return ""


def _parse_head(prefix: bytes, authorization: bytes) -> _Head:
    """`ACS3-HMAC-SHA256 Credential=AK,SignedHeaders=a;b,` into its parts."""
    if len(authorization) > MAX_AUTHORIZATION_BYTES:
        raise errors.SignatureNotMatch(f"header Authorization is longer than {MAX_AUTHORIZATION_BYTES} bytes")
    algorithm, _, rest = prefix.strip().partition(b" ")
    if algorithm != ALGORITHM:
        raise errors.SignatureNotMatch("header Authorization must be: ACS3-HMAC-SHA256 Credential=…,SignedHeaders=…,…")
    fields = dict(part.strip().partition(b"=")[::2] for part in rest.split(b","))
    access_key_id = fields.get(b"Credential", b"").decode("ascii", "replace")
    signed = fields.get(b"SignedHeaders", b"")
    names = tuple(signed.split(b";"))
    if not access_key_id or not signed:
        raise errors.SignatureNotMatch("header Authorization lacks Credential or SignedHeaders")
    if len(names) > MAX_SIGNED_HEADERS:
        raise errors.SignatureNotMatch(f"more than {MAX_SIGNED_HEADERS} signed headers")
    for name in _REQUIRED:
        if name not in names:
            raise errors.SignatureNotMatch(f"header {name.decode()} must be among the signed headers")
    return _Head(access_key_id, names, signed)


def _remember_head(prefix: bytes, head: _Head) -> None:
    if len(_heads) >= _KNOWN_MAX:
        _heads.clear()
    _heads[prefix] = head


def _refuse_doubled(headers: list[tuple[bytes, bytes]], signed: tuple[bytes, ...]) -> None:
    """A signed header that is there twice could be read one way here and another way by a handler."""
    seen: set[bytes] = set()
    for name, _ in headers:
        if name in seen and (name in signed or name == b"authorization"):
            raise errors.SignatureNotMatch(f"header {name.decode('latin-1')[:64]} is there more than once")
        seen.add(name)


def check_date(value: bytes, now_ms: int, skew_ms: int) -> int:
    """The request's date, in milliseconds since 1970, if it is near enough to now."""
    try:
        # `2026-11-23T10:00:00Z`, perhaps with milliseconds; never another form that fromisoformat knows.
        if not 20 <= len(value) <= 27 or value[10:11] != b"T" or value[-1:] != b"Z":
            raise ValueError("another form")
        date_ms = int(datetime.fromisoformat(value.decode("ascii")).timestamp() * 1000)
    except (ValueError, OverflowError):
        shown = value[:40].decode("ascii", "replace")
        raise errors.SignatureNotMatch(f"x-acs-date {shown!r} is not a date like 2026-11-23T10:00:00Z") from None
    off_ms = now_ms - date_ms
    if not -skew_ms <= off_ms <= skew_ms:
        way = "behind" if off_ms > 0 else "ahead of"
        raise errors.SignatureNotMatch(
            f"x-acs-date is {abs(off_ms) // 1000} s {way} the node's clock; {skew_ms // 1000} s are allowed"
        )
    return date_ms


def _canonical_headers(headers: dict[bytes, bytes], head: _Head) -> bytes:
    """`name:trimmed value` and a newline for each signed header, in the order of SignedHeaders."""
    try:
        return b"".join([b"%b:%b\n" % (name, headers[name].strip()) for name in head.names])
    except KeyError as missing:
        name = missing.args[0].decode("latin-1")[:64]
        raise errors.SignatureNotMatch(f"signed header {name} did not arrive") from None


def _matches(
    secret: str, given: bytes, method: str, target: bytes, headers: bytes, signed: bytes, body_sha256: str
) -> bool:
    """Whether `given` is the signature under any of the canonical forms of the query."""
    path, _, query = target.partition(b"?")
    for form in canonical_queries(query, len(target)):
        request = b"%b\n%b\n%b\n%b\n%b\n%b" % (
            *(method.encode("latin-1", "replace"), path or b"/", form),
            *(headers, signed, body_sha256.encode("latin-1", "replace")),
        )
        to_sign = b"ACS3-HMAC-SHA256\n" + sha256(request).hexdigest().encode()
        expected = hmac.digest(secret.encode(), to_sign, "sha256").hex()
        if hmac.compare_digest(expected.encode(), given.strip()):
            return True
    return False


def canonical_queries(query: bytes, target_bytes: int) -> list[bytes]:
    """The forms the query may have been signed in: names as they are, and names encoded."""
    if not query:
        return [b""]
    if target_bytes > MAX_TARGET_BYTES:
        raise errors.SignatureNotMatch(f"the request target is longer than {MAX_TARGET_BYTES} bytes")
    parts = query.split(b"&")
    if len(parts) > MAX_QUERY_PAIRS:
        raise errors.SignatureNotMatch(f"more than {MAX_QUERY_PAIRS} query parameters")
    pairs = sorted([(_decoded(name), _encoded(_decoded(value))) for name, _, value in map(_split, parts) if name])
    encoded = b"&".join([b"%b=%b" % pair for pair in sorted((_encoded(name), value) for name, value in pairs)])
    if any(_PUNCTUATION.intersection(name) for name, _ in pairs):
        return [encoded]  # as it stands, `a=1&b` would read like two parameters, and a line end like another header
    plain = b"&".join([b"%b=%b" % pair for pair in pairs])
    return [plain] if plain == encoded else [plain, encoded]


def _split(part: bytes) -> tuple[bytes, bytes, bytes]:
    return part.partition(b"=")


def _decoded(text: bytes) -> bytes:
    """What a query name or value means: `+` is a space, `%xx` a byte."""
    if text.isalnum():
        return text
    return unquote_to_bytes(text.replace(b"+", b" "))


def _encoded(text: bytes) -> bytes:
    """RFC 3986: all but letters, digits and `-._~` is `%XX`."""
    return text if text.isalnum() else quote(text, safe="").encode()
