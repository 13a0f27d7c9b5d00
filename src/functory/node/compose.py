"""Builds every part of a node and hands each its collaborators. Nothing reaches for a global; this is the wiring."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import functory
from functory import lifecycle
from functory.blob.file import FileBlob
from functory.clock import Clock
from functory.config import Settings
from functory.control.app import create_app
from functory.control.parts import ControlParts
from functory.gateway.body import BodyConfig
from functory.gateway.calls import Calls
from functory.gateway.server import Gateway, GatewayConfig
from functory.instances.instance import InstanceLimits
from functory.instances.pools import Pools, PoolsConfig
from functory.instances.prepare import Preparer
from functory.invoke import pipeline
from functory.invoke.admit import AdmitConfig
from functory.invoke.record import RecordConfig, Recorder
from functory.invoke.route import Routes
from functory.metering import rates
from functory.model import ids
from functory.model.function import Function
from functory.node.folder import Folder
from functory.node.housekeeping import Housekeeping
from functory.node.identity import Identity
from functory.runtimes.code import CodeLimits, CodeStore
from functory.runtimes.layers import Built, LayerBuilder
from functory.runtimes.python import Interpreters
from functory.spawner.client import SpawnerClient
from functory.store import cipher
from functory.store.sqlite.store import SqliteStore
from functory.web.links import Links
from functory.web.nonces import Nonces
from functory.web.tokens import CallTokens


class _Layers:
    """The layer builder by a runtime's name, as the control API asks for it: `control.parts.LayerBuilder`."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def build(self, requirements: str, runtime: str) -> Built:
        found = self._node.interpreters.get(runtime)
        return await self._node.layers.build(
            requirements,
            interpreter=found.path,
            python_version=found.version,
            region=self._node.settings.region,
            account_id=self._node.identity.admin.account_id,
        )


