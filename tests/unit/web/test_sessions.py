"""Temporary credentials: every signature scheme takes them, and nobody takes others, ended or revoked ones."""

from __future__ import annotations

import base64
import hashlib
import hmac
from email.utils import formatdate

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

import control_kit as kit
from functory.model import errors
from functory.model.account import AccessKey, Principal, Scope
from functory.model.role import Role, may_pass, name_in
from functory.testing.clock import JumpingClock
from functory.web import access, acs3, fc_v1, trigger_signature
from functory.web.nonces import Nonces
from functory.web.sessions import Credentials, Sessions

SECRET = b"a secret of the node of 32 bytes"
ROLE = Role(
    account_id=kit.ACCOUNT,
    name="orders",
    role_id="0123456789abcdef",
    scopes=(Scope.INVOKE, Scope.READ),
    functions=("bill",),
    created_at_ms=0,
    modified_at_ms=0,
)
PATH = "/2023-03-30/functions/bill"


class Desk:
    """Sessions over roles that a test changes."""

    def __init__(self) -> None:
        self.clock = JumpingClock()
        self.roles = {ROLE.role_id: ROLE}
        self.sessions = Sessions(SECRET, self.clock, lambda _, role_id: self.roles.get(role_id))

    def make(self, lives_s: int = 3600) -> Credentials:
        return self.sessions.make(ROLE, "caller", lives_s)

    def change(self, role: Role | None) -> None:
        self.roles = {} if role is None else {role.role_id: role}
        self.sessions.roles_changed()

    def verify(self, made: Credentials, *, token: str | None = None, nonce: str = "n") -> Principal:
        """What an ACS3 signature with these credentials is worth."""
        key = as_key(made)
        headers = {"x-acs-security-token": made.security_token if token is None else token}
        date = kit.date_text(self.clock.now_ms())
        lines = kit.sign("GET", PATH, headers, b"", key, date=date, nonce=nonce)
        pairs = [(name.encode(), value.encode()) for name, value in lines.items()]
        request = acs3.SignedRequest("GET", PATH.encode(), pairs, hashlib.sha256().hexdigest())
        return acs3.verify(request, kit.KEYS.get, Nonces(), self.clock.now_ms(), self.sessions)


def as_key(made: Credentials) -> AccessKey:
    return AccessKey(access_key_id=made.access_key_id, secret=made.access_key_secret, account_id=kit.ACCOUNT)


def test_a_signature_with_temporary_credentials_is_the_role() -> None:
    desk = Desk()
    found = desk.verify(desk.make())
    assert (found.account_id, found.role, found.functions) == (kit.ACCOUNT, "orders", frozenset({"bill"}))
    assert [scope for scope in Scope if found.may(scope)] == [Scope.INVOKE, Scope.READ]
    access.require_call(found, "bill")
    with pytest.raises(errors.AccessDenied, match="role 'orders' is not for function 'ship'"):
        access.require_call(found, "ship")
    with pytest.raises(errors.AccessDenied, match="role 'orders' may do invoke, read; this call needs 'deploy'"):
        access.require(found, Scope.DEPLOY)


def test_the_schemes_of_triggers_and_of_2016_take_them_too() -> None:
    desk = Desk()
    made, now_ms = desk.make(), desk.clock.now_ms()
    date = kit.date_text(now_ms)
    lines = f"x-acs-date:{date}\nx-acs-security-token:{made.security_token}\n"
    names = "x-acs-date;x-acs-security-token"
    canonical = "\n".join(("GET", "/fn/bill/", "", lines, names, ""))
    to_sign = "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
    signature = hmac.new(made.access_key_secret.encode(), to_sign.encode(), "sha256").hexdigest()
    headers = {
        "authorization": (
            f"ACS3-HMAC-SHA256 Credential={made.access_key_id},SignedHeaders={names},Signature={signature}"
        ),
        "x-acs-date": date,
        "x-acs-security-token": made.security_token,
    }
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    found = trigger_signature.verify("GET", b"/fn/bill/", pairs, kit.KEYS.get, now_ms, desk.sessions)
    assert found.role == "orders"

    date = formatdate(now_ms / 1000, usegmt=True)
    text = f"GET\n\n\n{date}\nx-fc-security-token:{made.security_token}\n{PATH}"
    signed = base64.b64encode(hmac.new(made.access_key_secret.encode(), text.encode(), "sha256").digest()).decode()
    headers = {
        "authorization": f"FC {made.access_key_id}:{signed}",
        "date": date,
        "x-fc-security-token": made.security_token,
    }
    pairs = [(name.encode(), value.encode()) for name, value in headers.items()]
    assert fc_v1.verify("GET", PATH.encode(), b"", pairs, kit.KEYS.get, now_ms, desk.sessions).role == "orders"


