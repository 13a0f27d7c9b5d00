"""Call tokens."""

from __future__ import annotations

import jwt
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import control_kit as kit
from functory.model import errors
from functory.model.account import AccessKey, Principal, Scope
from functory.testing.clock import JumpingClock
from functory.web import access
from functory.web.tokens import CallTokens

SECRET = b"s" * 32
MAKER = Principal(account_id=kit.ACCOUNT, access_key_id=kit.DEPLOYER.access_key_id, scope=Scope.DEPLOY)


def tokens(clock: JumpingClock | None = None, keys: dict[str, AccessKey] | None = None) -> CallTokens:
    return CallTokens(SECRET, clock or JumpingClock(), (kit.KEYS if keys is None else keys).get)


def test_a_token_calls_and_does_nothing_else() -> None:
    clock = JumpingClock()
    token, expires_at_ms = tokens(clock).make(MAKER, None, 60)
    principal = tokens(clock).check(token)
    assert (principal.account_id, principal.access_key_id) == (kit.ACCOUNT, kit.DEPLOYER.access_key_id)
    assert principal.scope is Scope.INVOKE
    assert principal.expires_at_ms == expires_at_ms == clock.now_ms() + 60_000
    access.require_call(principal, "any")
    for scope in (Scope.READ, Scope.DEPLOY, Scope.ADMIN):
        with pytest.raises(errors.AccessDenied, match=f"needs '{scope}'"):
            access.require(principal, scope)


def test_a_token_for_some_functions_is_not_for_others() -> None:
    principal = tokens().check(tokens().make(MAKER, ["a", "b"], 60)[0])
    assert principal.functions == frozenset({"a", "b"})
    access.require_call(principal, "a")
    with pytest.raises(errors.AccessDenied, match="not for function 'c'"):
        access.require_call(principal, "c")


def test_a_token_ends_when_it_says() -> None:
    clock = JumpingClock()
    some = tokens(clock)
    token, _ = some.make(MAKER, None, 60)
    clock.jump(59.9)
    some.check(token)
    clock.jump(0.2)
    with pytest.raises(errors.AccessDenied, match="ended"):
        some.check(token)


def test_a_token_ends_with_its_key() -> None:
    token, _ = tokens().make(MAKER, None, 60)
    retired = msgspec.structs.replace(kit.DEPLOYER, active=False)
    for keys in ({}, {retired.access_key_id: retired}):
        with pytest.raises(errors.AccessDenied, match="not active"):
            tokens(keys=keys).check(token)


@pytest.mark.parametrize(
    ("changes", "secret", "algorithm"),
    [
        ({}, b"t" * 32, "HS256"),
        ({}, SECRET, "HS512"),
        ({}, "", "none"),
        ({"aud": "other"}, SECRET, "HS256"),
        ({"iss": "other"}, SECRET, "HS256"),
        ({"exp": None}, SECRET, "HS256"),
        ({"exp": "soon"}, SECRET, "HS256"),
        ({"acc": 7}, SECRET, "HS256"),
        ({"fns": "all"}, SECRET, "HS256"),
    ],
)
@pytest.mark.filterwarnings("ignore::jwt.warnings.InsecureKeyLengthWarning")
def test_a_token_of_another_secret_algorithm_audience_or_shape_is_refused(
    changes: dict[str, object], secret: bytes | str, algorithm: str
) -> None:
    clock = JumpingClock()
    claims = {
        "iss": "functory",
        "aud": "functory:call",
        "exp": clock.now_ms() // 1000 + 60,
        "sub": kit.DEPLOYER.access_key_id,
        "acc": kit.ACCOUNT,
    }
    tokens(clock).check(jwt.encode(claims, SECRET, algorithm="HS256"))
    forged = {name: value for name, value in (claims | changes).items() if value is not None}
    with pytest.raises(errors.AccessDenied, match="not valid on this node"):
        tokens(clock).check(jwt.encode(forged, secret, algorithm=algorithm))


@given(st.one_of(st.text(max_size=100), st.from_regex(r"[\w-]{0,9}\.[\w-]{0,9}\.[\w-]{0,9}")))
def test_any_other_text_is_refused(text: str) -> None:
    with pytest.raises(errors.AccessDenied):
        tokens().check(text)


def test_a_long_token_is_neither_made_nor_read() -> None:
    with pytest.raises(errors.AccessDenied, match="longer than 4096"):
        tokens().check("x" * 4097)
    with pytest.raises(errors.InvalidArgument, match="name fewer functions"):
        tokens().make(MAKER, ["f" * 64 + str(n) for n in range(100)], 60)


def test_a_short_secret_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="32 are needed"):
        CallTokens(b"short", JumpingClock(), kit.KEYS.get)
