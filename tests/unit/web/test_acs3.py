"""ACS3-HMAC-SHA256: what is accepted, and that everything else is refused with its reason."""

from __future__ import annotations

import base64
import hashlib
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import control_kit as kit
from functory.model import errors
from functory.model.account import AccessKey, Scope
from functory.web import acs3
from functory.web.nonces import Nonces

RECORDED: list[dict[str, Any]] = msgspec.json.decode(
    (Path(__file__).parent / "recorded_requests.json").read_bytes(), type=list[dict[str, Any]]
)
RECORDED_KEY = AccessKey(access_key_id="LTAIrecorded", secret="recorded-secret", account_id="1")

NOW_MS = 1_795_446_000_000
PATH = "/2023-03-30/functions/echo/invocations"
Headers = list[tuple[bytes, bytes]]


def recorded(entry: dict[str, Any]) -> tuple[acs3.SignedRequest, int]:
    """A recorded request, and the moment it was sent."""
    headers = [(name.encode(), value.encode("latin-1")) for name, value in entry["headers"]]
    body = base64.b64decode(entry["body"])
    date = dict(entry["headers"])["x-acs-date"]
    request = acs3.SignedRequest(entry["method"], entry["target"].encode(), headers, hashlib.sha256(body).hexdigest())
    return request, int(datetime.fromisoformat(date).timestamp() * 1000)


def signed(
    *,
    method: str = "POST",
    path: str = PATH,
    target: str = "",
    body: bytes = b"{}",
    key: AccessKey = kit.ADMIN,
    at_ms: int = NOW_MS,
    date: str = "",
    nonce: str = "n1",
    **more: Any,
) -> acs3.SignedRequest:
    headers = kit.sign(
        method, path, {"content-type": "x"}, body, key, date=date or kit.date_text(at_ms), nonce=nonce, **more
    )
    pairs = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
    return acs3.SignedRequest(method, (target or path).encode(), pairs, hashlib.sha256(body).hexdigest())


def verify(request: acs3.SignedRequest, nonces: Nonces | None = None, now_ms: int = NOW_MS) -> None:
    acs3.verify(request, kit.KEYS.get, nonces or Nonces(), now_ms)


def with_header(request: acs3.SignedRequest, name: bytes, value: bytes | None) -> acs3.SignedRequest:
    """The request with a header set, or taken out."""
    headers = [pair for pair in request.headers if pair[0] != name]
    return request._replace(headers=headers if value is None else [*headers, (name, value)])


@pytest.mark.parametrize(
    "entry", RECORDED, ids=lambda entry: f"{entry['client']} {entry['method']} {entry['target'][:60]}"
)
def test_what_the_official_sdks_sent_is_accepted_once_and_not_with_another_body_path_or_secret(
    entry: dict[str, Any],
) -> None:
    request, now_ms = recorded(entry)
    keys = {RECORDED_KEY.access_key_id: RECORDED_KEY}.get
    nonces = Nonces()
    principal = acs3.verify(request, keys, nonces, now_ms)
    assert (principal.account_id, principal.access_key_id) == ("1", "LTAIrecorded")
    with pytest.raises(errors.SignatureNotMatch, match="used already"):
        acs3.verify(request, keys, nonces, now_ms)

    other_body = request._replace(body_sha256=hashlib.sha256(b"other").hexdigest())
    other_path = request._replace(target=request.target.replace(b"/functions", b"/Functions") + b"&x=1")
    with pytest.raises(errors.SignatureNotMatch, match="body"):
        acs3.verify(other_body, keys, Nonces(), now_ms)
    with pytest.raises(errors.SignatureNotMatch, match="does not match"):
        acs3.verify(other_path, keys, Nonces(), now_ms)
    wrong = msgspec.structs.replace(RECORDED_KEY, secret="another")
    with pytest.raises(errors.SignatureNotMatch, match="does not match"):
        acs3.verify(request, {RECORDED_KEY.access_key_id: wrong}.get, Nonces(), now_ms)


