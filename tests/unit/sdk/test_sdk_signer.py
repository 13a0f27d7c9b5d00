"""The signer, against the algorithm as it is written down, done here by hand."""

from __future__ import annotations

import hashlib
import hmac

import pytest

from functory.sdk import signer

DATE, NONCE = "2026-11-23T10:00:00Z", "0123456789abcdef0123456789abcdef"
BODY = b'{"functionName":"echo"}'


def signed(**changes: object) -> dict[str, str]:
    given: dict[str, object] = {
        "method": "POST",
        "path": "/2023-03-30/functions",
        "query": "limit=5&prefix=a%20b",
        "headers": {"host": "127.0.0.1:3862", "content-type": "application/json; charset=utf-8", "accept": "*/*"},
        "body": BODY,
        "action": "CreateFunction",
        "access_key_id": "LTAI123",
        "secret": "s3cret",
        "date": DATE,
        "nonce": NONCE,
    }
    return signer.signed_headers(**(given | changes))  # type: ignore[arg-type]


def test_the_signature_is_that_of_the_written_algorithm() -> None:
    body_hash = hashlib.sha256(BODY).hexdigest()
    canonical = (
        "POST\n"
        "/2023-03-30/functions\n"
        "limit=5&prefix=a%20b\n"
        "content-type:application/json; charset=utf-8\n"
        "host:127.0.0.1:3862\n"
        "x-acs-action:CreateFunction\n"
        f"x-acs-content-sha256:{body_hash}\n"
        f"x-acs-date:{DATE}\n"
        f"x-acs-signature-nonce:{NONCE}\n"
        "x-acs-version:2023-03-30\n"
        "\n"
        "content-type;host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;x-acs-version\n"
        f"{body_hash}"
    )
    to_sign = "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
    signature = hmac.new(b"s3cret", to_sign.encode(), hashlib.sha256).hexdigest()
    assert signed()["authorization"] == (
        "ACS3-HMAC-SHA256 Credential=LTAI123,"
        "SignedHeaders=content-type;host;x-acs-action;x-acs-content-sha256;x-acs-date;x-acs-signature-nonce;"
        f"x-acs-version,Signature={signature}"
    )


@pytest.mark.parametrize(
    "change",
    [
        {"method": "PUT"},
        {"path": "/2023-03-30/functions/"},
        {"query": "limit=6&prefix=a%20b"},
        {"headers": {"host": "127.0.0.1:3863", "content-type": "application/json; charset=utf-8"}},
        {"headers": {"host": "127.0.0.1:3862", "x-fc-log-type": "Tail"}},
        {"body": BODY + b" "},
        {"action": "DeleteFunction"},
        {"secret": "s3cre7"},
        {"date": "2026-11-23T10:00:01Z"},
        {"nonce": "f" * 32},
    ],
    ids=lambda change: "-".join(change),
)
def test_whatever_is_changed_changes_the_signature(change: dict[str, object]) -> None:
    assert signed(**change)["authorization"] != signed()["authorization"]


def test_headers_that_proxies_may_change_are_not_signed() -> None:
    assert "accept" not in signed()["authorization"]


def test_the_query_is_encoded_by_rfc_3986_and_sorted() -> None:
    pairs = [("prefix", "a b~*"), ("limit", "5"), ("limit", "10"), ("é", "/")]
    assert signer.canonical_query(pairs) == "%C3%A9=%2F&limit=10&limit=5&prefix=a%20b~%2A"


def test_the_query_is_sorted_by_name_before_it_is_joined() -> None:
    pairs = [("a-b", "1"), ("a", "2"), ("a", "1")]
    assert signer.canonical_query(pairs) == "a=1&a=2&a-b=1", "joined texts would sort '-' before '='"


def test_nonces_are_long_and_never_the_same() -> None:
    assert len({signer.new_nonce() for _ in range(1000)}) == 1000
    assert all(len(signer.new_nonce()) == 32 for _ in range(10))
