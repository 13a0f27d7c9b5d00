"""Keys and accounts on a real node: who may do what, at once and on every operation."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import msgspec
import pytest

import control_kit as kit
from e2e.node_process import NodeProcess
from e2e.test_roles import ECHO, make
from functory.clock import SystemClock
from functory.model.account import AccessKey, Principal, Scope
from functory.sdk import Client

pytestmark = [pytest.mark.server, pytest.mark.timeout(120)]

FC = "/2023-03-30/functions"
PATIENCE_S = 20


class Caller:
    """Signs with one key, over one connection that is kept open."""

    _count = 0

    def __init__(self, node: NodeProcess, key: AccessKey) -> None:
        self.key = key
        self.http = httpx.Client(base_url=node.endpoint, timeout=30)

    def call(self, method: str, path: str, content: object = None, **more: str) -> httpx.Response:
        body = b"" if content is None else msgspec.json.encode(content)
        Caller._count += 1
        nonce = f"{self.key.access_key_id}-{time.time_ns()}-{Caller._count}"
        date = kit.date_text(SystemClock().now_ms())
        headers = kit.sign(method, path, more, body, self.key, date=date, nonce=nonce)
        return self.http.request(method, path, content=body, headers=headers)


def as_key(told: dict[str, Any]) -> AccessKey:
    return AccessKey(access_key_id=told["accessKeyId"], secret=told["accessKeySecret"], account_id=told["accountId"])


Signing = Callable[[AccessKey], Caller]


@pytest.fixture
def signing(node: NodeProcess) -> Iterator[Signing]:
    """Makes callers; their connections are closed at the end."""
    made: list[Caller] = []

    def make_one(key: AccessKey) -> Caller:
        made.append(Caller(node, key))
        return made[-1]

    yield make_one
    for one in made:
        one.http.close()


@pytest.fixture
def callers(client: Client, signing: Signing) -> Iterator[dict[Scope, Caller]]:
    """A caller of each scope."""
    made = {scope: client.keys.create(scope, label="test") for scope in Scope}
    found = {
        scope: signing(
            AccessKey(access_key_id=key.access_key_id, secret=key.access_key_secret, account_id=key.account_id),
        )
        for scope, key in made.items()
    }
    yield found
    for caller in found.values():
        client.keys.delete(caller.key.access_key_id)


def test_every_operation_asks_for_its_scope(node: NodeProcess, client: Client, callers: dict[Scope, Caller]) -> None:
    document = callers[Scope.READ].call("GET", "/functory/v1/openapi.json").json()
    seen = 0
    for template, methods in document["paths"].items():
        path = re.sub(r"\{[^}]+\}", "nothing", template)
        for method, described in methods.items():
            wanted = described.get("x-functory-scope")
            if wanted is None:
                continue
            seen += 1
            for scope, caller in callers.items():
                may = Principal(account_id="1", access_key_id="k", scope=scope).may(Scope(wanted))
                if may and wanted == "admin" and method != "get":
                    continue  # what an admin changes here would be changed
                answer = caller.call(method.upper(), path)
                code = answer.json().get("Code", "") if answer.content else ""
                told = f"{scope}: {method} {path}: {answer.status_code} {code}"
                assert ((answer.status_code, code) == (403, "AccessDenied")) is not may, told
    assert seen > 80


def test_a_key_that_is_rotated_out_is_refused_at_once_on_open_connections(
    node: NodeProcess, client: Client, signing: Signing
) -> None:
    make(client, "rotated", ECHO)
    key = client.keys.create("deploy", label="old")
    old = signing(AccessKey(access_key_id=key.access_key_id, secret=key.access_key_secret, account_id=key.account_id))
    invocations = f"{FC}/rotated/invocations"
    token = old.call("POST", "/functory/v1/tokens", {"functions": None}).json()["token"]
    bearer = {"authorization": f"Bearer {token}"}
    with httpx.Client(base_url=node.endpoint) as other:
        for _ in range(2):  # the second head is known to the connection
            assert old.call("POST", invocations, 1).status_code == 200
            assert old.call("GET", f"{FC}/rotated").status_code == 200
            assert other.post(invocations, content=b"1", headers=bearer).status_code == 200
        new = client.keys.rotate(key.access_key_id, deactivate_old=True)
        for answer in (
            old.call("POST", invocations, 1),
            old.call("GET", f"{FC}/rotated"),
            other.post(invocations, content=b"1", headers=bearer),
        ):
            assert answer.status_code == 403
            assert answer.json()["Code"] in ("InvalidAccessKeyID", "AccessDenied")
    fresh = signing(AccessKey(access_key_id=new.access_key_id, secret=new.access_key_secret, account_id=new.account_id))
    assert fresh.call("POST", invocations, 1).status_code == 200
    for one in (key, new):
        client.keys.delete(one.access_key_id)


def test_nothing_of_another_account_can_be_seen_called_or_used(
    node: NodeProcess, client: Client, signing: Signing
) -> None:
    admin = client.credentials
    mine = signing(
        AccessKey(access_key_id=admin.access_key_id, secret=admin.access_key_secret, account_id=admin.account_id),
    )
    account = mine.call("POST", "/functory/v1/accounts", {"name": "red"}).json()
    theirs = signing(as_key(account["key"]))
    make(client, "secret-shop", ECHO)
    client.roles.create("shop", ["admin"])
    config = json.dumps({"authType": "function", "methods": ["GET"]})
    trigger = {"triggerName": "web", "triggerType": "http", "triggerConfig": config}
    assert mine.call("POST", f"{FC}/secret-shop/triggers", trigger).status_code == 200
    layer_body = {"code": {"zipFile": kit.b64(kit.zip_of(x="1"))}, "compatibleRuntime": ["python3"]}
    layer = mine.call("POST", "/2023-03-30/layers/shared/versions", layer_body).json()["layerVersionArn"]
    for method, path in (
        ("GET", ""),
        ("PUT", ""),
        ("DELETE", ""),
        ("GET", "/code"),
        ("POST", "/invocations"),
        ("POST", "/versions"),
        ("GET", "/triggers/web"),
        ("DELETE", "/triggers/web"),
        ("PUT", "/concurrency"),
        ("POST", "/invoke/disable"),
        ("GET", "/async-tasks/1"),
    ):
        content = {"reservedConcurrency": 1} if path == "/concurrency" else {}
        answer = theirs.call(method, f"{FC}/secret-shop{path}", content)
        assert answer.status_code == 404, (method, path, answer.text)
    assert theirs.call("GET", f"{FC}/secret-shop/instances").json().get("instances", []) == []
    assert theirs.call("GET", FC).json()["functions"] == []
    assert theirs.call("GET", "/functory/v1/roles").json()["roles"] == []
    code = {"zipFile": kit.b64(kit.ECHO_ZIP)}
    function = {"functionName": "mine", "runtime": "python3", "handler": "index.handler", "code": code}
    assert theirs.call("POST", FC, {**function, "layers": [layer]}).status_code == 400
    arn = f"acs:ram::{admin.account_id}:role/shop"
    assert "no credentials" in theirs.call("POST", FC, {**function, "role": arn}).json()["stateReason"]
    for method, path in (("GET", "/functory/v1/accounts"), ("GET", f"/functory/v1/keys?accountId={admin.account_id}")):
        refused = theirs.http.request(method, path, headers=_signed(theirs, method, path))
        assert (refused.status_code, refused.json()["Code"]) == (403, "AccessDenied"), path
    assert theirs.call("DELETE", f"/functory/v1/keys/{admin.access_key_id}").status_code == 404
    # A signature of the trigger's form, by a key of another account.
    assert _trigger_call(theirs, "/fn/secret-shop/") == (403, "AccessDenied")
    assert _trigger_call(mine, "/fn/secret-shop/")[0] == 200
    client.roles.delete("shop")


def _signed(caller: Caller, method: str, target: str) -> dict[str, str]:
    path, _, query = target.partition("?")
    date = kit.date_text(SystemClock().now_ms())
    return kit.sign(method, path, {}, b"", caller.key, date=date, nonce=f"q-{time.time_ns()}", query=query)


def _trigger_call(caller: Caller, path: str) -> tuple[int, str]:
    date = kit.date_text(SystemClock().now_ms())
    canonical = "\n".join(("GET", path, "", f"x-acs-date:{date}\n", "x-acs-date", ""))
    to_sign = "ACS3-HMAC-SHA256\n" + hashlib.sha256(canonical.encode()).hexdigest()
    signature = hmac.new(caller.key.secret.encode(), to_sign.encode(), "sha256").hexdigest()
    line = f"ACS3-HMAC-SHA256 Credential={caller.key.access_key_id},SignedHeaders=x-acs-date,Signature={signature}"
    answer = caller.http.get(path, headers={"authorization": line, "x-acs-date": date})
    try:
        return answer.status_code, answer.json().get("Code", "")
    except ValueError:
        return answer.status_code, ""


def test_every_management_call_leaves_an_audit_event(node: NodeProcess, client: Client, signing: Signing) -> None:
    admin = client.credentials
    made = client.keys.create("admin", label="audited")
    caller = signing(
        AccessKey(access_key_id=made.access_key_id, secret=made.access_key_secret, account_id=admin.account_id),
    )
    document = caller.call("GET", "/functory/v1/openapi.json").json()
    wanted: dict[tuple[str, str], int] = {}
    for template, methods in document["paths"].items():
        path = re.sub(r"\{[^}]+\}", "nothing", template)
        for method, described in methods.items():
            if described.get("x-functory-scope") is None or template.endswith("/invocations"):
                continue  # a call of a function leaves a record
            if method == "post" and path.endswith(("/accounts", "/keys", "/roles")):
                continue
            wanted[method.upper(), path] = caller.call(method.upper(), path).status_code
    until = time.monotonic() + PATIENCE_S
    while True:
        events = client.keys.audit(limit=1000).events
        found = {(one.method, one.path): one.status for one in events if one.access_key_id == made.access_key_id}
        if wanted.items() <= found.items():
            break
        assert time.monotonic() < until, wanted.items() - found.items()
    client.keys.delete(made.access_key_id)
