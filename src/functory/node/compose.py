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
from functory.control.functory.audit import Trail
from functory.control.parts import ControlParts, Limits
from functory.control.uploads import Uploads
from functory.gateway.calls import Calls
from functory.gateway.http_trigger import HttpTriggers
from functory.gateway.server import Gateway
from functory.instances.instance import InstanceLimits
from functory.instances.pools import Pools
from functory.instances.prepare import Preparer
from functory.instances.templates import Templates
from functory.invoke import pipeline
from functory.invoke.admit import Admit, AdmitConfig
from functory.invoke.record import RecordConfig, Recorder
from functory.invoke.route import Routes
from functory.metering import rates
from functory.metering.ledger import Ledger
from functory.model import ids
from functory.model.function import Function
from functory.model.version import runs_alike
from functory.model.vpc import Vpc
from functory.network import modes
from functory.network.client import Relay, RelayConfig
from functory.network.spawner import RelayedSpawner
from functory.node import configs
from functory.node.bindings import Bindings, check_upgrade
from functory.node.credentials import FunctionCredentials, RoleBook, credentials_of
from functory.node.folder import Folder
from functory.node.housekeeping import Housekeeping
from functory.node.identity import Identity
from functory.node.images import Images
from functory.node.networks import Networks
from functory.node.runtimes import find_runtimes
from functory.node.surroundings import Surroundings
from functory.node.tasks import NodeTasks
from functory.runtimes.code import CodeLimits, CodeStore
from functory.runtimes.layers import Built, LayerBuilder
from functory.runtimes.python import Interpreters
from functory.spawner.client import SpawnerClient
from functory.store import cipher
from functory.store.sqlite.store import SqliteStore
from functory.web.links import Links
from functory.web.nonce_file import NonceFile
from functory.web.nonces import Nonces
from functory.web.sessions import Sessions
from functory.web.tokens import CallTokens


