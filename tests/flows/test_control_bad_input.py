"""Every operation of the official API under every kind of wrong input, made from the operations' own description.

An operation that is added is tried too, and fails here until it has a body that is right in `GOOD`.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import MagicMock
from urllib.parse import quote

import httpx
import pytest

import control_kit as kit
from functory.control.app import create_app
from functory.control.fc import operations
from functory.control.functory import openapi

DOCUMENT = openapi.document(create_app(MagicMock()).routes, "0")
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
OFFICIAL = {
    operation["operationId"]: (method.upper(), path, operation)
    for path, item in DOCUMENT["paths"].items()
    for method, operation in item.items()
    if path.startswith(f"/{operations.VERSION}/") and operation["operationId"] != "InvokeFunction"
}
PATHS = {
    "functionName": "echo",
    "versionId": "1",
    "aliasName": "prod",
    "layerName": "tools",
    "version": "1",
    "arn": f"acs:fc:local:{kit.ACCOUNT}:layers/tools/versions/1",
    "triggerName": "clock",
    "domainName": "www.example.com",
    "taskId": "none",
    "vpcId": "vpc-1",
}
ZIP = {"zipFile": kit.b64(kit.ECHO_ZIP)}
ROUTES = {"routes": [{"path": "/*", "functionName": "echo"}]}
TIMER = json.dumps({"cronExpression": "@every 5m", "enable": True})
GOOD: dict[str, dict[str, Any]] = {
    "CreateFunction": {"functionName": "new", "runtime": "python3", "handler": "index.handler", "code": ZIP},
    "UpdateFunction": {"timeout": 9},
    "CreateAlias": {"aliasName": "new", "versionId": "1"},
    "UpdateAlias": {"description": "live"},
    "CreateTrigger": {"triggerName": "new", "triggerType": "timer", "triggerConfig": TIMER},
    "UpdateTrigger": {"description": "often"},
    "CreateCustomDomain": {"domainName": "new.example.com", "protocol": "HTTP", "routeConfig": ROUTES},
    "UpdateCustomDomain": {"protocol": "HTTP"},
    "CreateVpcBinding": {"vpcId": "vpc-1"},
    "PutAsyncInvokeConfig": {"maxAsyncRetryAttempts": 1},
    "PutConcurrencyConfig": {"reservedConcurrency": 1},
    "PutProvisionConfig": {"target": 0},
    "PutScalingConfig": {"minInstances": 0},
    "DisableFunctionInvocation": {"reason": "repair"},
    "PublishFunctionVersion": {"description": "next"},
    "CreateLayerVersion": {"code": ZIP},
    "TagResources": {"ResourceId": ["echo"], "Tag": [{"Key": "a", "Value": "b"}]},
}
"""A body that is right, for each operation that has one."""
VALUES: dict[str, Any] = {
    "string": "text",
    "integer": 3,
    "number": 1.5,
    "boolean": True,
    "array": [{}],
    "object": {"a": {}},
}
HUGE = "x" * 100_000


@pytest.fixture
async def control() -> AsyncIterator[kit.Control]:
    """A function with a version, an alias, a trigger, a layer and a domain, and a VPC."""
    one = kit.Control()
    one.client = httpx.AsyncClient(
        transport=httpx.ASGITransport(create_app(replace(one.parts, trigger_url=lambda trigger: "http://x/"))),
        base_url=f"http://{kit.HOST}",
    )
    await one.store.start()
    await one.create()
    await one.call("POST", "/2023-03-30/functions/echo/versions", json={})
    for path, body in (
        ("functions/echo/aliases", {"aliasName": "prod", "versionId": "1"}),
        ("functions/echo/triggers", {"triggerName": "clock", "triggerType": "timer", "triggerConfig": TIMER}),
        ("layers/tools/versions", {"code": ZIP}),
        ("custom-domains", {"domainName": "www.example.com", "protocol": "HTTP", "routeConfig": ROUTES}),
    ):
        made = await one.call("POST", f"/2023-03-30/{path}", json=body)
        assert made.status_code == 200, made.text
    made = await one.call("POST", "/functory/v1/vpcs", json={"vpcId": "vpc-1", "names": ["example.com"]})
    assert made.status_code < 300, made.text
    yield one
    await one.client.aclose()


def fields(operation: dict[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The properties of the body, and those that are required."""
    schema = operation["requestBody"]["content"]["application/json"]["schema"]
    whole = SCHEMAS[schema["$ref"].removeprefix("#/components/schemas/")]
    return whole.get("properties", {}), whole.get("required", [])