def test_the_principal_has_the_account_and_scope_of_the_key() -> None:
    principal = acs3.verify(signed(key=kit.READER), kit.KEYS.get, Nonces(), NOW_MS)
    assert (principal.account_id, principal.scope, principal.functions) == (kit.ACCOUNT, Scope.READ, None)


def test_an_unsigned_request_is_told_which_header_is_missing() -> None:
    with pytest.raises(errors.MissingRequiredHeader, match="Authorization"):
        verify(with_header(signed(), b"authorization", None))


@pytest.mark.parametrize("name", ["host", "x-acs-content-sha256", "x-acs-date", "x-acs-signature-nonce"])
def test_a_required_header_must_be_there_and_must_be_signed(name: str) -> None:
    with pytest.raises(errors.MissingRequiredHeader, match=name):
        verify(with_header(signed(), name.encode(), None))
    with pytest.raises(errors.SignatureNotMatch, match=f"{name} must be among"):
        verify(signed(leave_out=[name]))


def test_an_unknown_or_retired_key_is_refused() -> None:
    ghost = AccessKey(access_key_id="LTAIghost", secret="x", account_id="1")
    for key in (ghost, kit.RETIRED):
        with pytest.raises(errors.InvalidAccessKey, match=key.access_key_id):
            verify(signed(key=key))


@pytest.mark.parametrize(("off_s", "said"), [(-901, "behind"), (901, "ahead of")])
def test_a_date_more_than_15_minutes_off_is_refused_and_one_less_is_not(off_s: int, said: str) -> None:
    with pytest.raises(errors.SignatureNotMatch, match=f"901 s {said} the node's clock; 900 s are allowed"):
        verify(signed(at_ms=NOW_MS + off_s * 1000))
    verify(signed(at_ms=NOW_MS + (off_s + (1 if off_s < 0 else -1)) * 1000))


@pytest.mark.parametrize(
    "date", ["", "now", "2026-11-23", "20261123T100000Z", "2026-11-23T10:00:00", "2026-11-23T10:00:00+00:00",
             "x" * 9000, "2026-13-23T10:00:00Z", "9999-12-31T23:59:59Z",
             "0001-01-01T00:00:00Z", "2026-11-23 10:00:00Z"],
)  # fmt: skip
def test_a_date_of_another_form_is_refused(date: str) -> None:
    with pytest.raises(errors.SignatureNotMatch, match="x-acs-date"):
        verify(signed(date=date or " "))


def test_a_nonce_serves_once_per_key_and_is_not_used_up_by_a_wrong_signature() -> None:
    nonces = Nonces()
    forged = signed(key=msgspec.structs.replace(kit.ADMIN, secret="guess"))
    with pytest.raises(errors.SignatureNotMatch, match="does not match"):
        verify(forged, nonces)
    assert nonces.count == 0
    verify(signed(), nonces)
    verify(signed(key=kit.DEPLOYER), nonces)
    for again in (signed(), signed(path="/other"), signed(at_ms=NOW_MS)):
        with pytest.raises(errors.SignatureNotMatch, match="used already"):
            verify(again, nonces)


@pytest.mark.parametrize("nonce", [" ", "x" * 129])
def test_an_empty_or_long_nonce_is_refused(nonce: str) -> None:
    request = with_header(signed(nonce=nonce), b"x-acs-signature-nonce", nonce.strip().encode())
    with pytest.raises(errors.SignatureNotMatch, match="1 to 128"):
        verify(request)


def test_method_path_query_body_and_signed_headers_are_covered() -> None:
    request = signed(target=f"{PATH}?qualifier=LATEST", query="qualifier=LATEST")
    verify(request)
    changed = [
        request._replace(method="PUT"),
        request._replace(target=request.target.replace(b"echo", b"other")),
        request._replace(target=request.target.replace(b"LATEST", b"1")),
        request._replace(target=PATH.encode()),
        request._replace(target=request.target + b"&x=1"),
        with_header(request, b"content-type", b"y"),
        with_header(request, b"host", b"elsewhere"),
    ]
    for other in changed:
        with pytest.raises(errors.SignatureNotMatch, match="does not match"):
            verify(other)
    with pytest.raises(errors.SignatureNotMatch, match="SHA-256 of the body"):
        verify(request._replace(body_sha256=hashlib.sha256(b"{ }").hexdigest()))


