"""HTTP triggers over the whole data path: gateway, waist, pools, in-memory instances."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import jwt
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functory.gateway.body import BodyConfig
from functory.model.domain import AuthConfig, Domain, Rewrite, Route, RouteConfig, Rule
from functory.model.invocation import Kind
from functory.model.trigger import AuthKind, Cors, Trigger, TriggerKind
from functory.runtimes import wire
from functory.testing.edge import ACCOUNT, KEY, Answer, Edge, edge, make_function, read_answer, until
from functory.testing.instances import Asked

Returns = Callable[[dict[str, Any]], object]
SECRET = b"s" * 32


def returning(value: object) -> Callable[[Asked], Awaitable[bytes]]:
    """A handler that returns this: bytes, or what the runtime writes as JSON."""

    async def handler(asked: Asked) -> bytes:
        made = value(msgspec.json.decode(asked.payload)) if callable(value) else value
        return made if isinstance(made, bytes) else msgspec.json.encode(made)

    return handler


async def event_of(asked: Asked) -> bytes:
    """Answers with the event itself."""
    return msgspec.json.encode({"statusCode": 200, "body": asked.payload.decode()})


def trigger(function: str = "echo", *, epoch: int = 1, qualifier: str = "LATEST", **config: Any) -> Trigger:
    """An HTTP trigger; every method unless told otherwise."""
    config.setdefault("authType", "anonymous")
    config.setdefault("methods", ["GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS"])
    return Trigger(
        account_id=ACCOUNT,
        function_name=function,
        name="web",
        trigger_id=f"id-{function}-{qualifier}",
        kind=TriggerKind.HTTP,
        qualifier=qualifier,
        config=json.dumps(config),
        created_at_ms=0,
        modified_at_ms=0,
        epoch=epoch,
    )


def request(method: str, target: str, *headers: str, body: bytes = b"", host: str = "x") -> bytes:
    """A whole request as bytes."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}", *headers]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def ask(node: Edge, method: str, target: str, *headers: str, body: bytes = b"", host: str = "x") -> Answer:
    return (await node.send(request(method, target, *headers, body=body, host=host)))[0]


async def events(node: Edge, *requests: bytes) -> list[dict[str, Any]]:
    """What the function was given for each of these."""
    return [msgspec.json.decode(answer.body) for answer in await node.send(*requests)]


# --- the event --------------------------------------------------------------------------------------------------------


async def test_the_event_is_version_1_of_the_official_shape() -> None:
    async with edge(event_of) as node:
        node.targets.put_trigger(trigger())
        [event] = await events(
            node,
            request(
                "POST",
                "/fn/echo/a%20b/c?x=1&y=&x=2%2C3",
                "Content-Type: text/plain",
                "User-Agent: tester",
                "X-Twice: a",
                "x-twice: b",
                "X-Fc-Request-Id: forged",
                "x-fc-anything: forged",
                body='grüße "\\\n'.encode(),
                host="Example.org:8080",
            ),
        )
        context = event.pop("requestContext")
        assert event == {
            "version": "v1",
            "rawPath": "/a%20b/c",
            "headers": {
                "Host": "Example.org:8080",
                "Content-Type": "text/plain",
                "User-Agent": "tester",
                "X-Twice": "a,b",
                "Content-Length": "11",
            },
            "queryParameters": {"x": "1,2,3", "y": ""},
            "body": 'grüße "\\\n',
            "isBase64Encoded": False,
        }
        assert context.pop("time").endswith("Z")
        assert abs(int(context.pop("timeEpoch")) / 1000 - datetime.now(UTC).timestamp()) < 60
        assert context.pop("requestId").startswith("1-")
        assert context == {
            "accountId": ACCOUNT,
            "domainName": "example.org",
            "domainPrefix": "example",
            "http": {
                "method": "POST",
                "path": "/a b/c",
                "protocol": "HTTP/1.1",
                "sourceIp": "127.0.0.1",
                "userAgent": "tester",
            },
        }


