"""What every request to the control API passes: signature, scope, size, and the shape of answers."""

from __future__ import annotations

import asyncio
from urllib.parse import urlencode

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from starlette.types import Message

import control_kit as kit
from control_kit import problem_of
from functory.control.fc import operations
from functory.control.parts import Limits
from functory.model.account import AccessKey

ALL = "/2023-03-30/functions"
ECHO = f"{ALL}/echo"


async def test_without_a_signature_only_health_answers(control: kit.Control) -> None:
    assert (await control.call("GET", "/healthz", key=None)).status_code == 200
    for path in (ALL, "/", "/functory/v1/node", "/healthz/", "/functory/v1/code", "/nowhere"):
        status, code, message = problem_of(await control.call("GET", path, key=None))
        assert (status, code) == (403, "SignatureNotMatch") or (status, code) == (400, "MissingRequiredHeader")
        assert "Authorization" in message
    assert problem_of(await control.call("POST", "/healthz", key=None))[1] == "MissingRequiredHeader"


async def test_a_wrong_secret_a_retired_key_and_a_replay_are_refused(control: kit.Control) -> None:
    wrong = AccessKey(access_key_id=kit.ADMIN.access_key_id, secret="guess", account_id=kit.ACCOUNT)
    assert problem_of(await control.call("GET", ALL, key=wrong))[:2] == (403, "SignatureNotMatch")
    assert problem_of(await control.call("GET", ALL, key=kit.RETIRED))[:2] == (403, "InvalidAccessKeyID")
    date = kit.date_text(control.clock.now_ms())
    headers = kit.sign("GET", ALL, {}, b"", kit.ADMIN, date=date, nonce="once")
    assert (await control.client.get(ALL, headers=headers)).status_code == 200
    assert problem_of(await control.client.get(ALL, headers=headers))[:2] == (403, "SignatureNotMatch")


async def test_a_body_other_than_the_signed_one_is_refused(control: kit.Control) -> None:
    date = kit.date_text(control.clock.now_ms())
    for nonce, body in (("short", b'{"x":1}'), ("long", b"x" * 300_000)):
        headers = kit.sign("POST", ALL, {}, b"{}", kit.ADMIN, date=date, nonce=nonce)
        response = await control.client.post(ALL, headers=headers, content=body)
        assert problem_of(response)[:2] == (403, "SignatureNotMatch")


@pytest.mark.parametrize(
    ("key", "allowed"),
    [
        (kit.ADMIN, {"GET", "PUT", "POST", "DELETE"}),
        (kit.DEPLOYER, {"GET", "PUT", "POST", "DELETE"}),
        (kit.READER, {"GET"}),
        (kit.CALLER, set()),
    ],
    ids=lambda value: value.scope if isinstance(value, AccessKey) else "",
)
async def test_a_key_does_what_its_scope_says(control: kit.Control, key: AccessKey, allowed: set[str]) -> None:
    await control.create()
    calls = {"GET": ECHO, "PUT": ECHO, "POST": "/functory/v1/tokens", "DELETE": ECHO}
    for method, path in calls.items():
        response = await control.call(method, path, key=key, json={})
        if method in allowed:
            assert response.status_code < 300, response.text
        else:
            status, code, message = problem_of(response)
            assert (status, code) == (403, "AccessDenied")
            assert f"has scope '{key.scope}'" in message


async def test_an_operation_that_is_not_built_is_named_and_another_path_is_not_supported(control: kit.Control) -> None:
    known = problem_of(await control.call("GET", f"{ECHO}/sessions/one"))
    assert known[:2] == (400, "PathNotSupported")
    assert known[2].startswith("GetSession is not supported yet by this node")
    encoded = problem_of(await control.call("GET", f"{ECHO}/snapshots/acs%3Afc%3Alocal%3A1%3Alayers%2Fx"))
    assert encoded[2].startswith("GetSnapshot is not supported yet")
    invoke = problem_of(await control.call("POST", f"{ECHO}/invocations"))
    assert invoke[0] == 400
    assert "InvokeFunction is answered by the data plane" in invoke[2]
    for method, path in (("GET", "/"), ("PATCH", ECHO), ("GET", f"{ALL}/"), ("PUT", ALL), ("OPTIONS", "/x%2Fy")):
        response = await control.call(method, path)
        assert problem_of(response) == (400, "PathNotSupported", f"'{method}' against '{path}' is not supported")


