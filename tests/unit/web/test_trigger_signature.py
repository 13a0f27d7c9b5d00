"""Signed calls of HTTP triggers: the official recipe is accepted, and nothing that differs from it."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from functory.model import errors
from functory.model.account import AccessKey
from functory.web import trigger_signature

KEY = AccessKey(access_key_id="AK1", secret="secret", account_id="1")
OFF = AccessKey(access_key_id="AKoff", secret="secret", account_id="1", active=False)
NOW_MS = 1_767_225_600_000
DATE = b"2026-01-01T00:00:00Z"
Headers = list[tuple[bytes, bytes]]


def signed(
    method: str = "POST",
    path: bytes = b"/fn/web/a%20b",
    query: bytes = b"",
    *,
    names: bytes = b"x-acs-date;x-acs-security-token",
    date: bytes = DATE,
    key: AccessKey = KEY,
) -> Headers:
    """What the official recipe sends: no host, no body hash, an empty payload line."""
    values = {b"x-acs-date": date, b"x-acs-security-token": b""}
    lines = b"".join(b"%b:%b\n" % (name, values[name]) for name in names.split(b";") if name)
    request = b"\n".join((method.encode(), path, query, lines, names, b""))
    to_sign = b"ACS3-HMAC-SHA256\n" + hashlib.sha256(request).hexdigest().encode()
    signature = hmac.new(key.secret.encode(), to_sign, hashlib.sha256).hexdigest().encode()
    head = b"ACS3-HMAC-SHA256 Credential=%b,SignedHeaders=%b,Signature=%b"
    return [(b"x-acs-date", date), (b"authorization", head % (key.access_key_id.encode(), names, signature))]


def verify(headers: Headers, method: str = "POST", target: bytes = b"/fn/web/a%20b", now_ms: int = NOW_MS) -> str:
    keys = {key.access_key_id: key for key in (KEY, OFF)}.get
    return trigger_signature.verify(method, target, headers, keys, now_ms).account_id


def test_the_official_recipe_is_accepted_with_and_without_a_security_token() -> None:
    assert verify(signed()) == "1"
    assert verify(signed(names=b"x-acs-date")) == "1"
    assert verify(signed(query=b"a=1&b=%20x"), target=b"/fn/web/a%20b?b=+x&a=1") == "1"


@pytest.mark.parametrize("skew_ms", [-899_000, 899_000])
def test_a_date_within_a_quarter_of_an_hour_is_near_enough(skew_ms: int) -> None:
    assert verify(signed(), now_ms=NOW_MS + skew_ms) == "1"


@pytest.mark.parametrize(
    ("headers", "changes"),
    [
        (signed(), {"target": b"/fn/other/a%20b"}),
        (signed(), {"target": b"/fn/web/a%20b?x=1"}),
        (signed(), {"method": "GET"}),
        (signed(), {"now_ms": NOW_MS + 901_000}),
        (signed(), {"now_ms": NOW_MS - 901_000}),
        (signed(key=AccessKey(access_key_id="AK1", secret="wrong", account_id="1")), {}),
        (signed(date=b"yesterday"), {}),
        ([*signed(), (b"x-acs-date", DATE)], {}),
        ([(b"x-acs-date", DATE), (b"authorization", b"Bearer x")], {}),
    ],
)
def test_whatever_differs_is_refused(headers: Headers, changes: dict[str, object]) -> None:
    with pytest.raises(errors.SignatureNotMatch):
        verify(headers, **changes)  # type: ignore[arg-type]


def test_unknown_and_retired_keys_are_refused() -> None:
    for key in (AccessKey(access_key_id="AK2", secret="secret", account_id="1"), OFF):
        with pytest.raises(errors.InvalidAccessKey):
            verify(signed(key=key))


def test_a_request_must_be_signed_and_its_date_covered() -> None:
    for headers in ([], signed(names=b"x-acs-security-token"), signed()[1:]):
        with pytest.raises(errors.MissingRequiredHeader):
            verify(list(headers))