@pytest.mark.parametrize("size", [3, 300_000, 3_000_000])
async def test_binary_bodies_are_base64_and_texts_are_texts_however_large(size: int, tmp_path: Any) -> None:
    binary, text = b"\xff\x00" * (size // 2), ("ü" * (size // 2)).encode()

    async def digest(asked: Asked) -> bytes:
        event = msgspec.json.decode(asked.payload)
        body = base64.b64decode(event["body"]) if event["isBase64Encoded"] else event["body"].encode()
        return msgspec.json.encode([event["isBase64Encoded"], hashlib.sha256(body).hexdigest()])

    config = BodyConfig(folder=str(tmp_path), spill_bytes=1 << 20)
    async with edge(digest, body=config) as node:
        node.targets.put_trigger(trigger())
        for body, encoded in ((binary, True), (text, False)):
            answer = await ask(node, "POST", "/fn/echo", body=body)
            assert msgspec.json.decode(answer.body) == [encoded, hashlib.sha256(body).hexdigest()]
    assert list(tmp_path.iterdir()) == []


async def test_requests_of_one_connection_have_their_own_bodies_and_ids() -> None:
    async with edge(event_of) as node:
        node.targets.put_trigger(trigger())
        found = await events(node, *(request("POST", "/fn/echo/", body=b"%d" % n) for n in (1, 2, 3)))
        assert [event["body"] for event in found] == ["1", "2", "3"]
        assert len({event["requestContext"]["requestId"] for event in found}) == 3


async def test_the_record_is_of_kind_http() -> None:
    async with edge(returning(b"x")) as node:
        node.targets.put_trigger(trigger())
        await ask(node, "GET", "/fn/echo/")
        assert [record.kind for record in await node.flushed()] == [Kind.HTTP]


# --- where it leads ---------------------------------------------------------------------------------------------------


async def test_path_host_and_qualifier_lead_to_their_trigger() -> None:
    async with edge(event_of, make_function(), make_function("two"), domain="fn.test") as node:
        node.targets.put_trigger(trigger())
        node.targets.put_trigger(trigger("two"))
        for target, host, path in (
            ("/fn/echo", "x", "/"),
            ("/fn/two/y", "x", "/y"),
            ("/y?q=1", "echo.fn.test", "/y"),
            ("/2023-03-30/functions/echo/invocations", "TWO.fn.test:99", "/2023-03-30/functions/echo/invocations"),
        ):
            method = "POST" if "invocations" in target else "GET"
            [event] = await events(node, request(method, target, host=host))
            assert event["rawPath"] == path
        for target, host in (("/fn/none/", "x"), ("/fn/echo.live/", "x"), ("/", "none.fn.test"), ("/fn/", "x")):
            answer = await ask(node, "GET", target, host=host)
            assert (answer.status, msgspec.json.decode(answer.body)["Code"]) == (404, "TriggerNotFound")


async def test_urls_are_by_host_where_the_name_can_stand_in_one() -> None:
    async with edge(event_of, domain="fn.test") as node:
        assert node.targets.url(trigger("echo"), "http://127.0.0.1:99") == "http://echo.fn.test:99"
        assert node.targets.url(trigger("Echo_1"), "http://127.0.0.1:99") == "http://127.0.0.1:99/fn/Echo_1/"
        other = msgspec.structs.replace(trigger("echo", qualifier="live"), account_id="2")
        assert node.targets.url(other, "http://127.0.0.1:99") == "http://127.0.0.1:99/fn/2:echo.live/"


async def test_another_accounts_function_has_another_url() -> None:
    async with edge(event_of, make_function(account_id="2")) as node:
        node.targets.put_trigger(msgspec.structs.replace(trigger(), account_id="2"))
        assert (await ask(node, "GET", "/fn/echo/")).status == 404
        [event] = await events(node, request("GET", "/fn/2:echo/a"))
        assert (event["requestContext"]["accountId"], event["rawPath"]) == ("2", "/a")


async def test_a_change_counts_for_the_next_request_of_an_open_connection() -> None:
    async with edge(returning(b"x")) as node:
        reader, writer = await node.connect()
        statuses = []
        steps: list[Callable[[], None]] = [
            lambda: None,
            lambda: node.targets.put_trigger(trigger()),
            lambda: node.targets.put_trigger(trigger(epoch=3, methods=["POST"])),
            lambda: node.targets.put_trigger(trigger(epoch=2)),  # news that comes late is old
            lambda: node.targets.drop_trigger(trigger()),
        ]
        for step in steps:
            step()
            writer.write(request("GET", "/fn/echo/"))
            statuses.append((await read_answer(reader)).status)
        assert statuses == [404, 200, 405, 405, 404]


async def test_methods_are_checked_and_named() -> None:
    async with edge(returning(b"x")) as node:
        node.targets.put_trigger(trigger(methods=["GET", "PUT"]))
        answer = await ask(node, "POST", "/fn/echo/", body=b"x")
        assert (answer.status, answer.headers["allow"]) == (405, "GET, PUT")
        assert (await ask(node, "PUT", "/fn/echo/", body=b"x")).status == 200


async def test_too_long_paths_headers_and_bodies_are_invalid_arguments() -> None:
    async with edge(returning(b"x"), body_max_bytes=1000) as node:
        node.targets.put_trigger(trigger())
        wide = [f"X-{n}: {'h' * 2000}" for n in range(5)]
        for sent in (
            request("GET", "/fn/echo/" + "p" * 4097),
            request("GET", "/fn/echo/", *wide),
            request("POST", "/fn/echo/", body=b"x" * 1001),
            request("POST", "/fn/echo/", "Transfer-Encoding: chunked") + b"3e9\r\n" + b"x" * 1001,
        ):
            [answer] = await node.send(sent)
            assert (answer.status, msgspec.json.decode(answer.body)["Code"]) == (400, "InvalidArgument"), answer


async def test_a_url_closed_to_the_internet_serves_private_addresses() -> None:
    async with edge(returning(b"x")) as node:
        node.targets.put_trigger(trigger(disableURLInternet=True))
        assert (await ask(node, "GET", "/fn/echo/")).status == 200
        from functory.gateway.head import parse

        head = parse(request("GET", "/fn/echo/"))
        for peer, refused in (("8.8.8.8", True), ("10.1.2.3", False), ("::1", False), ("2001:4860::1", True)):
            node.targets.bind(head, peer, secure=False)
            assert head.bound is not None
            assert (head.bound.refusal is not None) is refused


# --- the answer -------------------------------------------------------------------------------------------------------


async def test_an_answer_object_becomes_the_http_answer() -> None:
    value = {
        "statusCode": 418,
        "headers": {
            "X-One": "1",
            "Set-Cookie": ["a=1", "b=2"],
            "X-Number": 7,
            "Content-Length": "9999",
            "Connection": "x",
        },
        "body": "short",
    }
    async with edge(returning(value)) as node:
        node.targets.put_trigger(trigger())
        reader, writer = await node.connect()
        writer.write(request("GET", "/fn/echo/"))
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        assert head.startswith("HTTP/1.1 418 ")
        assert "X-One: 1\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Number: 7\r\n" in head
        assert "content-length: 5\r\n" in head
        assert "9999" not in head
        assert "content-disposition" not in head.lower()
        assert await reader.readexactly(5) == b"short"


@pytest.mark.parametrize(
    ("value", "status", "body", "kind"),
    [
        (b"plain text", 200, b"plain text", "text/plain; charset=utf-8"),
        (b"\x00\x01", 200, b"\x00\x01", "application/octet-stream"),
        ({"any": "object"}, 200, b'{"any":"object"}', "application/json"),
        ([1], 200, b"[1]", "application/json"),
        (b"", 200, b"", "text/plain; charset=utf-8"),
        ({"statusCode": "201"}, 201, b"", ""),
        ({"statusCode": 200, "body": {"a": 1}}, 200, b'{"a":1}', "application/json"),
        ({"statusCode": 200, "isBase64Encoded": True, "body": "AAE="}, 200, b"\x00\x01", "application/octet-stream"),
        ({"statusCode": 200, "headers": {"content-type": "text/html"}, "body": "<p>"}, 200, b"<p>", "text/html"),
        (b'{"statusCode": broken', 200, b'{"statusCode": broken', "application/json"),
        ({"inner": {"statusCode": "x"}}, 200, b'{"inner":{"statusCode":"x"}}', "application/json"),
    ],
)
async def test_return_values_have_their_meaning(value: object, status: int, body: bytes, kind: str) -> None:
    async with edge(returning(value)) as node:
        node.targets.put_trigger(trigger())
        answer = await ask(node, "GET", "/fn/echo/")
        assert (answer.status, answer.body, answer.headers.get("content-type", "")) == (status, body, kind)


@pytest.mark.parametrize(
    "value",
    [
        {"statusCode": 99},
        {"statusCode": 600},
        {"statusCode": "ok"},
        {"statusCode": None},
        {"statusCode": 200, "headers": []},
        {"statusCode": 200, "headers": {"a b": "c"}},
        {"statusCode": 200, "headers": {"x": "a\r\nSet-Cookie: stolen"}},
        {"statusCode": 200, "headers": {"x": {"y": 1}}},
        {"statusCode": 200, "headers": {"x": "y" * 20_000}},
        {"statusCode": 200, "isBase64Encoded": True, "body": "not base64!"},
        {"statusCode": 200, "isBase64Encoded": True, "body": {}},
    ],
)
async def test_a_malformed_answer_is_the_functions_fault(value: object) -> None:
    async with edge(returning(value)) as node:
        node.targets.put_trigger(trigger())
        answer = await ask(node, "GET", "/fn/echo/")
        assert answer.status == 502
        assert answer.headers["x-fc-error-type"] == "BadResponse"
        assert set(msgspec.json.decode(answer.body)) == {"errorMessage", "errorType", "requestId"}
        assert "stolen" not in answer.headers


async def test_a_function_that_fails_is_a_bad_gateway_without_its_stack_trace() -> None:
    async def broken(asked: Asked) -> bytes:
        raise ValueError("as wished")

    async with edge(broken) as node:
        node.targets.put_trigger(trigger())
        answer = await ask(node, "GET", "/fn/echo/")
        assert (answer.status, answer.headers["x-fc-error-type"]) == (502, "UnhandledInvocationError")
        told = msgspec.json.decode(answer.body)
        assert (told["errorMessage"], told["errorType"]) == ("as wished", "ValueError")
        assert "stackTrace" not in told


async def test_a_function_that_is_gone_is_not_found() -> None:
    async with edge(returning(b"x")) as node:
        node.targets.put_trigger(trigger("gone"))
        answer = await ask(node, "GET", "/fn/gone/")
        assert (answer.status, msgspec.json.decode(answer.body)["Code"]) == (404, "FunctionNotFound")


async def test_head_gets_the_headers_and_no_body() -> None:
    async with edge(returning({"statusCode": 200, "body": "12345"})) as node:
        node.targets.put_trigger(trigger())
        reader, writer = await node.connect()
        writer.write(request("HEAD", "/fn/echo/") + request("GET", "/fn/echo/"))
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"content-length: 5\r\n" in head
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1 200")
        assert await reader.readexactly(5) == b"12345"


@pytest.mark.parametrize("size", [100_000, 1_000_000])
async def test_large_answers_come_whole_mapped_or_plain(size: int) -> None:
    plain = b"p" * size
    mapped = {"statusCode": 203, "body": base64.b64encode(plain).decode(), "isBase64Encoded": True}
    for value, status in ((plain, 200), (mapped, 203)):
        async with edge(returning(value)) as node:
            node.targets.put_trigger(trigger())
            answer = await ask(node, "GET", "/fn/echo/")
            assert (answer.status, answer.body, answer.headers["content-length"]) == (status, plain, str(size))


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_client_that_asks_for_it_gets_its_connection_closed(method: str) -> None:
    async with edge(returning(b"x")) as node:
        node.targets.put_trigger(trigger())
        reader, writer = await node.connect()
        writer.write(request(method, "/fn/echo/", "Connection: x, Close"))
        answer = await reader.read()  # until the end
        assert answer.startswith(b"HTTP/1.1 200")
        assert b"connection: close" in answer


# --- streams ----------------------------------------------------------------------------------------------------------


def streaming(*pieces: bytes, whole: bool = True) -> Callable[[Asked], Awaitable[bytes]]:
    """A handler that sends these pieces one after the other."""

    async def handler(asked: Asked) -> bytes:
        kind = wire.Type.RESP
        for piece in pieces:
            asked.instance.send(asked.stream, kind, 0, 0, b"", piece)
            kind = wire.Type.BODY
            await asyncio.sleep(0)
        if not whole:
            await asyncio.get_running_loop().create_future()
        asked.instance.send(asked.stream, kind, wire.Flag.END, 0, b"", b"")
        await asyncio.get_running_loop().create_future()  # what it returns would be an answer too many
        return b""

    return handler


async def test_pieces_reach_the_client_as_they_come() -> None:
    async with edge(streaming(b"data: 1\n\n", whole=False)) as node:
        node.targets.put_trigger(trigger())
        reader, writer = await node.connect()
        writer.write(request("GET", "/fn/echo/", "Accept: text/event-stream"))
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"content-type: text/event-stream" in head
        assert b"transfer-encoding: chunked" in head
        assert await reader.readexactly(14) == b"9\r\ndata: 1\n\n\r\n"
        piece = wire.frame(1, wire.Type.BODY, wire.Flag.END, 0, b"", b"end")
        node.spawner.made[0].send_raw(piece)
        assert await reader.readexactly(13) == b"3\r\nend\r\n0\r\n\r\n"


async def test_the_first_piece_may_be_the_head() -> None:
    head = b'{"statusCode": 206, "headers": {"Content-Type": "text/csv"}}'
    async with edge(streaming(head, b"a,b\n", b"1,2\n")) as node:
        node.targets.put_trigger(trigger())
        answer = await ask(node, "GET", "/fn/echo/")
        assert (answer.status, answer.headers["content-type"], answer.body) == (206, "text/csv", b"a,b\n1,2\n")


async def test_a_bad_head_is_a_bad_gateway_and_the_connection_goes_on() -> None:
    async with edge(streaming(b'{"statusCode": 1}', b"more")) as node:
        node.targets.put_trigger(trigger())
        first, second = await node.send(request("GET", "/fn/echo/"), request("GET", "/fn/none/"))
        assert (first.status, second.status) == (502, 404)


async def test_an_empty_stream_is_an_empty_answer() -> None:
    async with edge(streaming(b"")) as node:
        node.targets.put_trigger(trigger())
        answer = await ask(node, "GET", "/fn/echo/")
        assert (answer.status, answer.body) == (200, b"")


async def test_a_stream_to_a_head_request_ends_after_the_headers() -> None:
    async with edge(streaming(b"abc", b"def")) as node:
        node.targets.put_trigger(trigger())
        reader, writer = await node.connect()
        writer.write(request("HEAD", "/fn/echo/"))
        assert b"HTTP/1.1 200" in await reader.readuntil(b"\r\n\r\n")
        writer.write(request("GET", "/fn/none/"))
        assert (await read_answer(reader)).status == 404


# --- who calls --------------------------------------------------------------------------------------------------------


def signature(method: str, path: str) -> list[str]:
    """The headers of the official recipe."""
    date = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
    text = f"{method}\n{path}\n\nx-acs-date:{date}\n\nx-acs-date\n"
    to_sign = "ACS3-HMAC-SHA256\n" + hashlib.sha256(text.encode()).hexdigest()
    mark = hmac.new(KEY.secret.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    head = f"Authorization: ACS3-HMAC-SHA256 Credential={KEY.access_key_id},SignedHeaders=x-acs-date,Signature={mark}"
    return [head, f"x-acs-date: {date}"]


async def test_a_signed_url_wants_the_signature_of_this_path() -> None:
    async with edge(returning(b"x")) as node:
        node.targets.put_trigger(trigger(authType="function"))
        assert (await ask(node, "GET", "/fn/echo/a", *signature("GET", "/fn/echo/a"))).status == 200
        assert (await ask(node, "GET", "/fn/echo/b", *signature("GET", "/fn/echo/a"))).status == 403
        assert (await ask(node, "GET", "/fn/echo/a")).status == 400
        assert (await ask(node, "GET", "/fn/echo/a", f"Authorization: Bearer {node.token}")).status == 403


async def test_a_trigger_signature_opens_nothing_else() -> None:
    async with edge(returning(b"x")) as node:
        path = "/2023-03-30/functions/echo/invocations"
        answer = await ask(node, "POST", path, *signature("POST", path))
        assert answer.status in (400, 403)


def jwt_config(**more: Any) -> dict[str, Any]:
    key = {"kty": "oct", "k": base64.urlsafe_b64encode(SECRET).rstrip(b"=").decode()}
    return {"authType": "jwt", "authConfig": json.dumps({"jwks": {"keys": [key]}, **more})}


def token(**claims: Any) -> str:
    return jwt.encode(claims, SECRET, algorithm="HS256")


async def test_a_token_is_looked_for_in_its_places_and_its_claims_are_passed_on() -> None:
    config = jwt_config(
        tokenLookup="header:Authorization:Bearer,query:token,cookie:session",
        claimPassBy="header:sub:x-user,query:n:number",
    )
    async with edge(event_of) as node:
        node.targets.put_trigger(trigger(**config))
        good = token(sub="ada", n=7, exp=4_000_000_000)
        found = await events(
            node,
            request("GET", "/fn/echo/", f"Authorization: bearer {good}", "X-User: mallory"),
            request("GET", f"/fn/echo/?token={good}&number=9"),
            request("GET", "/fn/echo/", f"Cookie: a=b; session={good}"),
        )
        assert {event["headers"]["X-User"] for event in found} == {"ada"}
        assert {event["queryParameters"]["number"] for event in found} == {"7"}
        for refused in ([], [f"Authorization: Bearer {good}x"], [f"Authorization: {good}"]):
            assert (await ask(node, "GET", "/fn/echo/", *refused)).status == 403


async def test_a_token_that_ends_is_refused_on_the_same_connection() -> None:
    from functory.testing.clock import JumpingClock

    clock = JumpingClock()
    async with edge(returning(b"x"), clock=clock) as node:
        node.targets.put_trigger(trigger(**jwt_config()))
        reader, writer = await node.connect()
        sent = request("GET", "/fn/echo/", f"Authorization: Bearer {token(exp=clock.now_ms() // 1000 + 10)}")
        statuses = []
        for wait_s in (0, 9, 62):
            clock.jump(wait_s)
            writer.write(sent)
            statuses.append((await read_answer(reader)).status)
        assert statuses == [200, 200, 403]


async def test_open_paths_need_no_token_and_pass_no_claims() -> None:
    config = jwt_config(whitelist=["/public/*"], claimPassBy="header:sub:x-user")
    async with edge(event_of) as node:
        node.targets.put_trigger(trigger(**config))
        [event] = await events(node, request("GET", "/fn/echo/public/a", "X-User: mallory"))
        assert "X-User" not in event["headers"]
        for path in ("/fn/echo/private", "/fn/echo/public/../private", "/fn/echo/public/%2e%2e/private"):
            assert (await ask(node, "GET", path)).status == 403


# --- other origins ----------------------------------------------------------------------------------------------------

CORS = {
    "allowOrigins": ["https://app.example", "https://*.trusted.example"],
    "allowMethods": ["POST"],
    "allowHeaders": ["X-Token"],
    "exposeHeaders": ["X-Count"],
    "allowCredentials": True,
    "maxAge": 60,
}


async def test_a_preflight_is_answered_without_the_function() -> None:
    async with edge(returning(b"x")) as node:
        node.targets.put_trigger(trigger(methods=["POST"], corsConfig=CORS))
        asked = ("Origin: https://app.example", "Access-Control-Request-Method: POST", "Connection: close")
        answer = await ask(node, "OPTIONS", "/fn/echo/", *asked)
        assert answer.status == 204
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        assert answer.headers["access-control-allow-methods"] == "POST"
        assert answer.headers["access-control-allow-headers"] == "X-Token"
        assert answer.headers["access-control-max-age"] == "60"
        assert node.spawner.made == []
        assert (await ask(node, "OPTIONS", "/fn/echo/")).status == 405


@pytest.mark.parametrize(
    ("origin", "allowed"),
    [
        ("https://app.example", True),
        ("https://a.trusted.example", True),
        ("https://trusted.example", False),
        ("https://evil.example", False),
        ("https://app.example.evil.example", False),
        ("null", False),
    ],
)
async def test_only_named_origins_may_read_answers(origin: str, allowed: bool) -> None:
    value = {"statusCode": 200, "headers": {"Access-Control-Allow-Origin": "*"}, "body": "x"}
    async with edge(returning(value)) as node:
        node.targets.put_trigger(trigger(corsConfig=CORS))
        answer = await ask(node, "POST", "/fn/echo/", f"Origin: {origin}", body=b"x")
        assert answer.headers.get("access-control-allow-origin") == (origin if allowed else None)
        assert ("access-control-allow-credentials" in answer.headers) is allowed
        assert answer.headers["vary"] == "Origin"


async def test_any_origin_never_gets_credentials() -> None:
    async with edge(returning(b"x")) as node:
        node.targets.put_trigger(trigger(corsConfig={"allowOrigins": ["*"], "allowCredentials": True}))
        answer = await ask(node, "GET", "/fn/echo/", "Origin: https://any.example")
        assert answer.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in answer.headers


# --- custom domains ---------------------------------------------------------------------------------------------------


def site(*routes: Route, **changes: Any) -> Domain:
    plain = Domain(
        account_id=ACCOUNT,
        name="www.example.com",
        routes=RouteConfig(routes=list(routes)),
        created_at_ms=0,
        modified_at_ms=0,
    )
    return msgspec.structs.replace(plain, **changes)


async def test_the_longest_path_of_a_domain_wins() -> None:
    async def named(asked: Asked) -> bytes:
        return asked.instance.spec.handler.encode()

    functions = [make_function(name, handler=f"{name}.handler") for name in ("root", "api", "one")]
    async with edge(named, *functions) as node:
        node.targets.put_domain(
            site(
                Route(path="/*", function_name="root"),
                Route(path="/api/*", function_name="api", methods=["GET"]),
                Route(path="/api/one", function_name="one"),
            )
        )
        for path, name in (
            ("/", b"root"),
            ("/api", b"api"),
            ("/api/x/y", b"api"),
            ("/api/one", b"one"),
            ("/apix", b"root"),
        ):
            answer = await ask(node, "GET", path, host="WWW.Example.com:80")
            assert answer.body == name + b".handler", path
        assert (await ask(node, "POST", "/api/x", host="www.example.com")).status == 405
        assert (await ask(node, "GET", "/", host="other.example.com")).body == b'{"Code":"PathNotSupported"}'
        node.targets.put_domain(site(Route(path="/a", function_name="root"), epoch=2))
        assert (await ask(node, "GET", "/b", host="www.example.com")).status == 404
        node.targets.drop_domain("www.example.com")
        assert (await ask(node, "GET", "/a", host="www.example.com")).body == b'{"Code":"PathNotSupported"}'


async def test_the_nodes_own_paths_are_not_on_a_custom_domain() -> None:
    async with edge(event_of) as node:
        node.targets.put_domain(site(Route(path="/*", function_name="echo")))
        for path in ("/2023-03-30/functions/echo/invocations", "/fn/echo/", "/healthz"):
            [event] = await events(node, request("POST", path, host="www.example.com"))
            assert event["rawPath"] == path


async def test_a_route_rewrites_its_path_and_keeps_its_query() -> None:
    rewrite = Rewrite(wildcard_rules=[Rule(match="/api/*", replacement="/v2/$1")])
    async with edge(event_of) as node:
        node.targets.put_domain(site(Route(path="/api/*", function_name="echo", rewrite_config=rewrite)))
        [event] = await events(node, request("GET", "/api/users/a%20b?x=1", host="www.example.com"))
        assert event["rawPath"] == "/v2/users/a%20b"
        assert event["requestContext"]["http"]["path"] == "/v2/users/a b"
        assert event["queryParameters"] == {"x": "1"}


async def test_a_domain_has_its_own_rules_of_access() -> None:
    config = jwt_config()
    auth = AuthConfig(auth_type=AuthKind.JWT, auth_info=config["authConfig"])
    route = Route(path="/*", function_name="echo")
    async with edge(returning(b"x")) as node:
        node.targets.put_domain(site(route, auth=auth, cors=Cors(allow_origins=["https://app.example"])))
        headers = [f"Authorization: Bearer {token()}", "Origin: https://app.example"]
        answer = await ask(node, "GET", "/", *headers, host="www.example.com")
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, "https://app.example")
        assert (await ask(node, "GET", "/", host="www.example.com")).status == 403
        node.targets.put_domain(site(route, protocol="HTTPS", epoch=2))
        assert (await ask(node, "GET", "/", host="www.example.com")).status == 403


# --- whatever comes ---------------------------------------------------------------------------------------------------


async def test_a_client_that_leaves_disturbs_nobody() -> None:
    async with edge(streaming(b"x" * 60_000, whole=False)) as node:
        node.targets.put_trigger(trigger())
        _, writer = await node.connect()
        writer.write(request("GET", "/fn/echo/"))
        await until(lambda: bool(node.spawner.made) and bool(node.spawner.made[0].asked))
        writer.transport.abort()
        assert (await ask(node, "GET", "/fn/none/")).status == 404


@settings(max_examples=40, deadline=None)
@given(
    target=st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="?# "), max_size=60),
    query=st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters="# "), max_size=60),
    value=st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=40),
    body=st.binary(max_size=200),
)
def test_any_request_makes_an_event_that_can_be_read(target: str, query: str, value: str, body: bytes) -> None:
    async def run() -> None:
        async with edge(event_of) as node:
            node.targets.put_trigger(trigger())
            answer = await ask(node, "POST", f"/fn/echo/{target}?{query}", f"X-Any: {value}", body=body)
            assert answer.status == 200
            event = msgspec.json.decode(answer.body)
            sent = base64.b64decode(event["body"]) if event["isBase64Encoded"] else event["body"].encode()
            assert sent == body
            assert event["headers"]["X-Any"] == value.strip()

    asyncio.run(run())
