"""WebSockets through triggers and custom domains: a real server in a custom runtime, a real client outside."""

from __future__ import annotations

import asyncio
import hashlib
import io
import json
import time
import zipfile
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import websockets
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

from e2e.node_process import NodeProcess
from functory.sdk import Client
from functory.sdk.requests import Request

pytestmark = [pytest.mark.server, pytest.mark.timeout(120)]

SERVER = """
import asyncio, json, os, sys
from websockets.asyncio.server import serve

OPEN = set()

async def handle(socket):
    OPEN.add(socket)
    try:
        await talk(socket)
    finally:
        OPEN.discard(socket)

async def talk(socket):
    path = socket.request.path
    if path.startswith("/push"):
        for number in range(5):
            await socket.send(f"push {number}")
        await socket.close(4001, "that was all")
        return
    if path.startswith("/flood"):
        piece = os.urandom(1024) * 1024
        for _ in range(24):
            await socket.send(piece)
        return
    if path.startswith("/alone"):
        while len(OPEN) > 1:
            await asyncio.sleep(0.01)
        await socket.send("alone")
    if path.startswith("/who"):
        await socket.send(json.dumps({"instance": os.environ["FC_INSTANCE_ID"], "protocol": socket.subprotocol,
            "headers": {k.lower(): v for k, v in socket.request.headers.raw_items()}}))
    async for message in socket:
        await socket.send(message)

def refuse(connection, request):
    if request.path.startswith("/refused"):
        return connection.respond(403, "not for you")

async def main():
    async with serve(handle, "0.0.0.0", int(os.environ["PORT"]), max_size=None,
                     select_subprotocol=lambda connection, offered: offered[0] if offered else None,
                     process_request=refuse, ping_interval=None) as server:
        await server.serve_forever()

asyncio.run(main())
"""
MEGABYTE = bytes(range(256)) * 4096


def packed() -> bytes:
    """The server with the library it needs."""
    library = Path(websockets.__file__).parent
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("app.py", SERVER)
        for file in library.rglob("*.py"):
            archive.write(file, f"websockets/{file.relative_to(library)}")
    return out.getvalue()


Deploy = Callable[..., str]


def deployer(node: NodeProcess, client: Client) -> Deploy:
    """Makes functions with an open trigger, and answers the URL of their WebSocket."""

    def make(name: str, **fields: Any) -> str:
        settings = {
            "runtime": "custom",
            "handler": "x",
            "timeout": 60,
            "instanceConcurrency": 10,
            "customRuntimeConfig": {"command": ["python3", "/code/app.py"]},
            **fields,
        }
        client.functions.create(name, settings, packed())
        config = {"authType": "anonymous", "methods": ["GET", "POST"]}
        body = {"triggerName": "open", "triggerType": "http", "triggerConfig": json.dumps(config)}
        client._transport.call(
            "CreateTrigger", "POST", f"/2023-03-30/functions/{name}/triggers", body=msgspec.json.encode(body)
        )
        return f"{node.endpoint.replace('http', 'ws')}/fn/{name}"

    return make


@pytest.fixture
def deploy(node: NodeProcess, client: Client) -> Deploy:
    return deployer(node, client)


@asynccontextmanager
async def talk(url: str, **options: Any) -> AsyncIterator[ClientConnection]:
    async with connect(url, max_size=None, proxy=None, open_timeout=20, **options) as socket:
        yield socket


async def recorded(client: Client, name: str, count: int = 1) -> list[Request]:
    """The records of a function, newest first, once there are so many."""
    until = time.monotonic() + 10
    while True:
        found = await asyncio.to_thread(lambda: list(client.requests.list(function=name)))
        if len(found) >= count:
            return found
        assert time.monotonic() < until, found
        await asyncio.sleep(0.05)


