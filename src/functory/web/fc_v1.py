"""Checks `Authorization: FC AK:base64(HMAC-SHA256)`, the signature of the 2016 API.

    method, Content-MD5, Content-Type, Date, sorted `x-fc-…:value` lines, path decoded [, sorted query pairs]

It covers neither body nor host and has no nonce: a request can be sent again for as long as its date is near enough.
So it is accepted only where a client needs it and where a repeated request gains nothing: the token for an upload,
which whoever repeats it can read only if the answer can be read already.
"""

from __future__ import annotations

import base64
import hmac
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qsl, unquote

from functory.model import errors
from functory.model.account import Principal
from functory.web import signers
from functory.web.signers import NO_SESSIONS, Keys, Sessions

SKEW_MS = 15 * 60 * 1000


def verify(
    method: str,
    raw_path: bytes,
    query: bytes,
    header_list: list[tuple[bytes, bytes]],
    keys: Keys,
    now_ms: int,
    sessions: Sessions = NO_SESSIONS,
) -> Principal:
    """Who signed this request. Raises what `acs3.verify` raises. The security token is `x-fc-security-token`."""
    headers = {name.decode("latin-1"): value.decode("latin-1").strip() for name, value in header_list}
    if len(headers) != len(header_list):
        raise errors.SignatureNotMatch("a header is there more than once")
    scheme, _, rest = headers.get("authorization", "").partition(" ")
    access_key_id, _, given = rest.strip().partition(":")
    if scheme != "FC" or not given:
        raise errors.MissingRequiredHeader("header Authorization must be: FC ACCESS_KEY_ID:SIGNATURE")
    token = headers.get("x-fc-security-token", "").encode("latin-1")
    signer = signers.find(keys, sessions, access_key_id, token)
    check_date(headers.get("date", ""), now_ms, SKEW_MS)
    expected = (_sign(signer.secret, text) for text in _texts(method, raw_path, query, headers))
    if not any(hmac.compare_digest(one, given.encode("latin-1", "replace")) for one in expected):
        raise errors.SignatureNotMatch("the signature does not match the request", hint="check the secret")
    return signer.principal


def check_date(text: str, now_ms: int, skew_ms: int) -> None:
    """Passes if an HTTP date is near enough to now."""
    try:
        date_ms = int(parsedate_to_datetime(text[:64]).timestamp() * 1000)
    except (ValueError, TypeError, OverflowError, IndexError):
        raise errors.SignatureNotMatch("header Date is missing or not an HTTP date") from None
    if abs(date_ms - now_ms) > skew_ms:
        raise errors.SignatureNotMatch(
            f"the request's date is {abs(date_ms - now_ms) // 1000} s from the node's clock; {skew_ms // 1000} s are "
            "allowed"
        )


def _texts(method: str, raw_path: bytes, query: bytes, headers: dict[str, str]) -> list[str]:
    """What may have been signed: clients differ in whether an empty query leaves a line."""
    lines = [f"{name}:{value}\n" for name, value in sorted(headers.items()) if name.startswith("x-fc-")]
    start = "\n".join(
        (method, headers.get("content-md5", ""), headers.get("content-type", ""), headers.get("date", ""), "")
    )
    text = start + "".join(lines) + unquote(raw_path.decode("latin-1"))
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)[:100]
    return [text, text + "\n" + "\n".join(sorted(f"{name}={value}" for name, value in pairs))]


def _sign(secret: str, text: str) -> bytes:
    return base64.b64encode(hmac.digest(secret.encode(), text.encode("utf-8", "replace"), "sha256"))