def types(schema: dict[str, Any]) -> Iterator[str]:
    """The JSON types that a field may have; nothing for one that may be anything."""
    if "$ref" in schema:
        yield from types(SCHEMAS[schema["$ref"].removeprefix("#/components/schemas/")])
    for one in schema.get("anyOf", []):
        yield from types(one)
    if isinstance(schema.get("type"), str):
        yield schema["type"]
    elif "enum" in schema:
        yield "string"


def path_of(path: str, **other: str) -> str:
    for name, value in {**PATHS, **other}.items():
        path = path.replace(f"{{{name}}}", quote(value, safe=""))
    return path


async def state(control: kit.Control) -> object:
    """All that a refused call must not change."""
    pages = ("functions", "functions/echo/aliases", "functions/echo/triggers", "functions/echo/versions")
    more = ("layers/tools/versions", "custom-domains", "tags-v2", "async-invoke-configs", "provision-configs")
    answers = [await control.call("GET", f"/2023-03-30/{page}") for page in (*pages, *more)]
    return [{key: value for key, value in one.json().items() if key != "RequestId"} for one in answers]


def refused(answer: httpx.Response, sent: object, *names: str) -> None:
    """400 InvalidArgument, whose message names what is wrong."""
    status, code, message = kit.problem_of(answer)
    assert (status, code) == (400, "InvalidArgument"), f"{sent}: {answer.text[:300]}"
    assert not names or any(name.lower() in message.lower() for name in names), f"{sent}: {message[:300]}"
    assert "Traceback" not in message
    assert len(message) < 2000, "what was sent is not sent back whole"


WITH_BODY = sorted(name for name, (_, _, operation) in OFFICIAL.items() if "requestBody" in operation)


def test_every_operation_with_a_body_has_one_that_is_right() -> None:
    assert sorted(GOOD) == WITH_BODY


@pytest.mark.parametrize("name", WITH_BODY)
async def test_the_right_body_is_taken_with_fields_that_nobody_knows(control: kit.Control, name: str) -> None:
    method, path, _ = OFFICIAL[name]
    await control.call("PUT", "/2023-03-30/functions/echo", json={"description": "changed"})
    body = {**GOOD[name], "fieldOfTomorrow": {"a": [1, None, "x"]}}
    answer = await control.call(method, path_of(path), json=body)
    assert answer.status_code < 300, answer.text
    assert "fieldOfTomorrow" not in answer.text


@pytest.mark.parametrize("name", WITH_BODY)
async def test_a_field_that_is_missing_or_of_a_wrong_type_is_named(control: kit.Control, name: str) -> None:
    method, path, operation = OFFICIAL[name]
    properties, required = fields(operation)
    before = await state(control)
    for field, schema in properties.items():
        allowed = set(types(schema))
        if "number" in allowed:
            allowed.add("integer")
        wrong = [value for kind, value in VALUES.items() if allowed and kind not in allowed]
        if field in required:
            refused(await control.call(method, path_of(path), json=without(GOOD[name], field)), field, field)
            wrong.append(None)
        for value in wrong:
            answer = await control.call(method, path_of(path), json={**GOOD[name], field: value})
            refused(answer, (field, value), field)
    assert await state(control) == before


def without(body: dict[str, Any], field: str) -> dict[str, Any]:
    return {key: value for key, value in body.items() if key != field}


@pytest.mark.parametrize("name", WITH_BODY)
async def test_a_value_that_is_too_large_is_refused_and_not_sent_back(control: kit.Control, name: str) -> None:
    method, path, operation = OFFICIAL[name]
    before = await state(control)
    for field, schema in fields(operation)[0].items():
        allowed, sent = set(types(schema)), list[Any]()
        if "string" in allowed:
            sent.append(HUGE)
        if "integer" in allowed:
            sent += [2**31, 2**63, 10**30, -1]
        elif "number" in allowed:
            sent += [1e308, -1.0]
        for value in sent:
            answer = await control.call(method, path_of(path), json={**GOOD[name], field: value})
            if field == "versionId" and answer.status_code == 404:
                assert len(answer.text) < 2000
                continue  # there is no such version
            refused(answer, (field, str(value)[:20]))
    assert await state(control) == before


NO_OBJECT = (b"", b"{", b"[]", b"null", b'"x"', b"\xff", b"{}x", b'{"a":' * 5000)
MAY_BE_EMPTY = {"PublishFunctionVersion", "DisableFunctionInvocation"}


@pytest.mark.parametrize("name", WITH_BODY)
async def test_a_body_that_is_no_object_is_refused(control: kit.Control, name: str) -> None:
    method, path, _ = OFFICIAL[name]
    before = await state(control)
    for body in NO_OBJECT[name in MAY_BE_EMPTY :]:
        refused(await control.call(method, path_of(path), body=body), body[:10])
    assert await state(control) == before


