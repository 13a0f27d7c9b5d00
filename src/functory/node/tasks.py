"""Asynchronous tasks in a running node: the queue in the store's file, the sinks, and who is told of what."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import secrets
from collections.abc import Callable, Sequence
from functools import lru_cache

from functory.blob.base import Blob
from functory.clock import Clock
from functory.config import Settings
from functory.instances.pools import Pools
from functory.invoke.route import Routes
from functory.model.invocation import Invoke
from functory.model.task import AsyncConfig
from functory.queue.fair import Limits
from functory.queue.pump import PumpConfig
from functory.queue.sqlite import SqliteQueue
from functory.sinks import allowed
from functory.sinks.base import Kind, Sink
from functory.sinks.function import FunctionSink
from functory.sinks.http import HttpSink
from functory.store.configs import Configs
from functory.store.sqlite.store import SqliteStore
from functory.tasks.accept import AcceptConfig
from functory.tasks.dispatch import DispatchConfig
from functory.tasks.service import TaskConfig, TaskService

NODE = "local"
"""The name under which this node holds leases; a fleet's nodes will have names of their own."""


class _Stored:
    """The async invoke configs of the store. Implements `tasks.configs.StoredConfigs`."""

    def __init__(self, configs: Configs[AsyncConfig]) -> None:
        self._configs = configs

    async def put(self, config: AsyncConfig) -> None:
        await self._configs.put(config)

    async def delete(self, account_id: str, function_name: str, qualifier: str) -> None:
        await self._configs.delete(account_id, function_name, qualifier)

    async def all(self) -> Sequence[AsyncConfig]:
        return await self._configs.all()


class NodeTasks:
    """The task service with its queue and sinks. A Service: started after store and pools, before the gateway."""

    def __init__(
        self,
        store: SqliteStore,
        blob: Blob,
        settings: Settings,
        *,
        invoke: Invoke,
        routes: Routes,
        pools: Pools,
        reserved: Callable[[str, str], int | None],
        secret: bytes,
        clock: Clock,
        new_request_id: Callable[[], str],
    ) -> None:
        self._settings = settings
        self._secret = secret
        self._jobs: set[asyncio.Task[None]] = set()
        self._reserved = reserved
        self._limits = lru_cache(maxsize=1024)(self._make_limits)  # asked for twice per task
        self.queue = SqliteQueue(store.writer, store.readers, clock=clock)
        sinks: dict[Kind, Sink] = {}
        self.service = TaskService(
            self.queue,
            blob,
            invoke=invoke,
            sinks=sinks,
            stored_configs=_Stored(store.async_configs),
            check_function=routes.find,
            new_request_id=new_request_id,
            chance=secrets.SystemRandom().random,
            clock=clock,
            node=NODE,
            incarnation=secrets.token_hex(6),
            limits_of=self._limits_of,
            cancel=pools.cancel,
            config=TaskConfig(
                region=settings.region,
                pump=PumpConfig(grace_s=settings.shutdown_grace_s),
                dispatch=DispatchConfig(stop_grace_s=settings.task_stop_grace_s),
                accept=AcceptConfig(payload_max_bytes=settings.async_body_max_bytes),
            ),
        )
        sinks[Kind.FUNCTION] = FunctionSink(self.service.submit_for_sink)
        self._http = sinks[Kind.HTTP] = HttpSink(
            lambda account: delivery_secret(secret, account),
            clock=clock,
            allowed=allowed.parse(settings.http_destinations),
        )

    async def start(self) -> None:
        await self.queue.start()
        try:
            await self.service.start()
        except BaseException:
            await self.queue.stop()
            raise

    async def stop(self) -> None:
        await self.service.stop()
        await self.queue.stop()

    async def configs_changed(self) -> None:
        """An async invoke config was written or removed: the next accept goes by what is stored."""
        await self.service.configs.start()

    def function_deleted(self) -> None:
        """Its configurations went with it: a new function of its name begins with defaults."""
        job = asyncio.get_running_loop().create_task(self.configs_changed())
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)

    async def check_url(self, url: str) -> None:
        """`InvalidArgument` if this node may not deliver there."""
        await self._http.check(url)

    def delivery_secret(self, account_id: str) -> str:
        """What an account's deliveries by HTTP are signed with."""
        return delivery_secret(self._secret, account_id).decode()

    def _limits_of(self, account_id: str, function_name: str) -> Limits:
        """Tasks of a function run within the same limits as its calls."""
        reserved = self._reserved(account_id, function_name)
        return self._limits(self._settings.function_concurrency if reserved is None else reserved)

    def _make_limits(self, concurrency: int) -> Limits:
        return Limits(
            concurrency=max(1, concurrency),
            account_concurrency=self._settings.account_concurrency,
            rate_per_s=self._settings.function_task_rate,
        )


def delivery_secret(secret: bytes, account_id: str) -> bytes:
    """What an account's HTTP deliveries are signed with; derived, so that there is nothing more to keep."""
    return hmac.new(secret, b"deliveries/" + account_id.encode(), hashlib.sha256).hexdigest().encode()
