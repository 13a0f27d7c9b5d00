"""HTTP triggers over the whole data path: which function a URL leads to, and the event that it gets."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from functory.gateway.body import BodyConfig
from functory.model.invocation import Kind
from functory.testing.edge import ACCOUNT, edge, make_function, read_answer, until
from functory.testing.instances import Asked
from trigger_kit import ask, event_of, events, request, returning, streaming, trigger

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