async def test_text_and_large_binary_messages_come_back_and_the_record_counts_their_bytes(
    deploy: Deploy, client: Client
) -> None:
    url = deploy("ws-echo")
    async with talk(f"{url}/echo?a=1", compression=None) as socket:
        await socket.send("hello ü")
        assert await socket.recv() == "hello ü"
        for _ in range(3):
            await socket.send(MEGABYTE)
            back = await socket.recv()
            assert hashlib.sha256(back).digest() == hashlib.sha256(MEGABYTE).digest()  # type: ignore[arg-type]
        await socket.close(1000, "bye")
        assert (socket.close_code, socket.close_reason) == (1000, "bye")
    [record] = await recorded(client, "ws-echo")
    assert (record.status, record.kind) == ("ok", "http")
    assert record.payload_bytes > 3 * len(MEGABYTE)
    assert record.reply_bytes > 3 * len(MEGABYTE)


async def test_the_server_pushes_and_says_why_it_closes(deploy: Deploy) -> None:
    async with talk(f"{deploy('ws-push')}/push") as socket:
        assert [await socket.recv() for _ in range(5)] == [f"push {number}" for number in range(5)]
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert (socket.close_code, socket.close_reason) == (4001, "that was all")


async def test_the_server_sees_the_request_as_it_came_and_chooses_the_protocol(deploy: Deploy) -> None:
    headers = {"X-Own": "yes", "x-fc-request-id": "forged"}
    async with talk(f"{deploy('ws-head')}/who", subprotocols=["chat"], additional_headers=headers) as socket:
        told = json.loads(await socket.recv())
        assert socket.response is not None
        request_id = socket.response.headers["x-fc-request-id"]
    assert (told["protocol"], told["headers"]["x-own"]) == ("chat", "yes")
    assert told["headers"]["x-fc-request-id"] == request_id != "forged"
    assert told["headers"]["x-fc-control-path"] == "/http-invoke"


async def test_sockets_share_an_instance_up_to_its_concurrency(deploy: Deploy) -> None:
    url = deploy("ws-share", instanceConcurrency=2)
    async with talk(f"{url}/who") as one, talk(f"{url}/who") as two, talk(f"{url}/who") as three:
        instances = [json.loads(await socket.recv())["instance"] for socket in (one, two, three)]
        assert len(set(instances)) == 2, "two on the first instance, the third on another"


async def test_a_slow_client_is_waited_for_and_the_others_on_the_instance_are_not(
    deploy: Deploy, client: Client
) -> None:
    url = deploy("ws-slow")
    async with talk(f"{url}/flood", compression=None, max_queue=1) as slow:
        async with talk(f"{url}/echo") as quick:
            for number in range(20):
                await quick.send(str(number))
                assert await quick.recv() == str(number)
        total = 0
        async for message in slow:
            total += len(message)
        assert total == 24 << 20


async def test_an_answer_that_does_not_switch_is_passed_on(deploy: Deploy) -> None:
    with pytest.raises(InvalidStatus) as caught:
        async with talk(f"{deploy('ws-refused')}/refused"):
            pass
    assert caught.value.response.status_code == 403
    assert b"not for you" in (caught.value.response.body or b"")


async def test_a_client_that_vanishes_ends_its_call(deploy: Deploy, client: Client) -> None:
    url = deploy("ws-gone")
    socket = await connect(f"{url}/echo", proxy=None)
    await socket.send("once")
    assert await socket.recv() == "once"
    socket.transport.abort()
    [record] = await recorded(client, "ws-gone")
    assert record.status == "ok"
    async with talk(f"{url}/alone") as other:
        assert await asyncio.wait_for(other.recv(), 10) == "alone", "the server was told"


async def test_the_functions_time_limit_ends_a_socket(deploy: Deploy, client: Client) -> None:
    began = time.monotonic()
    async with talk(f"{deploy('ws-late', timeout=2)}/echo") as socket:
        await socket.send("first")
        assert await socket.recv() == "first"
        with pytest.raises(ConnectionClosed):
            await socket.recv()
        assert socket.close_code == 1006, "it was cut, not closed"
    assert 1.5 < time.monotonic() - began < 15
    [record] = await recorded(client, "ws-late")
    assert (record.status, record.error_type) == ("timeout", "FunctionTimeout")