class _Layers:
    """The layer builder by a runtime's name, as the control API asks for it: `control.parts.LayerBuilder`."""

    def __init__(self, node: Node) -> None:
        self._node = node

    async def build(self, requirements: str, runtime: str, account_id: str) -> Built:
        found = self._node.interpreters.get(runtime)
        return await self._node.layers.build(
            requirements,
            interpreter=found.path,
            python_version=found.version,
            region=self._node.settings.region,
            account_id=account_id,
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
        fresh = not folder.database.exists()
        self._nonce_file = NonceFile(folder.nonces, now_s=int(clock.now_s()), fresh=fresh)
        own_cipher = cipher.from_key_file(folder.key, sealed=folder.database)
        self.store = SqliteStore(folder.database, clock=clock, cipher=own_cipher)
        self.images = Images(
            self.store,
            settings,
            import_folder=folder.images,
            folder=folder.containers,
            clock=clock,
            cipher=own_cipher,
            tier=lambda: spawner.tier.name,
        )
        self.runtimes = find_runtimes(settings, interpreters, self.images)
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
        self.identity = Identity(self.store.keys, clock=clock, accounts=self.store.accounts)
        self.networks = Networks(self.store, settings)
        self.routes = Routes(secrets.SystemRandom().random)
        self.roles = RoleBook(self.store.roles)
        self.gateway: Gateway
        self.pools: Pools
        self._services: list[lifecycle.Service] = []

    async def start(self) -> None:
        """Storage first, then identity (it reads the store), then what needs keys, the open door last."""
        try:
            await self._begin(self.store, self.blob, self.code, self.layers, self.images)
            await self._begin(self.identity, self.networks, self.spawner)
            await self._load()
            services = self._build()
            self.images.on_changed = self._image_settled
            await self.gateway.bind()  # what starts before the door is open is told where it will be
            await self._begin(*services)
            await self.images.resume()
        except BaseException:
            await self.stop()
            raise

    async def stop(self) -> None:
        """The door first, storage last."""
        services, self._services = self._services, []
        await lifecycle.stop_all(services)
        self._nonce_file.close()

    async def _begin(self, *services: lifecycle.Service) -> None:
        for service in services:
            await service.start()
            self._services.append(service)

    async def _load(self) -> None:
        """Routes what is stored, and sweeps code that nothing uses: no deploy can be under way yet."""
        await self.roles.reload()
        functions = await self.store.functions.all()
        for function in functions:
            self.routes.put(function)
        functions = [*functions, *(version.function for version in await self.store.versions.all())]
        functions += [function.standing for function in functions if function.standing is not None]
        await self.code.collect(
            {function.code_digest for function in functions}
            | {layer.digest for function in functions for layer in function.layers if layer.archive}
            | await self.store.layer_versions.digests()
        )

    def _build(self) -> list[lifecycle.Service]:
        settings, clock = self.settings, self._clock
        recorder = Recorder(
            self.store.requests, clock=clock, config=RecordConfig(flush_s=settings.records_flush_ms / 1000)
        )
        sessions = Sessions(self.identity.session_secret, clock, self.roles.find)
        preparer, config = self._preparer(sessions), configs.pools(settings)
        relay_config = RelayConfig(connections_max=settings.relay_connections_max, idle_s=int(settings.relay_idle_s))
        self.relay = Relay(clock, relay_config, recorder.add_lines)
        spawner = RelayedSpawner(self.spawner, self.relay)
        self._templates = self._make_templates(preparer, config.limits)
        self.pools = Pools(clock=clock, spawner=spawner, prepare=preparer, config=config, templates=self._templates)
        credentials = FunctionCredentials(self.roles, sessions, self.pools, clock)
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
        self._around = Surroundings(self.store, routes=self.routes, admit=admit, pools=self.pools, clock=clock)
        trail = Trail(self.store.audit, clock=clock)
        new_id = ids.request_id_maker(secrets.randbits(32), clock.now_s)
        nonces = Nonces(kept=self._nonce_file)
        tokens = CallTokens(self.identity.token_secret, clock, self.identity.find)
        node_tasks = self._tasks = NodeTasks(
            self.store,
            self.blob,
            settings,
            invoke=invoke,
            routes=self.routes,
            pools=self.pools,
            reserved=partial(self._reserved, admit),
            secret=self.identity.token_secret,
            clock=clock,
            new_request_id=new_id,
        )
        calls = Calls(
            invoke=invoke,
            clock=clock,
            new_request_id=new_id,
            keys=self.identity.find,
            nonces=nonces,
            tokens=tokens,
            sessions=sessions,
            submit_task=node_tasks.service.submit,
            submit_max_bytes=settings.async_body_max_bytes,
            callers=self.networks.callers,
        )
        bindings = Bindings(
            self.store,
            settings,
            account_id=self.identity.owner,
            submit_task=node_tasks.service.submit,
            clock=clock,
        )
        uploads = Uploads(
            self.blob,
            secret=self.identity.link_secret,
            clock=clock,
            random=secrets.token_bytes,
            region=settings.region,
            object_max_bytes=settings.code_zip_max_bytes,
        )
        app = create_app(
            ControlParts(
                store=self.store,
                code=self.code,
                layers=_Layers(self),
                clock=clock,
                runtimes=self.runtimes.resolve,
                new_request_id=new_id,
                keys=self.identity.find,
                nonces=nonces,
                sessions=sessions,
                on_roles_changed=credentials.roles_changed,
                tokens=tokens,
                links=Links(self.identity.link_secret, clock),
                region=settings.region,
                base_url=lambda: self.gateway.url,
                instances=self.pools.views,
                node_info=self._info,
                on_function_changed=self._changed,
                on_function_deleted=partial(self._deleted, admit.forget, bindings),
                changed_around=self._changed_around,
                tasks=node_tasks.service.tasks,
                delivery_secret=node_tasks.delivery_secret,
                check_url=node_tasks.check_url,
                ready=self._around.ready,
                template=self.pools.template,
                check_image=self.images.check,
                seal=self.images.seal,
                abort=self.pools.kill,
                on_keys_changed=partial(self._keys_changed, calls),
                owner_account=lambda: self.identity.owner,
                on_call=trail.add,
                limits=Limits(account_concurrency=settings.account_concurrency),
                on_trigger_changed=bindings.trigger_changed,
                on_trigger_deleted=bindings.trigger_deleted,
                is_own_host=bindings.is_own_host,
                on_domain_changed=bindings.domain_changed,
                on_domain_deleted=bindings.domain_deleted,
                on_vpc_changed=self._vpc_changed,
                on_vpc_deleted=self.networks.deleted,
                on_bindings_changed=self.networks.load_bindings,
                trigger_url=lambda trigger: bindings.targets.url(trigger, self.gateway.url),
                uploads=uploads,
                deletion_blockers=[bindings.check_deletion],
            )
        )
        triggers = HttpTriggers(
            invoke=invoke,
            clock=clock,
            new_request_id=new_id,
            keys=self.identity.find,
            sessions=sessions,
            folder=str(self._folder.tmp),
            takes_upgrades=partial(check_upgrade, self.routes),
        )
        self.gateway = Gateway(
            calls=calls,
            targets=bindings.targets,
            triggers=triggers,
            app=app,
            clock=clock,
            new_request_id=new_id,
            config=configs.gateway(settings, self._folder),
            tls=bindings.tls,
        )
        housekeeping = Housekeeping(
            self.store.requests.drop_before,
            clock=clock,
            keep_days=settings.records_keep_days,
            drop_spending=self.store.spending.drop_before,
            keep_spending_days=settings.spending_keep_days,
            sweep=partial(self._sweep, uploads),
        )
        ledger = Ledger(self.pools.take_kept, self.store.spending, settings.rate_card, clock=clock)
        return [
            recorder,
            trail,
            housekeeping,
            ledger,
            self.relay,
            self.pools,
            credentials,
            self._around,
            node_tasks,
            bindings,
            self.gateway,
        ]

    def _preparer(self, sessions: Sessions) -> Preparer:
        return Preparer(
            open_code=self.code.open,
            layer_path=lambda layer: self.layers.path(layer.digest),
            runtime_start=self.runtimes.start,
            region=self.settings.region,
            new_instance_id=lambda: "c-" + secrets.token_hex(12),
            make_credentials=lambda function: credentials_of(function, self.roles, sessions),
            endpoint=lambda: self.gateway.local_url,
            network=self.networks.of,
        )

    def _make_templates(self, prepare: Preparer, limits: InstanceLimits) -> Templates:
        boxed = self.spawner.tier.name not in ("C", "D")  # plain processes have no templates
        return Templates(
            clock=self._clock,
            spawner=self.spawner,
            prepare=prepare,
            limits=limits,
            bytes_max=self.settings.templates_max_mb << 20 if boxed else 0,
        )

    # --- what parts are told ------------------------------------------------------------------------------------------

    def _changed(self, function: Function) -> None:
        """A revision is committed: calls go to it from now on, the old instances finish and go.

        One whose image is not here yet leaves the one before in its place.
        """
        self.images.changed(function)
        old = self.routes.put(function)
        runs = function.runs
        if runs is None:
            return
        if old is not None and not (runs_alike(old, runs) and self.pools.adopt(runs)):
            self.pools.retire(old)
        self._around.changed(runs)

    async def _image_settled(self, function: Function) -> None:
        self._changed(function)
        await self._around.refresh(function.account_id, function.name)

    def _deleted(self, forget: Callable[[str], None], bindings: Bindings, function: Function) -> None:
        bindings.function_deleted(function)
        self._tasks.function_deleted()
        self._around.deleted(function)
        self.routes.drop(function)
        self.pools.retire(function)
        forget(function.function_id)

    async def _sweep(self, uploads: Uploads) -> int:
        running = {instance.function.pool_id: instance.function for instance in self.pools.views()}
        return await uploads.sweep() + await self.images.collect(running.values())

    async def _changed_around(self, account_id: str, name: str) -> None:
        await self._around.refresh(account_id, name)
        await self._tasks.configs_changed()

    async def _vpc_changed(self, vpc: Vpc) -> None:
        """New instances have it from now on; those of before finish what they run and go."""
        await self.networks.changed(vpc)
        gone = self.pools.retire_all(lambda one: one.account_id == vpc.account_id and modes.vpc_id(one) == vpc.vpc_id)
        for account_id, name in {(one.account_id, one.name) for one in gone}:
            await self._around.refresh(account_id, name)

    def _reserved(self, admit: Admit, account_id: str, name: str) -> int | None:
        function = self.routes.latest(account_id, name)
        return None if function is None else admit.reserved(account_id, function.function_id)

    async def _keys_changed(self, calls: Calls) -> None:
        """Keys are in force from now on; clients on this machine find one that works."""
        another = await self.identity.reload()
        calls.keys_changed()
        if another:
            self.identity.write_credentials(self.credentials_path(), self.gateway.url)

    def _info(self) -> dict[str, Any]:
        settings = self.settings
        return {
            "version": functory.__version__,
            "tier": self.spawner.tier,
            "uptimeS": (self._clock.monotonic_ns() - self._started_ns) // 1_000_000_000,
            "instances": self.pools.statistics(),
            "templates": self._templates.statistics(),
            "network": self.relay.statistics(),
            "pagingOut": self.pools.rounds.no_swap or "on",
            "runtimes": self.runtimes.describe(),
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