class Node:
    """All parts of one node. Made on the loop's thread; `start` and `stop` as any Service."""

    def __init__(
        self, settings: Settings, folder: Folder, spawner: SpawnerClient, interpreters: Interpreters, clock: Clock
    ) -> None:
        self.settings = settings
        self.spawner = spawner
        self._clock = clock
        self._folder = folder
        self.interpreters = interpreters
        self._started_ns = clock.monotonic_ns()
        self.store = SqliteStore(folder.database, clock=clock, cipher=cipher.from_key_file(folder.key))
        self.blob = FileBlob(folder.blob)
        self.code = CodeStore(
            self.blob,
            folder.code,
            CodeLimits(
                zip_bytes=settings.code_zip_max_bytes,
                unpacked_bytes=settings.code_max_bytes,
                files=settings.code_max_files,
            ),
        )
        self.layers = LayerBuilder(self.store.layers, folder.layers, clock=clock)
        self.identity = Identity(self.store.keys, clock=clock)
        self.routes = Routes()
        self.gateway: Gateway
        self.pools: Pools
        self._services: list[lifecycle.Service] = []

    async def start(self) -> None:
        """Storage first, then identity (it reads the store), then what needs keys, the open door last."""
        try:
            await self._begin(self.store, self.blob, self.code, self.layers, self.identity, self.spawner)
            await self._load()
            await self._begin(*self._build())
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """The door first, storage last."""
        services, self._services = self._services, []
        await lifecycle.stop_all(services)

    async def _begin(self, *services: lifecycle.Service) -> None:
        for service in services:
            await service.start()
            self._services.append(service)

    async def _load(self) -> None:
        """Routes what is stored, and sweeps code that nothing uses: no deploy can be under way yet."""
        functions = await self.store.functions.all()
        for function in functions:
            self.routes.put(function)
        await self.code.collect({function.code_digest for function in functions})

    def _build(self) -> list[lifecycle.Service]:
        settings, clock = self.settings, self._clock
        recorder = Recorder(
            self.store.requests, clock=clock, config=RecordConfig(flush_s=settings.records_flush_ms / 1000)
        )
        self.pools = Pools(clock=clock, spawner=self.spawner, prepare=self._preparer(), config=self._pools_config())
        invoke, admit = pipeline.build(
            routes=self.routes,
            pools=self.pools,
            recorder=recorder,
            price=rates.pricer(settings.rate_card),
            clock=clock,
            config=AdmitConfig(
                account_concurrency=settings.account_concurrency,
                function_concurrency=settings.function_concurrency,
                queue_max=settings.queue_max,
                queue_wait_s=settings.queue_wait_s,
            ),
        )
        new_id = ids.request_id_maker(secrets.randbits(32), clock.now_s)
        nonces = Nonces()
        tokens = CallTokens(self.identity.token_secret, clock, self.identity.find)
        calls = Calls(
            invoke=invoke, clock=clock, new_request_id=new_id, keys=self.identity.find, nonces=nonces, tokens=tokens
        )
        app = create_app(
            ControlParts(
                store=self.store,
                code=self.code,
                layers=_Layers(self),
                clock=clock,
                runtimes=self.interpreters.resolve,
                new_request_id=new_id,
                keys=self.identity.find,
                nonces=nonces,
                tokens=tokens,
                links=Links(self.identity.link_secret, clock),
                region=settings.region,
                base_url=lambda: self.gateway.url,
                instances=self.pools.views,
                node_info=self._info,
                on_function_changed=self._changed,
                on_function_deleted=partial(self._deleted, admit.forget),
            )
        )
        self.gateway = Gateway(calls=calls, app=app, clock=clock, new_request_id=new_id, config=self._gateway_config())
        housekeeping = Housekeeping(self.store.requests.drop_before, clock=clock, keep_days=settings.records_keep_days)
        return [recorder, housekeeping, self.pools, self.gateway]

    def _preparer(self) -> Preparer:
        return Preparer(
            open_code=self.code.open,
            layer_path=lambda layer: self.layers.path(layer.digest),
            runtimes=self.interpreters.resolve,
            region=self.settings.region,
            new_instance_id=lambda: "c-" + secrets.token_hex(12),
        )

    def _pools_config(self) -> PoolsConfig:
        settings = self.settings
        return PoolsConfig(
            instances_max=settings.instances_max,
            idle_s=settings.instance_idle_s,
            queue_wait_s=max(settings.queue_wait_s, settings.instance_start_timeout_s),
            grace_s=settings.shutdown_grace_s,
            limits=InstanceLimits(
                start_timeout_s=settings.instance_start_timeout_s,
                reply_max_bytes=settings.body_max_bytes,
                log_bytes=settings.log_bytes_per_request,
            ),
        )

    def _gateway_config(self) -> GatewayConfig:
        settings = self.settings
        return GatewayConfig(
            host=settings.host,
            port=settings.port,
            body_max_bytes=settings.body_max_bytes,
            control_body_max_bytes=settings.control_body_max_bytes,
            header_timeout_s=settings.header_timeout_s,
            body_timeout_s=settings.body_timeout_s,
            idle_timeout_s=settings.idle_timeout_s,
            connections_max=settings.connections_max,
            grace_s=settings.shutdown_grace_s,
            body=BodyConfig(
                folder=str(self._folder.tmp),
                spill_bytes=settings.body_spill_bytes,
                memory_bytes=settings.body_memory_bytes,
            ),
        )

    # --- what parts are told ------------------------------------------------------------------------------------------

    def _changed(self, function: Function) -> None:
        """A revision is committed: calls go to it from now on, the old instances finish and go."""
        old = self.routes.put(function)
        if old is not None:
            self.pools.retire(old)

    def _deleted(self, forget: Callable[[str], None], function: Function) -> None:
        self.routes.drop(function)
        self.pools.retire(function)
        forget(function.function_id)

    def _info(self) -> dict[str, Any]:
        settings = self.settings
        return {
            "version": functory.__version__,
            "tier": self.spawner.tier,
            "uptimeS": (self._clock.monotonic_ns() - self._started_ns) // 1_000_000_000,
            "instances": self.pools.statistics(),
            "runtimes": self.interpreters.describe(),
            "limits": {
                "accountConcurrency": settings.account_concurrency,
                "functionConcurrency": settings.function_concurrency,
                "bodyMaxBytes": settings.body_max_bytes,
                "instancesMax": settings.instances_max,
                "instanceIdleS": settings.instance_idle_s,
                "codeMaxBytes": settings.code_max_bytes,
            },
        }

    def credentials_path(self) -> Path:
        """Where clients on this machine find endpoint and key."""
        return self._folder.credentials
