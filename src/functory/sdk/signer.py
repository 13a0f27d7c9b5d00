"""ACS3-HMAC-SHA256: how a client proves that it holds the secret of an access key.

    CanonicalRequest = METHOD \\n path \\n query \\n headers \\n names \\n hex(SHA-256(body))
    StringToSign     = "ACS3-HMAC-SHA256" \\n hex(SHA-256(CanonicalRequest))
    Signature        = hex(HMAC-SHA256(secret, StringToSign))

The path is signed as it is sent, the query percent-encoded (RFC 3986) and sorted. Date and nonce are signed too, so an
old request cannot be sent again; the body's hash is, so it cannot be changed. Pure: date and nonce are the caller's.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections.abc import Mapping, Sequence
from urllib.parse import quote

ALGORITHM = "ACS3-HMAC-SHA256"
API_VERSION = "2023-03-30"


def percent_encode(text: str) -> str:
    """RFC 3986: all but letters, digits and `-_.~` become `%XX`."""
    return quote(text, safe="-_.~")


def canonical_query(pairs: Sequence[tuple[str, str]]) -> str:
    """`k=v&…`, encoded and sorted. It may be sent as it is, so what is signed and what is sent cannot differ.

    Sorted by name, then by value, before they are joined: `a=` comes before `a-b=`, though `=` sorts after `-`.
    """
    encoded = sorted((percent_encode(key), percent_encode(value)) for key, value in pairs)
    return "&".join(f"{key}={value}" for key, value in encoded)


def now_date() -> str:
    """`x-acs-date` of this moment."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())


def new_nonce() -> str:
    """A `x-acs-signature-nonce` that was never used: 32 hex digits."""
    return secrets.token_hex(16)


def signed_headers(
    *,
    method: str,
    path: str,
    query: str,
    headers: Mapping[str, str],
    body: bytes,
    action: str,
    access_key_id: str,
    secret: str,
    date: str,
    nonce: str,
) -> dict[str, str]:
    """All headers to send. `query` is canonical; `headers` holds at least `host`, its names are lower-case."""
    body_hash = hashlib.sha256(body).hexdigest()
    whole = {
        **headers,
        "x-acs-action": action,
        "x-acs-content-sha256": body_hash,
        "x-acs-date": date,
        "x-acs-signature-nonce": nonce,
        "x-acs-version": API_VERSION,
    }
    names = sorted(name for name in whole if name in ("host", "content-type") or name.startswith(("x-acs-", "x-fc-")))
    lines = "".join(f"{name}:{whole[name].strip()}\n" for name in names)
    signed = ";".join(names)
    canonical = "\n".join((method, path, query, lines, signed, body_hash))
    to_sign = f"{ALGORITHM}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
    signature = hmac.new(secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    whole["authorization"] = f"{ALGORITHM} Credential={access_key_id},SignedHeaders={signed},Signature={signature}"
    return whole