@pytest.mark.parametrize("operation", operations.OPERATIONS, ids=lambda operation: operation.name)
async def test_every_official_operation_answers_its_own_or_says_that_it_is_missing(
    control: kit.Control, operation: operations.Operation
) -> None:
    path = (
        f"/{operations.VERSION}{operation.template}".replace("{functionName}", "echo").replace("{", "").replace("}", "")
    )
    response = await control.call(operation.method, path, json={})
    if response.status_code == 200:
        assert operation.name == "DescribeRegions" or operation.name.startswith("List")
        return
    status, code, message = problem_of(response)
    if code == "PathNotSupported":
        assert operation.name in message
    else:
        assert (status, code) == (400, "InvalidArgument") or (status == 404 and code.endswith("NotFound"))


async def test_an_encoded_slash_stays_within_its_segment(control: kit.Control) -> None:
    await control.create()
    status, code, message = problem_of(await control.call("GET", f"{ALL}/echo%2Fcode"))
    assert (status, code) == (400, "InvalidArgument")
    assert "'echo/code' is not valid" in message
    assert (await control.call("GET", f"{ALL}/%65cho")).json()["functionName"] == "echo"


async def test_head_answers_as_get_without_the_body(control: kit.Control) -> None:
    await control.create()
    whole, head = await control.call("GET", ECHO), await control.call("HEAD", ECHO)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-length"] == whole.headers["content-length"]
    missing = await control.call("HEAD", f"{ALL}/none")
    assert (missing.status_code, missing.content) == (404, b"")
    assert missing.headers["x-fc-request-id"]


async def test_a_body_over_the_limit_is_refused_before_it_is_read() -> None:
    control = kit.Control(limits=Limits(body_bytes=1000, code_body_bytes=5000))
    await control.store.start()
    for method, path, size in (("POST", "/functory/v1/tokens", 1001), ("POST", ALL, 5001), ("PUT", ECHO, 5001)):
        status, code, message = problem_of(await control.call(method, path, body=b"x" * size))
        assert (status, code) == (400, "EntityTooLarge")
        assert f"{size - 1} bytes" in message
        assert problem_of(await control.call(method, path, body=b"x" * (size - 1)))[1] != "EntityTooLarge"


async def asgi(
    control: kit.Control,
    method: str,
    path: str,
    body: list[Message],
    headers: dict[str, str],
    query: str = "",
) -> list[Message]:
    """One call of the application with the messages of a server of our choice."""
    sent: list[Message] = []
    feed = iter(body)

    async def receive() -> Message:
        return next(feed)

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": method,
        "path": path,
        "raw_path": path.encode(),
        "query_string": query.encode(),
        "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }
    await control.app(scope, receive, send)
    return sent


async def test_a_body_that_grows_over_the_limit_without_saying_its_length_is_cut_off() -> None:
    control = kit.Control(limits=Limits(body_bytes=1000))
    headers = kit.sign("POST", "/x", {}, b"", kit.ADMIN, date=kit.date_text(control.clock.now_ms()), nonce="n")
    pieces: list[Message] = [{"type": "http.request", "body": b"x" * 600, "more_body": True}] * 2
    start, end = await asgi(control, "POST", "/x", pieces, headers)
    assert start["status"] == 400
    assert b"EntityTooLarge" in end["body"]


async def test_an_unsigned_caller_cannot_make_the_node_read_a_body(control: kit.Control) -> None:
    start, end = await asgi(control, "POST", ALL, [], {"content-length": "60000000"})
    assert start["status"] == 400
    assert b"MissingRequiredHeader" in end["body"]


async def test_a_client_that_goes_away_within_the_body_ends_the_call(control: kit.Control) -> None:
    headers = kit.sign("POST", ALL, {}, b"", kit.ADMIN, date=kit.date_text(control.clock.now_ms()), nonce="n")
    start, _ = await asgi(control, "POST", ALL, [{"type": "http.disconnect"}], headers)
    assert start["status"] == 400