def test_credentials_end() -> None:
    desk = Desk()
    made = desk.make(lives_s=60)
    desk.verify(made)
    desk.clock.jump(60)
    with pytest.raises(errors.SecurityTokenExpired):
        desk.verify(made)


def test_a_role_that_is_deleted_or_made_anew_takes_its_credentials_with_it() -> None:
    desk = Desk()
    made = desk.make()
    desk.verify(made)
    for left in (None, structs.replace(ROLE, role_id="fedcba9876543210")):
        desk.change(left)
        with pytest.raises(errors.InvalidSecurityToken, match="deleted"):
            desk.verify(made)


def test_a_role_that_shrinks_takes_rights_from_credentials_that_are_out() -> None:
    desk = Desk()
    made = desk.make()
    assert desk.verify(made).may(Scope.INVOKE)
    desk.change(structs.replace(ROLE, scopes=(Scope.READ,), functions=("other",), epoch=2))
    found = desk.verify(made)
    assert (found.may(Scope.INVOKE), found.functions) == (False, frozenset({"other"}))


def test_id_secret_and_token_belong_together() -> None:
    desk = Desk()
    made, other = desk.make(60), desk.make(61)
    with pytest.raises(errors.InvalidSecurityToken, match="need their security token"):
        desk.verify(made, token="")
    with pytest.raises(errors.SignatureNotMatch):
        desk.verify(made, token=other.security_token)
    with pytest.raises(errors.InvalidSecurityToken, match="does not belong"):
        desk.verify(made._replace(access_key_id="STS.feedfeedfeedfeed"))
    with pytest.raises(errors.InvalidSecurityToken, match="does not belong"):
        desk.verify(made._replace(access_key_id=kit.ADMIN.access_key_id))
    strange = Sessions(b"another secret of some 32 bytes!", desk.clock, lambda *_: ROLE)
    with pytest.raises(errors.InvalidSecurityToken, match="not one of this node"):
        desk.verify(strange.make(ROLE, "caller", 60))


@given(st.binary(max_size=300) | st.binary(max_size=200).map(lambda some: b"FS1." + some))
def test_no_other_bytes_are_a_token(token: bytes) -> None:
    with pytest.raises(errors.InvalidSecurityToken):
        Desk().sessions.open("STS.0123456789abcdef", token)


@given(st.integers(0, 400), st.integers(1, 255))
def test_a_token_with_one_other_byte_is_refused(at: int, change: int) -> None:
    desk = Desk()
    token = bytearray(desk.make().security_token.encode())
    token[at % len(token)] ^= change
    with pytest.raises(errors.Denied):
        desk.sessions.open("STS.0123456789abcdef", bytes(token))


def test_no_secret_shows_in_logs_of_the_values() -> None:
    made = Desk().make()
    assert made.access_key_secret not in repr(made)
    assert made.security_token not in repr(made)


@pytest.mark.parametrize(
    ("scope", "functions", "passes"),
    [
        (Scope.ADMIN, None, True),
        (Scope.DEPLOY, None, True),
        (Scope.INVOKE, None, False),
        (Scope.ADMIN, frozenset({"bill", "ship"}), True),
        (Scope.ADMIN, frozenset({"ship"}), False),
    ],
)
def test_nobody_passes_more_rights_on_than_they_have(
    scope: Scope, functions: frozenset[str] | None, passes: bool
) -> None:
    caller = Principal(account_id="1", access_key_id="k", scope=scope, functions=functions)
    assert may_pass(caller, ROLE) is passes
    wide = structs.replace(ROLE, functions=None)
    assert may_pass(caller, wide) is (passes and functions is None)
    assert may_pass(caller, structs.replace(ROLE, scopes=(Scope.ADMIN,))) is (passes and scope is Scope.ADMIN)


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("acs:ram::42:role/orders", "orders"),
        ("acs:ram:::role/orders", "orders"),
        ("acs:ram::43:role/orders", ""),
        ("acs:ram::42:role/", ""),
        ("orders", ""),
        ("acs:ram::42:role/a/b", ""),
    ],
)
def test_an_arn_means_a_role_of_the_own_account_only(text: str, name: str) -> None:
    assert name_in(text, "42") == name
