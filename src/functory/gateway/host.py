"""What a connection needs of its server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Protocol

from functory.gateway.asgi import AsgiApp
from functory.gateway.body import BodyCollector
from functory.gateway.calls import Calls
from functory.gateway.head import Head
from functory.gateway.http_trigger import HttpTriggers
from functory.gateway.targets import Targets

if TYPE_CHECKING:
    from functory.gateway.connection import Connection


class Host(Protocol):
    """`server.Gateway`, as its connections see it."""

    calls: Calls
    targets: Targets
    triggers: HttpTriggers
    app: AsgiApp
    loop: asyncio.AbstractEventLoop
    address: tuple[str, int]
    now_ns: Callable[[], int]
    new_request_id: Callable[[], str]
    stopping: bool
    head_timeout_ns: int
    body_timeout_ns: int
    idle_late_ns: int
    tunnel_idle_ns: int
    small_max: int

    def joined(self, connection: Connection) -> None:
        """A client came."""

    def left(self, connection: Connection) -> None:
        """A client went."""

    def body_limit(self, head: Head) -> int:
        """How large this request's body may be."""

    def collector(self, limit_bytes: int, *, hashed: bool) -> BodyCollector:
        """A new body."""
