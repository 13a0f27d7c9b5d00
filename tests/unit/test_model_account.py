"""Accounts and records: who may do what, and what is kept."""

from __future__ import annotations

import msgspec
import pytest

from functory.model import account
from functory.model.account import AccessKey, Principal, Scope
from functory.model.invocation import Kind, Status
from functory.model.record import Record
from functory.model.usage import ColdStart


@pytest.mark.parametrize(
    ("scope", "may"),
    [
        (Scope.ADMIN, {Scope.ADMIN, Scope.DEPLOY, Scope.INVOKE, Scope.READ}),
        (Scope.DEPLOY, {Scope.DEPLOY, Scope.INVOKE, Scope.READ}),
        (Scope.INVOKE, {Scope.INVOKE}),
        (Scope.READ, {Scope.READ}),
    ],
)
def test_a_scope_allows_itself_and_what_it_includes(scope: Scope, may: set[Scope]) -> None:
    principal = Principal(account_id="1", access_key_id="k", scope=scope)
    assert {other for other in Scope if principal.may(other)} == may


def test_the_table_of_scopes_is_complete() -> None:
    assert set(account._INCLUDED) == set(Scope)


def test_a_key_never_shows_its_secret() -> None:
    key = AccessKey(access_key_id="LTAI1", secret="very-secret", account_id="1")
    assert "very-secret" not in f"{key!r} {key} {[key]}"
    assert "LTAI1" in repr(key)


def test_a_record_is_stored_as_a_list_and_read_back_the_same() -> None:
    record = Record(
        request_id="1-65a77fbb-157f3f32-000000000001",
        account_id="1",
        function_name="echo",
        qualifier="LATEST",
        epoch=3,
        kind=Kind.SYNC,
        started_at_ms=1,
        status=Status.OK,
        error_type="",
        instance_id="c-1",
        queued_us=1,
        duration_us=2,
        billed_ms=1,
        memory_limit_mb=512,
        memory_peak_bytes=1,
        cpu_us=1,
        cold=ColdStart(fork_us=1),
        cost_nano_usd=153,
    )
    data = msgspec.msgpack.encode(record)
    assert msgspec.msgpack.decode(data, type=Record) == record
    older = msgspec.msgpack.encode(msgspec.msgpack.decode(data)[:18])
    assert msgspec.msgpack.decode(older, type=Record) == record, "records written before a field existed stay readable"
