"""Images of functions: brought here in the background after a deploy, and what is told of it.

    a revision asks for an image → pulled → the next revision says ready or failed (compare-and-set) → calls go to it

Calls go to the revision before as long as there is one. A node that is started goes on with what was asked for.
"""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import Awaitable, Callable, Iterable
from pathlib import Path

import httpcore
from msgspec import structs

from functory.clock import Clock
from functory.config import Settings
from functory.control.fc import containers, revisions
from functory.model import errors
from functory.model.function import Function, ImageState
from functory.observe.logs import fields
from functory.runtimes.container import command
from functory.runtimes.images import local, reference
from functory.runtimes.images.manifest import Image
from functory.runtimes.images.prefetch import Prefetch
from functory.runtimes.images.reference import Kind
from functory.runtimes.images.registry import Credentials, RegistrySource
from functory.runtimes.images.source import Source
from functory.runtimes.images.store import ImageLimits, ImageStore
from functory.sandbox.process import FIRST_UID
from functory.sinks import allowed
from functory.sinks.reach import NotAllowed, Reach
from functory.store.base import Store
from functory.store.cipher import Cipher

log = logging.getLogger("functory.images")
_TRIES = 64
_UNBOXED = ("C", "D")


class RegistryReach(Reach):
    """Connects where the operator lets images come from."""

    async def connect_tcp(
        self, host: str, port: int, *arguments: object, **more: object
    ) -> httpcore.AsyncNetworkStream:
        """As `Reach`, in this setting's words."""
        try:
            return await super().connect_tcp(host, port, *arguments, **more)  # type: ignore[arg-type]
        except NotAllowed:
            raise errors.InvalidArgument(
                f"images are not pulled from {host}, port {port}, on this node",
                hint="its operator can allow it: the setting image_registries names what is allowed",
            ) from None