async def test_an_unexpected_failure_tells_nothing_but_its_request_id(
    control: kit.Control, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object, **__: object) -> None:
        raise ValueError("the secret is hunter2")

    monkeypatch.setattr(control.store.functions, "get", broken)
    status, code, message = problem_of(await control.call("GET", ECHO))
    assert (status, code) == (500, "InternalServerError")
    assert "hunter2" not in message


def words(text: str) -> st.SearchStrategy[str]:
    return st.sampled_from(text.split())


SEGMENTS = words(
    "2023-03-30 functions functory v1 echo code instances requests logs tokens layers node version healthz x.zip "
    "%2F % .. %C3%BC 1-65a77fbb-157f3f32-000000000001 " + "a" * 66
)
PATHS = st.one_of(
    st.lists(st.one_of(SEGMENTS, st.just("")), max_size=6).map(lambda parts: "/" + "/".join(parts)),
    words(
        f"{ALL} {ECHO} {ECHO}/code {ECHO}/instances /functory/v1/requests /functory/v1/functions/echo/logs "
        "/functory/v1/tokens /functory/v1/layers /functory/v1/code/x.zip /healthz /functory/v1/node"
    ),
)
NAMES = words("limit nextToken prefix qualifier tags function failed before after expires x")
VALUES = st.one_of(words("1 -1 999999999999999999999999 true LATEST [] null nan"), st.text(max_size=9))
FIELDS = words(
    "functionName runtime handler code zipFile checksum cpu memorySize timeout layers tags Key Value functions x "
    "environmentVariables instanceLifecycleConfig initializer vpcConfig expiresInSeconds requirements gpuConfig "
    "gpuMemorySize logConfig"
)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(allow_nan=False), st.text(max_size=9)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(FIELDS, inner, max_size=4)),
    max_leaves=12,
)
BODIES = st.one_of(
    st.just({}),
    st.dictionaries(FIELDS, JSON, max_size=6),
    st.fixed_dictionaries(
        {
            "functionName": st.sampled_from(["echo", "other", "1"]),
            "runtime": st.sampled_from(["python3", "custom", "", "x"]),
            "handler": st.sampled_from(["index.handler", "", "x"]),
            "code": st.sampled_from([{"zipFile": kit.b64(kit.ECHO_ZIP)}, {}, {"zipFile": "x"}]),
        },
        optional={
            "cpu": st.floats(allow_nan=False, allow_infinity=False),
            "memorySize": st.integers(),
            "tags": JSON,
            "gpuConfig": JSON,
            "environmentVariables": st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=3),
            "description": st.text(max_size=20),
        },
    ),
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH"]),
    path=PATHS,
    query=st.lists(st.tuples(NAMES, VALUES), max_size=3),
    body=BODIES,
    raw=st.one_of(st.none(), st.binary(max_size=30)),
)
def test_no_signed_request_whatsoever_is_answered_by_a_fault(
    method: str, path: str, query: list[tuple[str, str]], body: object, raw: bytes | None
) -> None:
    async def run() -> None:
        control = kit.Control()
        await control.store.start()
        await control.create()
        content = msgspec.json.encode(body) if raw is None else raw
        pairs, date = list(dict(query).items()), kit.date_text(control.clock.now_ms())
        signed = kit.canonical_query(pairs)
        headers = kit.sign(method, path, {}, content, kit.ADMIN, date=date, nonce="fuzz", query=signed)
        pieces: list[Message] = [{"type": "http.request", "body": content}]
        start, *rest = await asgi(control, method, path, pieces, headers, query=urlencode(pairs))
        answer = b"".join(message["body"] for message in rest)
        status, told = start["status"], dict(start["headers"])
        assert status < 500, answer
        assert status != 403 or "/code/" in path, answer
        assert told[b"x-fc-request-id"]
        if method == "HEAD" or status == 204:
            assert answer == b""
        else:
            shown = msgspec.json.decode(answer)
            assert shown
            assert status < 400 or set(shown) == {"Code", "Message", "RequestId"}

    asyncio.run(run())
