"""HTTP triggers over the whole data path: what comes back, whole or as a stream."""

from __future__ import annotations

import base64

import msgspec
import pytest

from functory.runtimes import wire
from functory.testing.edge import edge, read_answer
from functory.testing.instances import Asked
from trigger_kit import ask, request, returning, streaming, trigger

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
