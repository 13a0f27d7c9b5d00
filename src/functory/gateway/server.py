"""Listens on the one port, keeps the connections' time, and stops gracefully."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from functory.clock import Clock, Timer
from functory.gateway.asgi import AsgiApp
from functory.gateway.body import BodyBudget, BodyCollector, BodyConfig
from functory.gateway.calls import Calls
from functory.gateway.connection import Connection, Phase
from functory.gateway.head import Head
from functory.gateway.http_trigger import HttpTriggers
from functory.gateway.targets import Targets
from functory.web.tls import TlsSites

SWEEP_S = 0.5
BACKLOG = 4096


class GatewayConfig(msgspec.Struct, frozen=True, kw_only=True):
    """The edge's limits."""

    body: BodyConfig
    host: str = "127.0.0.1"
    port: int = 3862
    """0 = any free port."""
    tls_port: int = 0
    """Where custom domains are served over TLS; 0 = nowhere."""
    body_max_bytes: int = 32 * 1024 * 1024
    """Body of a call."""
    control_body_max_bytes: int = 72 * 1024 * 1024
    """Body of a management call: code travels in base64."""
    header_timeout_s: float = 10.0
    body_timeout_s: float = 60.0
    """Without a byte."""
    idle_timeout_s: float = 75.0
    websocket_idle_s: float = 600.0
    """Without a byte in either direction."""
    connections_max: int = 10_000
    grace_s: float = 10.0
    """At stop: how long answers may take."""


class Gateway:
    """The server. A Service."""

    def __init__(
        self,
        *,
        calls: Calls,
        targets: Targets,
        triggers: HttpTriggers,
        app: AsgiApp,
        clock: Clock,
        new_request_id: Callable[[], str],
        config: GatewayConfig,
        tls: TlsSites | None = None,
    ) -> None:
        self.calls = calls
        self.targets = targets
        self.triggers = triggers
        self.app = app
        self.config = config
        self.now_ns = clock.monotonic_ns
        self.new_request_id = new_request_id
        self.stopping = False
        self.head_timeout_ns = int(config.header_timeout_s * 1e9)
        self.body_timeout_ns = int(config.body_timeout_s * 1e9)
        self.tunnel_idle_ns = int(config.websocket_idle_s * 1e9)
        self.idle_late_ns = 0
        """When a connection that falls idle now is too old; refreshed by the sweep, so that answers need no clock."""
        self.small_max = min(config.body_max_bytes, config.body.spill_bytes)
        self.address = (config.host, config.port)
        self.loop: asyncio.AbstractEventLoop
        self._clock = clock
        self._budget = BodyBudget(config.body)
        self._connections: set[Connection] = set()
        self._tls = tls
        self._server: asyncio.Server | None = None
        self._tls_server: asyncio.Server | None = None
        self._sweeping: Timer | None = None
        self._drained = asyncio.Event()

    async def bind(self) -> None:
        """Takes the port, so that it is known; nobody is let in before `start`."""
        self.loop = asyncio.get_running_loop()
        self._server = await self.loop.create_server(
            lambda: Connection(self), self.config.host, self.config.port, backlog=BACKLOG, start_serving=False
        )
        host, port = self._server.sockets[0].getsockname()[:2]
        self.address = (host, port)

    async def start(self) -> None:
        if self._server is None:
            await self.bind()
        assert self._server is not None
        self._sweep()
        await self._server.start_serving()
        if self.config.tls_port and self._tls is not None:
            self._tls_server = await self.loop.create_server(
                lambda: Connection(self, secure=True),
                self.config.host,
                self.config.tls_port,
                backlog=BACKLOG,
                ssl=self._tls.context,
                ssl_handshake_timeout=self.config.header_timeout_s,
            )

    async def stop(self) -> None:
        """Takes no new connection, lets answers finish within the grace time, then closes all."""
        if self._server is None or self.stopping:
            return
        self.stopping = True
        self._server.close()
        if self._tls_server is not None:
            self._tls_server.close()
        for connection in list(self._connections):
            connection.close_if_idle()
        if self._connections:
            timer = self._clock.call_later(self.config.grace_s, self._drained.set)
            await self._drained.wait()
            timer.cancel()
        for connection in list(self._connections):
            connection.abort()
        if self._sweeping is not None:
            self._sweeping.cancel()

    @property
    def url(self) -> str:
        """Where it listens."""
        host, port = self.address
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def local_url(self) -> str:
        """Where functions on this machine reach it."""
        host, port = self.address
        if host in ("0.0.0.0", "::"):
            host = "127.0.0.1" if host == "0.0.0.0" else "::1"
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    @property
    def files_bytes(self) -> int:
        """What the bodies of requests under way hold in files."""
        return self._budget.file_bytes

    # --- for connections ----------------------------------------------------------------------------------------------

    def joined(self, connection: Connection) -> None:
        """A client came."""
        if len(self._connections) >= self.config.connections_max:
            connection.abort()
            return
        connection.late_ns = self.now_ns() + self.head_timeout_ns
        self._connections.add(connection)

    def left(self, connection: Connection) -> None:
        """A client went."""
        self._connections.discard(connection)
        if self.stopping and not self._connections:
            self._drained.set()

    def body_limit(self, head: Head) -> int:
        """How large this request's body may be."""
        hot = head.call is not None or head.bound is not None
        return self.config.body_max_bytes if hot else self.config.control_body_max_bytes

    def collector(self, limit_bytes: int, *, hashed: bool) -> BodyCollector:
        """A new body."""
        return BodyCollector(self._budget, limit_bytes=limit_bytes, hashed=hashed)

    def _sweep(self) -> None:
        now = self.now_ns()
        self.idle_late_ns = now + int(self.config.idle_timeout_s * 1e9)
        for connection in [one for one in self._connections if one.late_ns and one.late_ns <= now]:
            if connection.phase is not Phase.BUSY:
                connection.abort()
        self._sweeping = self._clock.call_later(SWEEP_S, self._sweep)
