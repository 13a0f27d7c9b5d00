"""Dependency layers: a `requirements.txt` is installed once per content into a read-only folder that functions share.

    build    refuse what is no requirement → known? → install under a name of its own → measure → durable → rename
             → store

A layer's folder is named by the hash of what it was built from, and holds `python/`, as the official layers do.
"""

from __future__ import annotations

import asyncio
import os
import platform
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

from functory.blob import failures
from functory.clock import Clock
from functory.model import errors
from functory.model.function import LayerRef
from functory.runtimes import folders, installer, requirements
from functory.runtimes.shared import Shared, to_its_end
from functory.store.base import Layers

T = TypeVar("T")


class LayerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What a build may take."""

    timeout_s: float = 600.0
    """How long the installer may run, in seconds."""
    size_bytes: int = 2 << 30
    """The size of all files of a layer."""
    at_once: int = 2
    """How many builds run at a time; more wait."""


class Built(msgspec.Struct, frozen=True, kw_only=True):
    """A layer that is there."""

    layer: LayerRef
    built: bool
    """Whether this call waited for an installer; false if the layer was there already."""
    seconds: float
    """How long it took."""


class LayerBuilder:
    """Builds and finds layers. A service. Folders are shared by all accounts, names (ARNs) are each account's own."""

    def __init__(self, layers: Layers, folder: Path, *, clock: Clock, limits: LayerLimits | None = None) -> None:
        self._layers = layers
        self._folders = folders.HashedFolders(folder)
        self._cache = Path(os.environ.get("UV_CACHE_DIR") or folder / ".cache")
        self._clock = clock
        self._limits = limits or LayerLimits()
        self._places = asyncio.Semaphore(self._limits.at_once)
        self._building: Shared[int] = Shared()
        self._running = False

    async def start(self) -> None:
        """Make the folder, and remove what a killed process left half made."""
        await self._thread(self._folders.prepare)
        self._running = True

    async def stop(self) -> None:
        """End the builds that run."""
        self._running = False
        await self._building.cancel()

    def path(self, digest: str) -> Path:
        """The folder of a layer: its `python/` belongs on the module path."""
        return self._folders.path(digest)

    async def build(self, text: str, *, interpreter: str, python_version: str, account_id: str, region: str) -> Built:
        """The layer of these requirements, built now if it is not there.

        `text`: a `requirements.txt`. `interpreter`: the Python that will import it. `InvalidArgument` says which line
        may not be there, or what the installer said; `EntityTooLarge`, `StorageFull`.
        """
        self._check_running()
        began_ns = self._clock.monotonic_ns()
        lines = requirements.parse(text)
        key = requirements.key(lines, python_version, _platform())
        found = await self._layers.get(f"{key}:{region}:{account_id}")
        there = await self._thread(self.path(key).is_dir)
        if found is None or not there:
            size_bytes = await self._building.run(key, partial(self._make, key, lines, interpreter))
            arn = f"acs:fc:{region}:{account_id}:layers/functory-deps-{key[:16]}/versions/1"
            found = LayerRef(arn=arn, digest=key, size_bytes=size_bytes)
            await self._layers.put(f"{key}:{region}:{account_id}", found)
        seconds = (self._clock.monotonic_ns() - began_ns) / 1e9
        return Built(layer=found, built=not there, seconds=seconds)

    def _check_running(self) -> None:
        if not self._running:
            raise errors.Unavailable("the layer builder is not running")

    async def _make(self, key: str, lines: tuple[str, ...], interpreter: str) -> int:
        """The size of the layer, which is there when this returns."""
        self._check_running()
        path = self.path(key)
        if await self._thread(path.is_dir):
            return await self._thread(partial(folders.size_bytes, path))
        async with self._places:
            made = self._folders.new()  # on the loop: it is short, and cancelling it in a thread would leave it behind
            try:
                await self._install(made, lines, interpreter)
                size_bytes = await self._thread(partial(self._settle, made))
                await self._thread(partial(self._folders.publish, made, key))
            except BaseException:
                await self._thread(partial(self._folders.drop, made))
                raise
        return size_bytes

    async def _install(self, made: Path, lines: tuple[str, ...], interpreter: str) -> None:
        target, wanted = made / "python", made / "requirements.txt"
        await self._thread(partial(_write, target, wanted, lines))
        if lines:
            arguments = installer.command(interpreter, target, wanted, self._cache)
            environ = installer.environment(os.environ)
            await installer.run(arguments, environ, clock=self._clock, timeout_s=self._limits.timeout_s)

    def _settle(self, made: Path) -> int:
        """Measure it, make it readable for all and durable."""
        for own in ("requirements.txt", "python/.lock", "python/.gitignore"):
            (made / own).unlink(missing_ok=True)  # the installer's, not the layer's
        size_bytes = folders.size_bytes(made)
        if size_bytes > self._limits.size_bytes:
            raise errors.EntityTooLarge(
                f"the requirements install {size_bytes} bytes: {self._limits.size_bytes} are allowed"
            )
        folders.make_readable(made)
        folders.sync_tree(made)
        return size_bytes

    async def _thread(self, work: Callable[[], T]) -> T:
        try:
            return await to_its_end(asyncio.to_thread(work))
        except OSError as failure:
            raise failures.of_os(failure, "the layer store") from failure


def _write(target: Path, wanted: Path, lines: tuple[str, ...]) -> None:
    target.mkdir()
    wanted.write_text("".join(f"{line}\n" for line in lines))


def _platform() -> str:
    """Wheels differ by machine and C library."""
    return "-".join((platform.system().lower(), platform.machine(), *platform.libc_ver()))