class Images:
    """A Service. `store` is at hand before it has started, empty."""

    def __init__(
        self,
        store: Store,
        settings: Settings,
        *,
        import_folder: Path,
        folder: Path,
        cipher: Cipher,
        clock: Clock,
        tier: Callable[[], str],
    ) -> None:
        """`import_folder`: where images may be named when the settings name no other. `tier`: of the boxes."""
        self._functions = store.functions
        self._versions = store.versions
        self._cipher = cipher
        self._tier = tier
        named = [Path(one) for one in settings.image_folders.split(":") if one]
        self._folders = named or [import_folder]
        self._blob_max_bytes = settings.image_max_bytes
        self._reach = RegistryReach(allowed.parse(settings.image_registries))
        self.store = ImageStore(
            folder,
            limits=ImageLimits(
                unpacked_bytes=settings.image_max_bytes,
                files=settings.image_max_files,
                pull_s=settings.image_pull_timeout_s,
            ),
            owner=FIRST_UID,
        )
        self._prefetch = Prefetch(self.store, clock=clock)
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self.on_changed: Callable[[Function], Awaitable[None]] = _nobody

    async def start(self) -> None:
        """Reads what is here."""
        await self.store.start()
        await self._prefetch.start()

    async def stop(self) -> None:
        """What is on its way is asked for again at the next start."""
        tasks, self._tasks = list(self._tasks.values()), {}
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._prefetch.stop()
        await self.store.stop()

    async def resume(self) -> None:
        """Goes on with what was asked for, brings back what is lost, and removes what nobody needs."""
        for function in await self._all():
            self.changed(function)
        await self.collect(())

    async def collect(self, running: Iterable[Function]) -> int:
        """Removes images that no function and no version has, and none of `running` either; how many layers went."""
        functions = [*await self._all(), *running]
        return await self.store.collect({one.image.digest for one in functions if one.image is not None})

    async def _all(self) -> list[Function]:
        functions = [*await self._functions.all(), *(one.function for one in await self._versions.all())]
        return functions + [one.standing for one in functions if one.standing is not None]

    def changed(self, function: Function) -> None:
        """A revision is committed: its image is brought here, if it is not."""
        image = function.image
        if image is None or image.state is ImageState.FAILED:
            return
        if image.state is ImageState.READY and self.store.get(image.digest) is not None:
            return
        key = f"{function.pool_id}/{function.epoch}"
        task = asyncio.get_running_loop().create_task(self._bring(key, function), name=f"image of {function.name}")
        self._tasks[key] = task
        task.add_done_callback(lambda _: self._tasks.pop(key, None))

    def check(self, text: str) -> None:
        """`InvalidArgument` if functions may not name this image here."""
        named = reference.parse(text)
        if named.kind is not Kind.REGISTRY:
            local.check(named, self._folders)

    def why_not(self) -> str:
        """Why this node cannot run containers; empty if it can."""
        if self._tier() in _UNBOXED:
            return f"an image becomes the root of a box, and isolation tier {self._tier()} has none (functory doctor)"
        return ""

    def starting(self, image: Image) -> None:
        """An instance is about to start."""
        self._prefetch.starting(image)

    def seal(self, secret: str, account_id: str) -> str:
        """A password, unreadable without this node's key."""
        return base64.b64encode(self._cipher.seal(secret.encode(), _context(account_id))).decode()

    async def _bring(self, key: str, function: Function) -> None:
        assert function.image is not None
        asked = function.image
        log.info(
            "The image of a function is brought here",
            extra=fields("pull_image", function=function.name, image=asked.reference),
        )
        try:
            # What was ready once is found again by its digest, whatever the tag means by now.
            image, resolved = await self.store.pull(key, self._source(function))
            command(function, image)
            after = structs.replace(asked, state=ImageState.READY, digest=image.digest, resolved=resolved, reason="")
        except errors.FunctoryError as failure:
            after = structs.replace(asked, state=ImageState.FAILED, reason=str(failure)[:1000])
        if asked.state is ImageState.PULLING:
            await self._settle(function, after)

    async def _settle(self, function: Function, image: object) -> None:
        """Writes how it went into the newest revision, if that still asks for the same."""
        assert function.image is not None
        for _ in range(_TRIES):
            try:
                current = await self._functions.get(function.account_id, function.name)
            except errors.FunctionNotFound:
                return
            asked = current.image
            if current.function_id != function.function_id or asked is None:
                return
            if asked.asked_epoch != function.image.asked_epoch or asked.state is not ImageState.PULLING:
                return
            changes: dict[str, object] = {"image": image}
            if getattr(image, "state", None) is ImageState.READY:
                changes["standing"] = None
            after = revisions.following(current, current.modified_at_ms, changes)
            try:
                await self._functions.replace(after)
            except errors.ConcurrentUpdate:
                continue
            _tell(after)
            await self.on_changed(after)
            return

    def _source(self, function: Function) -> Source:
        assert function.image is not None
        named = reference.parse(function.image.reference)
        if named.kind is not Kind.REGISTRY:
            return local.LocalSource(named, self._folders)
        if function.image.state is ImageState.READY:
            named = reference.parse(function.image.resolved)
        return RegistrySource(
            named, self._credentials(function), backend=self._reach, blob_max_bytes=self._blob_max_bytes
        )

    def _credentials(self, function: Function) -> Credentials:
        registry = containers.config_of(function.official).registry_config
        auth = registry.auth_config if registry is not None else None
        cert = registry.cert_config if registry is not None else None
        password = ""
        if auth is not None and auth.password:
            sealed = base64.b64decode(auth.password)
            password = self._cipher.open(sealed, _context(function.account_id)).decode()
        authority = cert.root_ca_cert_base64 if cert is not None else None
        return Credentials(
            user=(auth.user_name or "") if auth is not None else "",
            password=password,
            authority=base64.b64decode(authority).decode("ascii", "replace") if authority else "",
            insecure=bool(cert is not None and cert.insecure),
        )


async def _nobody(_: Function) -> None:
    """Nobody to tell."""


def _context(account_id: str) -> str:
    return f"the registry password of account {account_id}"


def _tell(function: Function) -> None:
    image = function.image
    assert image is not None
    more = fields("settle_image", function=function.name, image=image.resolved or image.reference, reason=image.reason)
    if image.state is ImageState.READY:
        log.info("The image of a function is ready; calls go to it", extra=more)
    else:
        log.warning("The image of a function cannot be had; deploy it again", extra=more)
