"""What must never get through the front door, and what it answers instead."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from functory.gateway.body import BodyConfig
from functory.testing.edge import edge, read_answer, until
from functory.testing.instances import Asked, holding

POST = b"POST /2023-03-30/functions/echo/invocations HTTP/1.1\r\n"


async def echo(asked: Asked) -> bytes:
    return asked.payload


@pytest.mark.parametrize(
    ("request_bytes", "status"),
    [
        (b"GET /x\nHost: a\n\r\n\r\n", 400),
        (b"GET /x\r\n\r\n", 505),
        (b"GET / HTTP/2.0\r\nHost: a\r\n\r\n", 505),
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\n\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\n X: folded\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost : a\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: \0\r\n\r\n", 400),
        (POST + b"Host: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
        (POST + b"Host: a\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello", 400),
        (POST + b"Host: a\r\nContent-Length: -5\r\n\r\nhello", 400),
        (POST + b"Host: a\r\nContent-Length: +5\r\n\r\nhello", 400),
        (POST + b"Host: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 501),
        (POST + b"Host: a\r\nTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 9000 + b"\r\n\r\n", 431),
        (b"GET / HTTP/1.1\r\nHost: a\r\n" + b"X: y\r\n" * 200 + b"\r\n", 431),
        (b"GET /" + b"a" * 9000 + b" HTTP/1.1\r\nHost: a\r\n\r\n", 414),
        (b"GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
        (b"X" * 70_000, 431),
    ],
    ids=lambda value: repr(value[:60]) if isinstance(value, bytes) else None,
)
async def test_a_malformed_request_is_refused_with_json_and_the_connection_closed(
    request_bytes: bytes, status: int
) -> None:
    async with edge(echo) as node:
        reader, writer = await node.connect()
        writer.write(request_bytes)
        answer = await read_answer(reader)
        assert answer.status == status
        assert json.loads(answer.body)["Code"]
        assert await reader.read() == b""
        writer.close()
        assert not node.spawner.made


async def test_a_smuggled_second_request_is_never_served() -> None:
    async with edge(echo) as node:
        inner = node.request("echo", b"smuggled")
        outer = POST + b"Host: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + inner
        reader, writer = await node.connect()
        writer.write(outer)
        assert (await read_answer(reader)).status == 400
        assert await reader.read() == b""
        writer.close()
        assert not node.spawner.made


async def test_a_request_behind_a_chunked_body_closes_the_connection_after_the_first_answer() -> None:
    async with edge(echo) as node:
        chunked = node.request("echo", b"").replace(b"Content-Length: 0", b"Transfer-Encoding: chunked")
        reader, writer = await node.connect()
        writer.write(chunked + b"1\r\na\r\n0\r\n\r\n" + node.request("echo", b"second"))
        answer = await read_answer(reader)
        assert (answer.body, answer.headers["connection"]) == (b"a", "close")
        assert await reader.read() == b""
        writer.close()


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_body_over_the_limit_is_refused_and_the_answer_can_be_read(chunked: bool) -> None:
    async with edge(echo, body_max_bytes=100_000) as node:
        head = node.request("echo", b"")
        kind = b"Transfer-Encoding: chunked" if chunked else b"Content-Length: 50000000"
        reader, writer = await node.connect()
        writer.write(head.replace(b"Content-Length: 0", kind))
        writer.write(b"%x\r\n" % 5_000_000 if chunked else b"")
        writer.write(b"x" * 5_000_000)
        answer = await asyncio.wait_for(read_answer(reader), 10)
        assert (answer.status, json.loads(answer.body)["Code"]) == (400, "EntityTooLarge")
        writer.close()
        assert not node.spawner.made


async def test_a_chunked_body_beside_an_offer_to_upgrade_is_taken_as_a_body() -> None:
    async with edge(echo) as node:
        reader, writer = await node.connect()
        offer = b"Connection: Upgrade\r\nUpgrade: h2c\r\nTransfer-Encoding: chunked\r\n\r\n"
        head = node.request("echo", b"").replace(b"Content-Length: 0\r\n\r\n", offer)
        for _ in range(2):
            writer.write(head + b"5\r\nhello\r\n0\r\n\r\n")
            assert (await read_answer(reader)).body == b"hello"
        writer.close()


@pytest.mark.parametrize("flood", [b"1;x=", b"0\r\nX: "], ids=["extension", "trailer"])
async def test_a_chunk_header_or_trailer_without_end_is_cut_off(flood: bytes) -> None:
    async with edge(echo) as node:
        reader, writer = await node.connect()
        writer.write(POST + b"Host: a\r\nTransfer-Encoding: chunked\r\n\r\n" + flood)
        for _ in range(40):
            writer.write(b"a" * 65536)
        answer = await read_answer(reader)
        assert answer.status == 413
        assert b"hardly more than chunk headers" in answer.body
        writer.close()
        assert not node.spawner.made


async def test_bodies_in_files_together_are_bounded_and_those_that_fit_go_on(tmp_path: Path) -> None:
    config = BodyConfig(folder=str(tmp_path), spill_bytes=100_000, file_bytes=1_000_000)
    async with edge(echo, body=config) as node:
        slow, slow_writer = await node.connect()
        head = node.request("echo", b"").replace(b"Length: 0", b"Length: 800000")
        slow_writer.write(head + b"x" * 700_000)
        await slow_writer.drain()
        await until(lambda: node.gateway.files_bytes >= 700_000)
        reader, writer = await node.connect()
        writer.write(head + b"y" * 800_000)
        refused = await read_answer(reader)
        assert (refused.status, json.loads(refused.body)["Code"]) == (503, "ServiceUnavailable")
        slow_writer.write(b"x" * 100_000)
        assert (await read_answer(slow)).body == b"x" * 800_000
        reader, writer = await node.connect()
        writer.write(head + b"y" * 800_000)
        assert (await read_answer(reader)).body == b"y" * 800_000


async def test_expect_continue_is_answered_before_the_body_is_sent() -> None:
    async with edge(echo) as node:
        reader, writer = await node.connect()
        writer.write(node.request("echo", b"12345", "Expect: 100-continue")[:-5])
        assert await reader.readexactly(25) == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"12345")
        assert (await read_answer(reader)).body == b"12345"
        writer.close()


@pytest.mark.parametrize("part", [b"GET / HT", b"GET / HTTP/1.1\r\nHost: a\r\nX: "])
async def test_a_head_that_never_ends_is_cut_off(part: bytes) -> None:
    async with edge(echo, header_timeout_s=0.1) as node:
        reader, writer = await node.connect()
        writer.write(part)
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


async def test_a_body_that_stops_coming_is_cut_off() -> None:
    async with edge(echo, body_timeout_s=0.1) as node:
        reader, writer = await node.connect()
        writer.write(node.request("echo", b"12345")[:-1])
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()
        assert not node.spawner.made


async def test_an_idle_connection_is_closed() -> None:
    async with edge(echo, idle_timeout_s=0.1) as node:
        reader, writer = await node.connect()
        writer.write(node.request("echo", b""))
        assert (await read_answer(reader)).status == 200
        assert await asyncio.wait_for(reader.read(), 5) == b""
        writer.close()


async def test_http_1_0_gets_an_answer_and_a_closed_connection() -> None:
    async with edge(echo) as node:
        reader, writer = await node.connect()
        writer.write(node.request("echo", b"old").replace(b"HTTP/1.1", b"HTTP/1.0"))
        assert (await read_answer(reader)).body == b"old"
        assert await reader.read() == b""
        writer.close()


async def test_other_paths_go_to_the_application_with_the_raw_target() -> None:
    seen = []

    async def app(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        message = await receive()
        seen.append((scope["raw_path"], scope["query_string"], scope["path"], message["body"]))
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"a", "more_body": True})
        await send({"type": "http.response.body", "body": b"b"})

    async with edge(echo, app=app) as node:
        request = b"PUT /layerarn/acs%3Afc?x=a+b HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\nhi"
        answers = await node.send(request, request)
    assert seen[0] == (b"/layerarn/acs%3Afc", b"x=a+b", "/layerarn/acs:fc", b"hi")
    assert [one.body for one in answers] == [b"ab", b"ab"]


async def test_an_application_that_fails_is_a_json_500() -> None:
    async def app(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        raise RuntimeError("secret detail")

    async with edge(echo, app=app) as node:
        (answer,) = await node.send(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
    assert answer.status == 500
    assert b"secret" not in answer.body


async def test_a_large_body_for_the_application_passes_through_a_file() -> None:
    async def app(scope, receive, send) -> None:  # type: ignore[no-untyped-def]
        size = 0
        more = True
        while more:
            message = await receive()
            size += len(message["body"])
            more = message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"%d" % size})

    async with edge(echo, app=app) as node:
        body = b"z" * 9_000_000
        (answer,) = await node.send(b"PUT / HTTP/1.1\r\nHost: a\r\nContent-Length: 9000000\r\n\r\n" + body)
    assert answer.body == b"9000000"


async def test_stopping_lets_a_running_call_answer_and_closes_idle_connections() -> None:
    inside, go, hold = holding(b"done")
    async with edge(hold) as node:
        idle_reader, idle_writer = await node.connect()
        call = asyncio.create_task(node.call("echo"))
        await inside.acquire()
        stopping = asyncio.create_task(node.gateway.stop())
        assert await idle_reader.read() == b""
        go.set()
        assert (await call).body == b"done"
        await stopping
        idle_writer.close()
