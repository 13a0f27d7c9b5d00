"""The data plane in memory: gateway, waist and pools over in-memory instances, on a real port.

async with edge(handler) as node:
    answer = await node.call("echo", b"hello")
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import tempfile
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from functory.clock import Clock, SystemClock
from functory.gateway.body import BodyConfig
from functory.gateway.calls import Calls
from functory.gateway.http_trigger import HttpTriggers
from functory.gateway.server import Gateway, GatewayConfig
from functory.gateway.targets import Targets
from functory.instances.instance import InstanceLimits
from functory.instances.pools import Pools, PoolsConfig
from functory.instances.templates import Templates
from functory.invoke import pipeline
from functory.invoke.admit import Admit, AdmitConfig
from functory.invoke.record import RecordConfig, Recorder
from functory.invoke.route import Routes
from functory.metering import rates
from functory.model import ids
from functory.model.account import AccessKey, Principal, Scope
from functory.model.function import Function
from functory.model.instance import InstanceSpec
from functory.model.invocation import Invoke
from functory.model.record import LogLines, Record
from functory.model.usage import RateCard
from functory.testing.instances import Handler, MemorySpawner
from functory.web.nonces import Nonces
from functory.web.tls import TlsSites
from functory.web.tokens import CallTokens

ACCOUNT = "1000000000000001"
KEY = AccessKey(access_key_id="AKtest", secret="s" * 30, account_id=ACCOUNT)


def make_function(name: str = "echo", **changes: Any) -> Function:
    """A function record with plain values."""
    values: dict[str, Any] = {
        "account_id": ACCOUNT,
        "name": name,
        "function_id": f"id-{name}",
        "runtime": "python3",
        "handler": "index.handler",
        "code_digest": "0" * 64,
        "code_checksum": "1",
        "code_size_bytes": 1,
        "created_at_ms": 0,
        "modified_at_ms": 0,
        "timeout_s": 3,
        **changes,
    }
    return Function(**values)


async def until(condition: Callable[[], bool], *, turns: int = 1_000_000) -> None:
    """Lets the loop turn until `condition` holds; it must come about by itself."""
    for _ in range(turns):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError("the condition never came about")


class Kept:
    """Keeps records in a list. Implements `invoke.record.Recorded`."""

    def __init__(self) -> None:
        self.records: list[Record] = []
        self.logs: list[LogLines] = []
        self.failure: Exception | None = None
        self.refused = 0
        """How often `failure` was raised."""

    async def append(self, records: Sequence[Record], logs: Sequence[LogLines]) -> None:
        if self.failure is not None:
            self.refused += 1
            raise self.failure
        self.records += records
        self.logs += logs


class Answer(msgspec.Struct, kw_only=True):
    """An HTTP answer, taken apart."""

    status: int
    headers: dict[str, str]
    body: bytes


async def read_answer(reader: asyncio.StreamReader) -> Answer:
    """One answer from a connection."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    headers = dict(_header(line) for line in head[1:] if line)
    if headers.get("transfer-encoding") == "chunked":
        body = b"".join([piece async for piece in _chunks(reader)])
    elif "content-length" in headers:
        body = await reader.readexactly(int(headers["content-length"]))
    else:
        body = await reader.read()
    return Answer(status=int(head[0].split()[1]), headers=headers, body=body)


def _header(line: str) -> tuple[str, str]:
    name, _, value = line.partition(": ")
    return name.lower(), value


async def _chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int(await reader.readline(), 16):
        yield await reader.readexactly(size)
        await reader.readline()
    await reader.readline()


