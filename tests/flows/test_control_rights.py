"""Who may what, tried over every operation that the edge describes: one that is added is tried too."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from unittest.mock import MagicMock

import httpx
import pytest

import control_kit as kit
from functory.control.app import create_app
from functory.control.functory import openapi
from functory.model.account import AccessKey, Scope

DOCUMENT = openapi.document(create_app(MagicMock()).routes, "0")
INVOKE = "/2023-03-30/functions/{functionName}/invocations"
"""The data plane's."""
CALLS = [
    (method.upper(), path, Scope(operation["x-functory-scope"]))
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
    if "x-functory-scope" in operation and path != INVOKE
]
IDS = [f"{method} {path}" for method, path, _ in CALLS]
INCLUDED = {
    Scope.ADMIN: set(Scope),
    Scope.DEPLOY: {Scope.DEPLOY, Scope.INVOKE, Scope.READ},
    Scope.INVOKE: {Scope.INVOKE},
    Scope.READ: {Scope.READ},
}
KEYS = (kit.ADMIN, kit.DEPLOYER, kit.CALLER, kit.READER)


@pytest.fixture
async def control() -> AsyncIterator[kit.Control]:
    made = kit.Control()
    await made.store.start()
    for name in ("echo", "other"):
        await made.create(name, environmentVariables={"PASSWORD": "a word of the first account"})
    yield made
    await made.client.aclose()


@pytest.fixture
async def whole(control: kit.Control) -> AsyncIterator[kit.Control]:
    """With the operations of tasks too. Nothing stands behind them: whoever may not, gets as far as there never."""
    app = create_app(replace(control.parts, tasks=object()))  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url=f"http://{kit.HOST}") as client:
        control.client, before = client, control.client
        yield control
        control.client = before


def path_of(template: str, name: str = "echo") -> str:
    return re.sub(r"\{[^}]+\}", "x", template.replace("{functionName}", name))


def refused(answer: Any) -> tuple[int, str]:
    return answer.status_code, answer.json().get("Code", "") if answer.content else ""


@pytest.mark.parametrize(("method", "path", "scope"), CALLS, ids=IDS)
async def test_without_a_key_nothing_is_done(whole: kit.Control, method: str, path: str, scope: Scope) -> None:
    answer = await whole.call(method, path_of(path), key=None, body=b"{}")
    assert refused(answer) == (400, "MissingRequiredHeader")


@pytest.mark.parametrize(("method", "path", "scope"), CALLS, ids=IDS)
async def test_a_key_below_the_scope_is_refused_before_anything_is_looked_at(
    whole: kit.Control, method: str, path: str, scope: Scope
) -> None:
    for key in KEYS:
        if scope not in INCLUDED[key.scope]:
            answer = await whole.call(method, path_of(path), key=key, body=b"{}")
            assert refused(answer) == (403, "AccessDenied"), key.scope
            if method == "GET":
                assert (await whole.call("HEAD", path_of(path), key=key)).status_code == 403


@pytest.mark.parametrize(("method", "path", "scope"), CALLS, ids=IDS)
@pytest.mark.parametrize("name", ["other", "%6fther", "echo%2F..%2Fother"])
async def test_a_role_for_one_function_reaches_no_other_and_nothing_common(
    whole: kit.Control, method: str, path: str, scope: Scope, name: str
) -> None:
    body = {"name": "narrow", "scopes": ["admin"], "functions": ["echo"]}
    assert (await whole.call("POST", "/functory/v1/roles", json=body)).status_code == 200
    [role] = await whole.parts.store.roles.all()
    made = whole.sessions.make(role, "echo", 60)
    key = AccessKey(access_key_id=made.access_key_id, secret=made.access_key_secret, account_id=kit.ACCOUNT)
    headers = {"x-acs-security-token": made.security_token}
    answer = await whole.call(method, path_of(path, name), key=key, headers=headers, body=b"{}")
    assert refused(answer) == (403, "AccessDenied")


@pytest.mark.parametrize(("method", "path", "scope"), CALLS, ids=IDS)
async def test_an_admin_of_another_account_sees_and_changes_nothing_of_this_one(
    control: kit.Control, method: str, path: str, scope: Scope
) -> None:
    before = await control.store.functions.all()
    answer = await control.call(method, path_of(path), key=kit.STRANGER, body=b"{}")
    assert b"a word of the first account" not in answer.content
    assert kit.ACCOUNT.encode() not in answer.content
    if "{functionName}" in path:
        assert answer.status_code in (400, 404), answer.text
    assert await control.store.functions.all() == before


@pytest.mark.parametrize(
    "disguised",
    [
        "//2023-03-30/functions/echo",
        "/2023-03-30//functions/echo",
        "/2023-03-30/functions/echo/",
        "/2023-03-30/functions/./echo",
        "/2023-03-30/x/../functions/echo",
        "/2023-03-30/%66unctions/echo",
        "/2023-03-30%2Ffunctions%2Fecho",
        "/2023-03-30/functions;x=1/echo",
        "/functory/v1/code/../keys",
        "/functory/v1/code/%2e%2e/keys",
        "/functory/v1/code/..%2Fkeys",
        "/healthz/../functory/v1/keys",
        "/healthz/",
        "/HEALTHZ",
    ],
)
async def test_a_path_in_disguise_is_no_other_path(control: kit.Control, disguised: str) -> None:
    scope = {
        "type": "http",
        "method": "GET",
        "path": disguised,
        "raw_path": disguised.encode(),
        "query_string": b"",
        "headers": [(b"host", kit.HOST.encode())],
        "state": {},
    }
    said: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        said.append(message)

    await control.app(scope, receive, send)
    assert said[0]["status"] in (400, 403, 404)
    assert b"FK" not in said[1]["body"]
    assert b"echo" not in said[1].get("body", b"").replace(disguised.encode(), b"")


@pytest.mark.parametrize("header", ["x-http-method-override", "x-http-method", "x-method-override", "_method"])
async def test_a_header_does_not_make_another_method_of_a_call(control: kit.Control, header: str) -> None:
    answer = await control.call("GET", "/2023-03-30/functions/echo", key=kit.READER, headers={header: "DELETE"})
    assert answer.status_code == 200
    assert len(await control.store.functions.all()) == 2


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "PATCH", "CONNECT", "PROPFIND"])
async def test_methods_that_no_operation_has_do_nothing_for_anybody(control: kit.Control, method: str) -> None:
    for key in (None, kit.ADMIN):
        answer = await control.call(method, "/2023-03-30/functions/echo", key=key)
        assert answer.status_code in (400, 404)
    assert len(await control.store.functions.all()) == 2