@pytest.mark.parametrize("sent", ["a+b", "a%20b"])
def test_a_space_may_be_sent_as_plus_or_as_percent_20(sent: str) -> None:
    verify(signed(target=f"{PATH}?q={sent}", query="q=a%20b"))


def test_a_plus_that_was_meant_is_not_a_space() -> None:
    verify(signed(target=f"{PATH}?q=a%2Bb", query="q=a%2Bb"))
    with pytest.raises(errors.SignatureNotMatch):
        verify(signed(target=f"{PATH}?q=a%2Bb", query="q=a%20b"))


def test_an_encoded_slash_in_the_path_is_not_a_slash() -> None:
    verify(signed(path="/2023-03-30/layerarn/acs%3Afc%3Alayers%2Fx"))
    with pytest.raises(errors.SignatureNotMatch):
        verify(signed(path="/2023-03-30/layerarn/acs%3Afc%3Alayers%2Fx", target="/2023-03-30/layerarn/acs:fc:layers/x"))


def test_query_names_may_be_signed_encoded_or_not() -> None:
    pairs = [("Tag.1 ü", "v"), ("a-b", "2"), ("a", "1"), ("A", "~x/y")]
    sent = "a-b=2&A=~x%2Fy&a=1&Tag.1+%C3%BC=v"
    for encode_names in (True, False):
        verify(signed(target=f"{PATH}?{sent}", query=kit.canonical_query(pairs, encode_names=encode_names)))


def test_a_name_without_value_counts_as_empty() -> None:
    for sent in ("flag", "flag="):
        verify(signed(target=f"{PATH}?{sent}", query="flag="))


def test_a_long_target_and_many_parameters_are_refused() -> None:
    with pytest.raises(errors.SignatureNotMatch, match="longer than 16384"):
        verify(signed(target=f"{PATH}?q={'x' * 17000}"))
    with pytest.raises(errors.SignatureNotMatch, match="100 query parameters"):
        verify(signed(target=PATH + "?" + "&".join(f"q{n}=1" for n in range(101))))


def test_a_signed_header_that_is_there_twice_is_refused_and_another_is_not() -> None:
    request = signed()
    for name in (b"host", b"content-type", b"authorization", b"x-acs-date"):
        with pytest.raises(errors.SignatureNotMatch, match="more than once"):
            verify(request._replace(headers=[*request.headers, (name, dict(request.headers)[name])]))
    verify(request._replace(headers=[*request.headers, (b"accept", b"a"), (b"accept", b"b")]))


def test_a_signed_header_that_did_not_arrive_is_named() -> None:
    with pytest.raises(errors.SignatureNotMatch, match="content-type did not arrive"):
        verify(with_header(signed(), b"content-type", None))


AUTHORIZATIONS = [
    b"", b" ", b"Bearer x", b"ACS3-HMAC-SHA256", b"ACS3-HMAC-SHA256 ", b"ACS3-HMAC-SHA256 Credential=a",
    b"ACS3-HMAC-SHA256 Signature=", b"ACS3-HMAC-SHA256 Credential=,SignedHeaders=,Signature=", b"acs LTAI:x",
    b"ACS3-HMAC-SHA256 Credential=\xff\xfe,SignedHeaders=host,Signature=x",
    b"ACS3-HMAC-SM3 Credential=a,SignedHeaders=b",
    b"ACS3-HMAC-SHA256 " + b"x" * 10_000,
    b"ACS3-HMAC-SHA256 Credential=a,SignedHeaders=" + b"a;" * 500 + b",Signature=x",
]  # fmt: skip


@pytest.mark.parametrize("value", AUTHORIZATIONS)
def test_an_authorization_of_another_shape_is_a_signature_that_does_not_match(value: bytes) -> None:
    with pytest.raises(errors.SignatureNotMatch):
        verify(with_header(signed(), b"authorization", value))


