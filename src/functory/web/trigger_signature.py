"""Checks signed calls of HTTP triggers and custom domains (`authType: function`), by the official recipe.

It is ACS3-HMAC-SHA256 with an empty payload line: neither the body nor the host nor a nonce is covered, only method,
path, query and date. So such a request can be sent again for as long as its date is near enough, and to another
function of the account that has the same path. That is what clients of triggers sign, and the reason why this form is
accepted nowhere else.
"""

from __future__ import annotations

import hmac
from hashlib import sha256

from functory.model import errors
from functory.model.account import Principal
from functory.web import acs3, signers
from functory.web.signers import NO_SESSIONS, Keys, Sessions

SKEW_MS = 15 * 60 * 1000
_DATE = b"x-acs-date"


def verify(
    method: str,
    target: bytes,
    header_list: list[tuple[bytes, bytes]],
    keys: Keys,
    now_ms: int,
    sessions: Sessions = NO_SESSIONS,
) -> Principal:
    """Who signed this request. Raises what `acs3.verify` raises."""
    headers = dict(header_list)
    authorization = headers.get(b"authorization", b"")
    if not authorization:
        raise errors.MissingRequiredHeader("this URL wants a signature: header Authorization is missing")
    access_key_id, names, given = _parts(authorization)
    if _DATE not in names or _DATE not in headers:
        raise errors.MissingRequiredHeader("header x-acs-date is missing, or not among the signed headers")
    if len(headers) != len(header_list) and _doubled(header_list, names):
        raise errors.SignatureNotMatch("a signed header is there more than once")
    signer = signers.find(keys, sessions, access_key_id, headers.get(acs3.TOKEN, b""))
    acs3.check_date(headers[_DATE], now_ms, SKEW_MS)
    lines = b"".join(b"%b:%b\n" % (name, headers.get(name, b"").strip()) for name in names)
    path, _, query = target.partition(b"?")
    for form in acs3.canonical_queries(query, len(target)):
        request = b"%b\n%b\n%b\n%b\n%b\n" % (method.encode("latin-1"), path or b"/", form, lines, b";".join(names))
        to_sign = acs3.ALGORITHM + b"\n" + sha256(request).hexdigest().encode()
        expected = hmac.digest(signer.secret.encode(), to_sign, "sha256").hex().encode()
        if hmac.compare_digest(expected, given):
            return signer.principal
    raise errors.SignatureNotMatch(
        "the signature does not match the request", hint="sign method, path, query and x-acs-date, with empty payload"
    )


def _parts(authorization: bytes) -> tuple[str, tuple[bytes, ...], bytes]:
    """Access key id, signed header names and signature."""
    algorithm, _, rest = authorization[: acs3.MAX_AUTHORIZATION_BYTES].strip().partition(b" ")
    fields = dict(part.strip().partition(b"=")[::2] for part in rest.split(b","))
    signed = fields.get(b"SignedHeaders", b"")
    names = tuple(signed.split(b";"))
    if algorithm != acs3.ALGORITHM or not signed or len(names) > acs3.MAX_SIGNED_HEADERS:
        raise errors.SignatureNotMatch(
            "header Authorization must be: ACS3-HMAC-SHA256 Credential=…,SignedHeaders=…,Signature=…"
        )
    return fields.get(b"Credential", b"").decode("ascii", "replace"), names, fields.get(b"Signature", b"")


def _doubled(headers: list[tuple[bytes, bytes]], signed: tuple[bytes, ...]) -> bool:
    names = [name for name, _ in headers if name in signed or name == b"authorization"]
    return len(names) != len(set(names))