ODD = ("x" * 1000, "../echo", "a/b", "é", "\x00", "%2e%2e", " ", "' OR 1=1", "-", "0")
PATH_PARAMETERS = sorted(
    (name, one["name"]) for name, (_, _, of) in OFFICIAL.items() for one in of["parameters"] if one["in"] == "path"
)


@pytest.mark.parametrize(("name", "parameter"), PATH_PARAMETERS)
async def test_an_odd_name_in_a_path_is_refused_as_missing_or_wrong(
    control: kit.Control, name: str, parameter: str
) -> None:
    method, path, _ = OFFICIAL[name]
    before = await state(control)
    for odd in ODD:
        answer = await control.call(method, path_of(path, **{parameter: odd}), json=GOOD.get(name))
        if answer.status_code < 300 and name in ("ListLayerVersions", "DeleteVpcBinding"):
            continue  # no layer of that name: no versions; what is not bound need not be unbound
        status, code, message = kit.problem_of(answer)
        assert status in (400, 404), (odd, answer.text[:200])
        assert code.isidentifier()
        assert len(message) < 2000
    if name != "CreateLayerVersion":  # any name that is allowed makes a layer
        assert await state(control) == before


QUERIES = sorted(
    (name, one["name"], one["schema"])
    for name, (_, _, of) in OFFICIAL.items()
    for one in of["parameters"]
    if one["in"] == "query"
)


@pytest.mark.parametrize(("name", "parameter"), [(name, parameter) for name, parameter, _ in QUERIES])
async def test_an_odd_query_is_refused_or_finds_nothing(control: kit.Control, name: str, parameter: str) -> None:
    method, path, of = OFFICIAL[name]
    schema = next(one["schema"] for one in of["parameters"] if one["name"] == parameter)
    number = "integer" in set(types(schema))
    for odd in ("x", "-1", "0", "9" * 30, "é" * 2000, '[{"Key": 1}]', "{", "\x00"):
        answer = await control.call(method, path_of(path), query=[(parameter, odd)])
        assert answer.status_code < 500, (odd, answer.text[:300])
        if answer.status_code >= 400:
            assert kit.problem_of(answer)[0] in (400, 404)
        elif number:
            assert odd == "0", f"{parameter}={odd[:10]} was taken"
    if parameter.lower() == "nexttoken" and name != "ListAsyncTasks":  # tasks have tests of their own
        refused(await control.call(method, path_of(path), query=[(parameter, "!" * 50)]), parameter)


@pytest.mark.parametrize("name", sorted(OFFICIAL))
async def test_strangers_and_the_unsigned_change_and_learn_nothing(control: kit.Control, name: str) -> None:
    method, path, _ = OFFICIAL[name]
    before = await state(control)
    unsigned = await control.call(method, path_of(path), json=GOOD.get(name), key=None)
    assert kit.problem_of(unsigned)[0] in (400, 401, 403)
    strange = await control.call(method, path_of(path), json=GOOD.get(name), key=kit.STRANGER)
    assert strange.status_code < 500
    assert kit.ACCOUNT not in strange.text or strange.status_code in (400, 404)
    assert await state(control) == before


LONGEST = [
    ("functions", "functionName", "CreateFunction", "a" * 64, "a" * 65),
    ("functions/echo/aliases", "aliasName", "CreateAlias", "a" * 128, "a" * 129),
    ("functions/echo/triggers", "triggerName", "CreateTrigger", "a" * 128, "a" * 129),
    ("custom-domains", "domainName", "CreateCustomDomain", f"{'a' * 63}.example.com", f"{'a' * 64}.example.com"),
]


@pytest.mark.parametrize(("path", "field", "name", "longest", "longer"), LONGEST, ids=[row[1] for row in LONGEST])
async def test_names_may_be_as_long_as_the_official_ones_and_no_longer(
    control: kit.Control, path: str, field: str, name: str, longest: str, longer: str
) -> None:
    whole = f"/2023-03-30/{path}"
    for wrong in (longer, "", " ", "a b", "é", "a/b", "a\x00"):
        refused(await control.call("POST", whole, json={**GOOD[name], field: wrong}), wrong)
    for right in (longest, "a.b" if field == "domainName" else "a"):
        made = await control.call("POST", whole, json={**GOOD[name], field: right})
        assert made.status_code == 200, made.text
        assert (await control.call("GET", f"{whole}/{right}")).json()[field] == right
        assert (await control.call("DELETE", f"{whole}/{right}")).status_code == 204