async def test_an_instance_that_is_killed_cuts_its_sockets(deploy: Deploy, client: Client) -> None:
    url = deploy("ws-killed")
    async with talk(f"{url}/echo") as socket:
        await socket.send("first")
        assert await socket.recv() == "first"
        path = "/2023-03-30/functions/ws-killed/invoke"
        body = msgspec.json.encode({"reason": "test", "abortOngoingRequest": True})
        await asyncio.to_thread(client._transport.call, "Disable", "POST", f"{path}/disable", body=body)
        with pytest.raises(ConnectionClosed):
            await socket.recv()
    [record] = await recorded(client, "ws-killed")
    assert record.status != "ok"


async def test_built_in_runtimes_say_that_they_have_no_websockets(node: NodeProcess, client: Client) -> None:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("index.py", "def handler(event, context):\n    return 'plain'\n")
    client.functions.create("ws-none", {"runtime": "python3", "handler": "index.handler"}, out.getvalue())
    body = {
        "triggerName": "open",
        "triggerType": "http",
        "triggerConfig": json.dumps({"authType": "anonymous", "methods": ["GET"]}),
    }
    client._transport.call(
        "CreateTrigger", "POST", "/2023-03-30/functions/ws-none/triggers", body=msgspec.json.encode(body)
    )
    with pytest.raises(InvalidStatus) as caught:
        async with talk(f"{node.endpoint.replace('http', 'ws')}/fn/ws-none/"):
            pass
    told = json.loads(caught.value.response.body or b"{}")
    assert (caught.value.response.status_code, told["Code"]) == (400, "InvalidArgument")
    assert "WebSockets are served by functions of the runtimes custom" in told["Message"]


async def test_an_upgrade_is_authorised_like_any_request(node: NodeProcess, client: Client, deploy: Deploy) -> None:
    url = deploy("ws-shut")
    config = json.dumps({"authType": "function", "methods": ["GET"]})
    body = msgspec.json.encode({"triggerConfig": config})
    path = "/2023-03-30/functions/ws-shut/triggers/open"
    await asyncio.to_thread(client._transport.call, "UpdateTrigger", "PUT", path, body=body)
    with pytest.raises(InvalidStatus) as caught:
        async with talk(f"{url}/echo"):
            pass
    assert json.loads(caught.value.response.body or b"{}")["Code"] == "MissingRequiredHeader"


async def test_custom_domains_carry_websockets_too(node: NodeProcess, client: Client, deploy: Deploy) -> None:
    deploy("ws-domain")
    body = {
        "domainName": "socket.test",
        "protocol": "HTTP",
        "routeConfig": {"routes": [{"path": "/*", "functionName": "ws-domain", "methods": ["GET"]}]},
    }
    await asyncio.to_thread(
        client._transport.call,
        "CreateCustomDomain",
        "POST",
        "/2023-03-30/custom-domains",
        body=msgspec.json.encode(body),
    )
    host, _, port = node.endpoint.removeprefix("http://").partition(":")
    async with talk("ws://socket.test/echo", host=host, port=int(port)) as socket:
        await socket.send("by domain")
        assert await socket.recv() == "by domain"
    await asyncio.to_thread(client._transport.call, "Delete", "DELETE", "/2023-03-30/custom-domains/socket.test")


async def test_a_silent_socket_is_closed(tmp_path: Path) -> None:
    own = NodeProcess(tmp_path, "--websocket-idle-s", "1")
    await asyncio.to_thread(own.start)
    try:
        with Client(own.credentials) as client:
            url = deployer(own, client)("ws-idle")
            async with talk(f"{url}/echo", ping_interval=None) as socket:
                await socket.send("x")
                assert await socket.recv() == "x"
                with pytest.raises(ConnectionClosed):
                    await asyncio.wait_for(socket.recv(), 10)
            [record] = await recorded(client, "ws-idle")
            assert record.status == "ok"
    finally:
        assert await asyncio.to_thread(own.stop) == 0
