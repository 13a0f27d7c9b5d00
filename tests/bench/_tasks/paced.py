"""Submissions at a steady rate, each with its own clock readings."""

from __future__ import annotations

import asyncio
import time
from typing import NamedTuple
from urllib.parse import urlsplit

from functory.sdk import Client


class Timed(NamedTuple):
    """One task. Nanoseconds of the machine's monotonic clock, which all processes share."""

    sent_ns: int
    accepted_ns: int
    """The 202 was here."""
    started_ns: int
    """The function's first statement."""


class _Connection(asyncio.Protocol):
    def __init__(self) -> None:
        self.free = asyncio.Event()
        self.free.set()
        self.answered_ns = 0
        self.status = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self.answered_ns = time.monotonic_ns()
        self.status = data[9:12]
        self.free.set()


async def submit(url: str, token: str, name: str, *, rate: int, count: int, prefix: str) -> list[tuple[str, int, int]]:
    """`count` submissions at `rate` per second: task id, when it was sent, when its 202 was here."""
    loop = asyncio.get_running_loop()
    place = urlsplit(url)
    pool: asyncio.Queue[_Connection] = asyncio.Queue()
    for _ in range(32):
        _, connection = await loop.create_connection(_Connection, str(place.hostname), place.port or 80)
        pool.put_nowait(connection)
    begin = time.monotonic()
    done: list[tuple[str, int, int]] = []
    jobs: set[asyncio.Task[None]] = set()
    for number in range(count):
        await asyncio.sleep(max(0.0, begin + number / rate - time.monotonic()))
        job = loop.create_task(_one(pool, place.netloc, token, name, f"{prefix}{number}", done))
        jobs.add(job)
        job.add_done_callback(jobs.discard)
    await asyncio.gather(*jobs)
    while not pool.empty():
        pool.get_nowait().transport.close()
    return done


async def _one(
    pool: asyncio.Queue[_Connection], host: str, token: str, name: str, task_id: str, done: list[tuple[str, int, int]]
) -> None:
    connection = await pool.get()
    request = (
        f"POST /2023-03-30/functions/{name}/invocations HTTP/1.1\r\nHost: {host}\r\nAuthorization: Bearer {token}\r\n"
        f"Content-Type: application/octet-stream\r\nX-Fc-Invocation-Type: Async\r\nX-Fc-Async-Task-Id: {task_id}\r\n"
        f"Content-Length: 1\r\n\r\nx"
    )
    connection.free.clear()
    sent = time.monotonic_ns()
    connection.transport.write(request.encode())  # type: ignore[attr-defined]
    await connection.free.wait()
    if connection.status != b"202":
        raise RuntimeError(f"a submission was answered {connection.status!r}")
    done.append((task_id, sent, connection.answered_ns))
    pool.put_nowait(connection)


def run(client: Client, url: str, token: str, name: str, *, rate: int, count: int, prefix: str) -> list[Timed]:
    """Submits to a function that answers its monotonic clock, and reads what it answered."""
    sent = asyncio.run(submit(url, token, name, rate=rate, count=count, prefix=prefix))
    found = []
    for task_id, sent_ns, accepted_ns in sent:
        client.tasks.wait(name, task_id, 60)
        found.append(Timed(sent_ns, accepted_ns, int(client.tasks.result(name, task_id))))
    return found
