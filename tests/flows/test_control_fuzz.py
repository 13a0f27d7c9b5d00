"""The whole edge under nonsense: whatever is sent, it is answered or refused in the one shape, and never a fault.

The calls are made from the API's own description, so that an operation which is added is tried too.
"""

from __future__ import annotations

import asyncio
from typing import Any
from unittest.mock import MagicMock
from urllib.parse import quote

import httpx
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import control_kit as kit
from functory.control.app import create_app
from functory.control.functory import openapi

DOCUMENT = openapi.document(create_app(MagicMock()).routes, "0")
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
OPERATIONS = [
    (method.upper(), path, operation) for path, item in DOCUMENT["paths"].items() for method, operation in item.items()
]

NAMES = st.sampled_from(["echo", "echo", "echo", "other", "prod", "1", "2", "LATEST", "tools", "none", "a" * 200])
ODD = st.sampled_from(["", "..", "a/b", "é", "\x00", "%", "-1", "0", "99999999999999999999", "' OR 1=1 --", "\ud7ff"])
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.sampled_from([0, 1, 2, 3, 64, 512, 10_001, -1, 2**63, -(2**63), 10**30, 0.5, 1.5, -0.0, 1e300]),
    NAMES,
    ODD,
    st.text(max_size=8),
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES | ODD, inner, max_size=3), max_leaves=6
)
GOOD = {
    "functionName": st.sampled_from(["echo", "other"]),
    "runtime": st.just("python3"),
    "handler": st.just("index.handler"),
    "code": st.just({"zipFile": kit.b64(kit.ECHO_ZIP)}),
    "versionId": st.sampled_from(["1", "2"]),
    "aliasName": st.just("prod"),
    "additionalVersionWeight": st.dictionaries(st.sampled_from(["1", "2"]), st.floats(0, 1), max_size=2),
    "ResourceId": st.just([f"acs:fc:local:{kit.ACCOUNT}:functions/echo"]),
    "Tag": st.just([{"Key": "a", "Value": "b"}]),
    "layers": st.just([f"acs:fc:local:{kit.ACCOUNT}:layers/tools/versions/1"]),
    "scope": st.sampled_from(["read", "admin"]),
}
"""Values that make sense, so that calls get past the first check."""


PATHS = {
    "functionName": "echo",
    "versionId": "1",
    "aliasName": "prod",
    "layerName": "tools",
    "version": "1",
    "arn": f"acs:fc:local:{kit.ACCOUNT}:layers/tools/versions/1",
    "accessKeyId": kit.READER.access_key_id,
}
"""Path segments that make sense."""


def _bodies(operation: dict[str, Any]) -> st.SearchStrategy[object]:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if content is None:
        return st.none() | VALUES
    fields = SCHEMAS[content["schema"]["$ref"].rsplit("/", 1)[-1]].get("properties", {})
    sensible = {name: GOOD.get(name, SCALARS) for name in fields}
    plain = st.fixed_dictionaries({name: made for name, made in sensible.items() if name in GOOD})
    some = st.fixed_dictionaries({}, optional={name: GOOD.get(name, VALUES) | VALUES for name in fields})
    good = st.fixed_dictionaries(
        {name: made for name, made in sensible.items() if name in GOOD},
        optional={name: made for name, made in sensible.items() if name not in GOOD},
    )
    return st.one_of(plain, plain, plain, good, some, VALUES)


@st.composite
def calls(draw: st.DrawFn) -> tuple[str, str, list[tuple[str, str]], object]:
    """Method, path, query and body of one call."""
    method, path, operation = draw(st.sampled_from(OPERATIONS))
    for parameter in operation["parameters"]:
        if parameter["in"] == "path":
            sensible = st.just(PATHS.get(parameter["name"], "x"))
            value = draw(st.one_of(sensible, sensible, sensible, NAMES, ODD))
            path = path.replace(f"{{{parameter['name']}}}", quote(value, safe="") or "x")
    known = [parameter["name"] for parameter in operation["parameters"] if parameter["in"] == "query"]
    names = st.sampled_from([*known, "qualifier", "limit", "nextToken"]) | ODD
    some = st.lists(st.tuples(names, NAMES | ODD | st.just("5")), max_size=3, unique_by=lambda pair: pair[0])
    none: st.SearchStrategy[list[tuple[str, str]]] = st.just([])
    query = draw(st.one_of(none, none, none, some))
    return method, path, query, draw(_bodies(operation))


async def send_all(sent: list[tuple[str, str, list[tuple[str, str]], object]]) -> None:
    """A function with a version, then all of these, one after the other."""
    control = kit.Control()
    await control.store.start()
    async with control.client:
        await control.create()
        await control.call("POST", "/2023-03-30/functions/echo/versions")
        for method, path, query, body in sent:
            named = [(name or "x", value) for name, value in query]
            answer = await control.call(method, path, query=named, json=body)
            check(answer, (method, path, named, body))


def check(answer: httpx.Response, sent: object) -> None:
    """It is an answer, or a refusal in the one shape."""
    assert answer.status_code < 500, f"{sent}: {answer.text}"
    assert answer.headers["x-fc-request-id"].startswith("1-")
    if answer.status_code >= 400:
        status, code, message = kit.problem_of(answer)
        assert code.isidentifier()
        assert message
        assert "Traceback" not in message
        assert 400 <= status < 500
    elif answer.status_code == 200 and answer.headers["content-type"] == "application/json":
        assert isinstance(answer.json(), dict)


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck), derandomize=False)
@given(st.lists(calls(), min_size=5, max_size=25))
@example([("GET", "/2023-03-30/functions", [("limit", "99999999999999999999")], None)])
def test_nonsense_is_refused_and_never_a_fault(
    sent: list[tuple[str, str, list[tuple[str, str]], object]],
) -> None:
    asyncio.run(send_all(sent))
