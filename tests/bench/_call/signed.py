"""Calls signed with ACS3 by the SDK's signer, made beforehand and sent over keep-alive connections."""

from __future__ import annotations

import asyncio
import time
from urllib.parse import urlsplit

from functory.sdk import signer
from functory.sdk.credentials import Credentials


def requests(found: Credentials, name: str, body: bytes, count: int) -> list[bytes]:
    """`count` whole requests, each with a nonce of its own."""
    path = f"/2023-03-30/functions/{name}/invocations"
    host = urlsplit(found.endpoint).netloc
    made = []
    for _ in range(count):
        headers = signer.signed_headers(
            method="POST",
            path=path,
            query="",
            headers={"host": host, "content-type": "application/octet-stream"},
            body=body,
            action="InvokeFunction",
            access_key_id=found.access_key_id,
            secret=found.access_key_secret,
            date=signer.now_date(),
            nonce=signer.new_nonce(),
        )
        lines = [
            f"POST {path} HTTP/1.1",
            *(f"{key}: {value}" for key, value in headers.items()),
            f"content-length: {len(body)}",
        ]
        made.append("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
    return made


class _Client(asyncio.Protocol):
    def __init__(self, left: list[bytes], done: asyncio.Event) -> None:
        self.left, self.done, self.bad = left, done, 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self._next()

    def data_received(self, data: bytes) -> None:
        self.bad += not data.startswith(b"HTTP/1.1 200 ")
        self._next()

    def _next(self) -> None:
        if self.left:
            self.transport.write(self.left.pop())  # type: ignore[attr-defined]
        else:
            self.done.set()


async def send_all(endpoint: str, prepared: list[bytes], connections: int) -> tuple[float, int]:
    """Sends them all; requests per second and how many were not answered 200."""
    loop = asyncio.get_running_loop()
    address = urlsplit(endpoint)
    count = len(prepared)
    begin = time.monotonic()
    clients = []
    for _ in range(connections):
        done = asyncio.Event()
        _, client = await loop.create_connection(
            lambda done=done: _Client(prepared, done),  # type: ignore[misc]
            str(address.hostname),
            address.port or 80,
        )
        clients.append(client)
    await asyncio.gather(*(client.done.wait() for client in clients))
    took = time.monotonic() - begin
    for client in clients:
        client.transport.close()
    return count / took, sum(client.bad for client in clients)