@given(
    authorization=st.one_of(
        st.binary(max_size=200),
        st.sampled_from(AUTHORIZATIONS),
        st.builds(
            lambda credential, names, signature: (
                b"ACS3-HMAC-SHA256 Credential=%b,SignedHeaders=%b,Signature=%b"
                % (credential, b";".join(names), signature)
            ),
            st.sampled_from([b"LTAIadmin", b"", b"LTAI\xff"]),
            st.lists(st.sampled_from([b"host", b"x-acs-date", b"x-acs-signature-nonce", b"x-acs-content-sha256", b""])),
            st.binary(max_size=70),
        ),
    ),
    headers=st.lists(
        st.tuples(
            st.sampled_from([b"host", b"x-acs-date", b"x-acs-signature-nonce", b"x-acs-content-sha256", b"accept"]),
            st.binary(max_size=40),
        )
    ),
    target=st.binary(max_size=60),
    method=st.text(max_size=8),
)
def test_whatever_is_sent_the_answer_is_one_of_three_errors(
    authorization: bytes, headers: Headers, target: bytes, method: str
) -> None:
    request = acs3.SignedRequest(method, target, [*headers, (b"authorization", authorization)], "0" * 64)
    with pytest.raises((errors.SignatureNotMatch, errors.MissingRequiredHeader, errors.InvalidAccessKey)):
        verify(request)


@given(st.data())
def test_a_changed_byte_of_any_header_is_refused(data: st.DataObject) -> None:
    request = signed(target=f"{PATH}?qualifier=LATEST", query="qualifier=LATEST")
    at = data.draw(st.integers(0, len(request.headers) - 1))
    name, value = request.headers[at]
    place = data.draw(st.integers(0, len(value) - 1))
    other = data.draw(st.integers(33, 126).filter(lambda byte: byte != value[place]))
    changed = value[:place] + bytes([other]) + value[place + 1 :]
    if name == b"x-acs-content-sha256" and changed.lower() == value:
        return
    with pytest.raises((errors.SignatureNotMatch, errors.MissingRequiredHeader, errors.InvalidAccessKey)):
        verify(request._replace(headers=[*request.headers[:at], (name, changed), *request.headers[at + 1 :]]))


@pytest.mark.parametrize(
    "other",
    ["qualifier%3Dprod%26x=1", "qualifier=prod%26x%3D1", "qualifier%3Dprod&x=1", "x=1&qualifier=prod%0Ahost:b"],
)
def test_a_query_that_means_something_else_is_not_covered_by_the_signature(other: str) -> None:
    query = "qualifier=prod&x=1"
    verify(signed(query=query, target=f"{PATH}?{query}"))
    verify(signed(query=query, target=f"{PATH}?x=1&qualifier=prod"))  # sorted by both sides
    with pytest.raises(errors.SignatureNotMatch, match="does not match"):
        verify(signed(query=query, target=f"{PATH}?{other}"))


@given(st.lists(st.tuples(st.text("a=&%25+\n é;"), st.text("b=&%+\n é;")), max_size=4), st.data())
def test_two_queries_share_a_canonical_form_only_if_they_mean_the_same(
    one: list[tuple[str, str]], data: st.DataObject
) -> None:
    other = data.draw(st.lists(st.tuples(st.text("a=&%25+\n é;"), st.text("b=&%+\n é;")), max_size=4))
    meant = [sorted((name, value) for name, value in pairs if name) for pairs in (one, other)]
    forms = [set(acs3.canonical_queries(urlencode(pairs).encode(), 100)) for pairs in (one, other)]
    if meant[0] != meant[1]:
        assert not forms[0] & forms[1]


def test_a_newline_in_a_name_does_not_stand_for_signed_headers() -> None:
    """The canonical request has one field a line: what the query holds must not become the lines after it."""
    assert acs3.canonical_queries(b"a%0Ahost:evil=1", 100) == [b"a%0Ahost%3Aevil=1"]
