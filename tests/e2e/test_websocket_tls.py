"""WebSockets over TLS: SNI chooses the domain, the tunnel is the same, and what goes through it is never a request."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
from collections.abc import Iterator
from typing import Any

import msgspec
import pytest
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

from e2e.node_process import NodeProcess
from e2e.test_websocket import MEGABYTE, deployer, recorded
from flows.test_control_domains import certificate
from functory.sdk import Client
from functory.sdk.errors import ApiError

pytestmark = [pytest.mark.server, pytest.mark.timeout(120)]

NAMES = ("one.secure.test", "two.secure.test")
ALONE = "alone.secure.test"
"""Of a function that one test has for itself."""
CERTIFICATES = {name: certificate(name) for name in (*NAMES, ALONE)}


class Site:
    """A node with two domains over TLS, both of one function."""

    def __init__(self, client: Client, port: int) -> None:
        self.client = client
        self.port = port

    def trusting(self, name: str) -> ssl.SSLContext:
        return ssl.create_default_context(cadata=CERTIFICATES[name][0])

    def talk(self, name: str, path: str) -> connect:
        url = f"wss://{name}:{self.port}{path}"
        return connect(url, host="127.0.0.1", port=self.port, ssl=self.trusting(name), max_size=None, proxy=None)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
    node = NodeProcess(tmp_path_factory.mktemp("tls"), "--tls-port", str(port), "--own-hosts", "api.secure.test")
    node.start()
    try:
        with Client(node.credentials) as client:
            make = deployer(node, client)
            make("ws")
            make("ws-alone")
            for name in CERTIFICATES:
                make_domain(client, name, "ws-alone" if name == ALONE else "ws")
            yield Site(client, port)
    finally:
        assert node.stop() == 0, node.log


def make_domain(client: Client, name: str, function: str = "ws") -> None:
    chain, key = CERTIFICATES.get(name) or certificate(name)
    body = {
        "domainName": name,
        "protocol": "HTTPS",
        "certConfig": {"certName": "mine", "certificate": chain, "privateKey": key},
        "routeConfig": {"routes": [{"path": "/*", "functionName": function, "methods": ["GET"]}]},
    }
    client._transport.call("Create", "POST", "/2023-03-30/custom-domains", body=msgspec.json.encode(body))


async def test_messages_of_all_sizes_come_back_under_either_name(site: Site) -> None:
    for name in NAMES:
        async with site.talk(name, "/echo") as socket_:
            await socket_.send("hello")
            assert await socket_.recv() == "hello"
            for _ in range(3):
                await socket_.send(MEGABYTE)
                back = await socket_.recv()
                assert hashlib.sha256(back).digest() == hashlib.sha256(MEGABYTE).digest()  # type: ignore[arg-type]


async def test_the_certificate_of_one_name_does_not_open_the_other(site: Site) -> None:
    wrong: dict[str, Any] = {"host": "127.0.0.1", "port": site.port, "ssl": site.trusting(NAMES[0])}
    with pytest.raises(ssl.SSLError):
        async with connect(f"wss://{NAMES[1]}:{site.port}/echo", proxy=None, **wrong):
            pass


async def test_a_server_that_closes_is_heard_and_its_last_words_too(site: Site) -> None:
    async with site.talk(NAMES[0], "/push") as socket_:
        assert [await socket_.recv() for _ in range(5)] == [f"push {number}" for number in range(5)]
        with pytest.raises(ConnectionClosed):
            await socket_.recv()
        assert (socket_.close_code, socket_.close_reason) == (4001, "that was all")


async def test_a_client_that_vanishes_leaves_nothing_open_in_the_function(site: Site) -> None:
    gone: ClientConnection
    async with site.talk(NAMES[0], "/echo") as gone:
        await gone.send("here")
        assert await gone.recv() == "here"
        gone.transport.abort()
        async with site.talk(NAMES[0], "/alone") as stays:
            assert await stays.recv() == "alone"


async def test_what_follows_the_offer_goes_into_the_tunnel_and_is_never_a_request(site: Site) -> None:
    name = ALONE
    reader, writer = await asyncio.open_connection(
        "127.0.0.1", site.port, ssl=site.trusting(name), server_hostname=name
    )
    offer = (
        f"GET /echo HTTP/1.1\r\nHost: {name}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    inner = f"GET /smuggled HTTP/1.1\r\nHost: {name}\r\n\r\n"
    writer.write((offer + inner * 3).encode())
    said = await reader.read()
    head, _, rest = said.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 101 ")
    assert rest[:1] == b"\x88", "the server of the function closes: what came was no frame"
    assert b"HTTP/1.1" not in rest
    writer.close()
    assert len(await recorded(site.client, "ws-alone")) == 1


def test_the_nodes_own_name_cannot_be_taken_as_a_domain(site: Site) -> None:
    with pytest.raises(ApiError, match="AccessDenied"):
        make_domain(site.client, "api.secure.test")
