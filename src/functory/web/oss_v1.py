"""Checks `Authorization: OSS AK:base64(HMAC-SHA1)`, version 1 of the object store's signature.

    method, Content-MD5, Content-Type, date, sorted `x-oss-…:value` lines, /bucket/object decoded

The date is `x-oss-date` where it is sent, else `Date`. SHA-1 is the scheme's; here it only ever signs for one object
and some minutes, with a secret made for that.
"""

from __future__ import annotations

import base64
import hmac
from typing import NamedTuple
from urllib.parse import unquote

from functory.model import errors
from functory.web import fc_v1

SKEW_MS = 15 * 60 * 1000


class ObjectRequest(NamedTuple):
    """What the signature covers."""

    method: str
    bucket: str
    raw_path: bytes
    headers: dict[str, str]


def access_key_of(request: ObjectRequest) -> str:
    """Who says that they signed it; `SignatureNotMatch` if nobody does."""
    scheme, _, rest = request.headers.get("authorization", "").partition(" ")
    access_key_id, found, _ = rest.strip().rpartition(":")
    if scheme != "OSS" or not found:
        raise errors.SignatureNotMatch("header Authorization must be: OSS ACCESS_KEY_ID:SIGNATURE")
    return access_key_id


def check(request: ObjectRequest, secret: str, now_ms: int) -> None:
    """Passes if the request is signed with this secret, now; `SignatureNotMatch`."""
    headers = request.headers
    date = headers.get("x-oss-date") or headers.get("date", "")
    fc_v1.check_date(date, now_ms, SKEW_MS)
    lines = [f"{name}:{value}\n" for name, value in sorted(headers.items()) if name.startswith("x-oss-")]
    start = "\n".join(
        (request.method, headers.get("content-md5", ""), headers.get("content-type", ""), date, "".join(lines))
    )
    text = f"{start}/{request.bucket}{unquote(request.raw_path.decode('latin-1'))}"
    expected = base64.b64encode(hmac.digest(secret.encode(), text.encode("utf-8", "replace"), "sha1"))
    given = headers["authorization"].rpartition(":")[2].strip().encode("latin-1", "replace")
    if not hmac.compare_digest(expected, given):
        raise errors.SignatureNotMatch("the signature does not match the request")