class Edge:
    """What a test holds."""

    def __init__(
        self,
        *,
        gateway: Gateway,
        calls: Calls,
        invoke: Invoke,
        admit: Admit,
        routes: Routes,
        pools: Pools,
        spawner: MemorySpawner,
        kept: Kept,
        recorder: Recorder,
        tokens: CallTokens,
    ) -> None:
        self.gateway = gateway
        self.calls = calls
        self.invoke = invoke
        self.admit = admit
        self.routes = routes
        self.pools = pools
        self.spawner = spawner
        self.kept = kept
        self.recorder = recorder
        self.tokens = tokens
        self.targets = gateway.targets
        """Where tests put triggers and domains."""
        self._writers: list[asyncio.StreamWriter] = []
        self.token = tokens.make(
            Principal(account_id=ACCOUNT, access_key_id=KEY.access_key_id, scope=Scope.ADMIN), None, 3600
        )[0]

    async def connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """A connection to the gateway."""
        host, port = self.gateway.address
        reader, writer = await asyncio.open_connection(host, port, limit=1 << 20)
        self._writers.append(writer)
        return reader, writer

    async def hang_up(self) -> None:
        """Closes all connections made here."""
        for writer in self._writers:
            writer.close()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()

    def request(self, name: str, body: bytes, *headers: str, qualifier: str = "") -> bytes:
        """A whole call as bytes."""
        query = f"?qualifier={qualifier}" if qualifier else ""
        lines = [
            f"POST /2023-03-30/functions/{name}/invocations{query} HTTP/1.1",
            "Host: x",
            f"Authorization: Bearer {self.token}",
            f"Content-Length: {len(body)}",
            *headers,
        ]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + body

    async def send(self, *requests: bytes) -> list[Answer]:
        """Sends the bytes on one connection and reads as many answers."""
        reader, writer = await self.connect()
        for request in requests:
            writer.write(request)
        answers = [await read_answer(reader) for _ in requests]
        writer.close()
        return answers

    async def call(self, name: str, body: bytes = b"", *headers: str) -> Answer:
        """One call on a connection of its own."""
        return (await self.send(self.request(name, body, *headers)))[0]

    async def flushed(self) -> list[Record]:
        """All records, once they are stored."""
        await self.recorder.stop()
        return self.kept.records


async def _no_app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 404, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": b'{"Code":"PathNotSupported"}'})


@asynccontextmanager
async def edge(
    handler: Handler,
    *functions: Function,
    clock: Clock | None = None,
    app: Any = _no_app,
    pools_config: PoolsConfig | None = None,
    templates_mb: int = 0,
    admit: AdmitConfig | None = None,
    chance: Callable[[], float] = lambda: 1.0,
    domain: str = "",
    tls: TlsSites | None = None,
    **gateway: Any,
) -> AsyncIterator[Edge]:
    """A running edge; by default with one function `echo`."""
    clock = clock or SystemClock()
    spawner = MemorySpawner(handler)
    numbers = itertools.count(1)

    async def prepare(function: Function) -> InstanceSpec:
        return InstanceSpec(
            instance_id=f"c-{next(numbers):024x}",
            runtime="python3",
            handler=function.handler,
            code_dir="/",
            environment={},
            concurrency=function.instance_concurrency,
            memory_mb=function.memory_mb,
        )

    config = pools_config or PoolsConfig(grace_s=0.2, limits=InstanceLimits(start_timeout_s=2))
    templates = Templates(
        clock=clock, spawner=spawner, prepare=prepare, limits=config.limits, bytes_max=templates_mb << 20
    )
    pools = Pools(clock=clock, spawner=spawner, prepare=prepare, config=config, templates=templates)
    routes, kept = Routes(chance), Kept()
    recorder = Recorder(kept, clock=clock, config=RecordConfig(flush_s=0.01, retry_s=0.01))
    invoke, admission = pipeline.build(
        routes=routes,
        pools=pools,
        recorder=recorder,
        price=rates.pricer(RateCard()),
        clock=clock,
        config=admit or AdmitConfig(),
    )
    for function in functions or (make_function(),):
        routes.put(function)
    keys = {KEY.access_key_id: KEY}.get
    tokens = CallTokens(b"t" * 32, clock, keys)
    new_id = ids.request_id_maker(7, clock.now_s)
    calls = Calls(invoke=invoke, clock=clock, new_request_id=new_id, keys=keys, nonces=Nonces(), tokens=tokens)
    targets = Targets(ACCOUNT, domain)
    with tempfile.TemporaryDirectory() as folder:
        body = gateway.pop("body", None) or BodyConfig(folder=folder)
        server = Gateway(
            calls=calls,
            targets=targets,
            triggers=HttpTriggers(invoke=invoke, clock=clock, new_request_id=new_id, keys=keys, folder=folder),
            app=app,
            clock=clock,
            new_request_id=new_id,
            config=GatewayConfig(port=0, body=body, grace_s=0.2, **gateway),
            tls=tls,
        )
        services = (pools, recorder, server)
        for service in services:
            await service.start()
        node = Edge(
            gateway=server,
            calls=calls,
            invoke=invoke,
            admit=admission,
            routes=routes,
            pools=pools,
            spawner=spawner,
            kept=kept,
            recorder=recorder,
            tokens=tokens,
        )
        try:
            yield node
        finally:
            await node.hang_up()
            for service in reversed(services):
                await service.stop()
            await spawner.stop()
            await asyncio.sleep(0)
