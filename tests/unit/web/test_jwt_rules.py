"""Tokens on HTTP triggers: who signed them, when they hold, where they stand, which paths need one."""

from __future__ import annotations

import base64
import hmac
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

from functory.model import errors
from functory.web.jwt_rules import JwtRules

NOW_MS = 1_767_225_600_000
NOW_S = NOW_MS // 1000
RSA = rsa.generate_private_key(public_exponent=65537, key_size=2048)
EC = ec.generate_private_key(ec.SECP256R1())
ED = ed25519.Ed25519PrivateKey.generate()
OCT = b"k" * 32


def jwk(key: Any, **more: str) -> dict[str, Any]:
    """The public half as a JSON Web Key."""
    if isinstance(key, bytes):
        made = json.loads(jwt.algorithms.HMACAlgorithm.to_jwk(key))
    elif isinstance(key, rsa.RSAPrivateKey):
        made = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(key.public_key()))
    elif isinstance(key, ec.EllipticCurvePrivateKey):
        made = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(key.public_key()))
    else:
        made = json.loads(jwt.algorithms.OKPAlgorithm.to_jwk(key.public_key()))
    made.pop("key_ops", None)
    return {**made, **more}


def rules(*keys: dict[str, Any], **more: Any) -> JwtRules:
    return JwtRules(json.dumps({"jwks": {"keys": list(keys)}, **more}))


@pytest.mark.parametrize(
    ("key", "algorithm"), [(RSA, "RS256"), (RSA, "PS512"), (EC, "ES256"), (ED, "EdDSA"), (OCT, "HS256")]
)
def test_a_token_of_a_known_key_is_accepted(key: Any, algorithm: str) -> None:
    token = jwt.encode({"sub": "ada", "exp": NOW_S + 60}, key, algorithm=algorithm)
    claims = rules(jwk(key)).check(token, NOW_MS)
    assert claims.values["sub"] == "ada"
    assert claims.expires_ms == NOW_MS + 120_000


def test_the_key_is_chosen_by_its_id() -> None:
    token = jwt.encode({}, EC, algorithm="ES256", headers={"kid": "b"})
    assert rules(jwk(RSA, kid="a"), jwk(EC, kid="b")).check(token, NOW_MS).values == {}
    with pytest.raises(errors.AccessDenied):
        rules(jwk(EC, kid="a"), jwk(RSA, kid="b")).check(token, NOW_MS)


def test_a_public_key_is_never_used_as_a_shared_secret() -> None:
    public = json.dumps(jwk(RSA)).encode()
    text = b".".join(base64.urlsafe_b64encode(part).rstrip(b"=") for part in (b'{"alg":"HS256"}', b'{"sub":"mallory"}'))
    mark = hmac.digest(public, text, "sha256")
    forged = (text + b"." + base64.urlsafe_b64encode(mark).rstrip(b"=")).decode()
    for given in (jwk(RSA), jwk(RSA, alg="RS256")):
        with pytest.raises(errors.AccessDenied):
            rules(given).check(forged, NOW_MS)


def test_a_token_without_a_signature_is_refused() -> None:
    unsigned = jwt.encode({"sub": "mallory"}, "", algorithm="none")
    with pytest.raises(errors.AccessDenied):
        rules(jwk(RSA), jwk(OCT)).check(unsigned, NOW_MS)


@pytest.mark.parametrize("claims", [{"exp": NOW_S - 61}, {"nbf": NOW_S + 61}, {"exp": "soon"}, {"exp": True}])
def test_times_are_checked_on_the_given_clock(claims: dict[str, Any]) -> None:
    token = jwt.api_jws.PyJWS().encode(json.dumps(claims).encode(), OCT, algorithm="HS256")
    with pytest.raises(errors.AccessDenied):
        rules(jwk(OCT)).check(token, NOW_MS)


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "é.é.é", "x" * 9000, "." * 500])
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(errors.AccessDenied):
        rules(jwk(OCT)).check(token, NOW_MS)


def test_lists_of_paths_say_who_needs_a_token() -> None:
    white = rules(jwk(OCT), whitelist=["/public/*", "/robots.txt"])
    assert [white.needed(path) for path in ("/public/a", "/robots.txt", "/", "/publicly")] == [False, False, True, True]
    black = rules(jwk(OCT), blackList={"path": ["/admin/*"]})
    assert [black.needed(path) for path in ("/admin/a", "/x")] == [True, False]
    for trick in ("/public/../admin", "/public//x", "/public/.\\x"):
        assert white.needed(trick)
        assert black.needed(trick)


def test_places_and_claims_are_read_from_their_short_form() -> None:
    one = rules(
        jwk(OCT), tokenLookup="header:X-Token:Bearer, query:t,cookie:s", claimPassBy="header:uid:x-uid,query:t:"
    )
    assert one.lookups == (("header", "x-token", "Bearer"), ("query", "t", ""), ("cookie", "s", ""))
    assert one.passed == (("header", "uid", "x-uid"), ("query", "t", "t"))
    assert rules(jwk(OCT), claimPassBy="query::").passed == ()
    assert rules(jwk(OCT)).lookups == (("header", "authorization", "Bearer"),)


@pytest.mark.parametrize(
    "bad",
    [
        "",
        "{",
        "[]",
        "{}",
        '{"jwks": {}}',
        '{"jwks": {"keys": []}}',
        '{"jwks": {"keys": [{"kty": "none"}]}}',
        '{"jwks": {"keys": [{"kty": "RSA"}]}}',
        '{"jwks": {"keys": [{"kty": "oct", "k": "AAAA", "alg": "RS256"}]}}',
        '{"jwks": {"keys": [{"kty": "oct", "k": "AAAA"}]}, "tokenLookup": "body:x"}',
        '{"jwks": {"keys": [{"kty": "oct", "k": "AAAA"}]}, "claimPassBy": "cookie:a:b"}',
        '{"jwks": {"keys": [{"kty": "oct", "k": "AAAA"}]}, "whitelist": ["a"]}',
        '{"jwks": {"keys": [{"kty": "oct", "k": "AAAA"}]}, "whitelist": ["/a"], "blacklist": ["/b"]}',
    ],
)
def test_a_configuration_that_cannot_work_is_refused(bad: str) -> None:
    with pytest.raises(errors.InvalidArgument, match="authConfig"):
        JwtRules(bad)
