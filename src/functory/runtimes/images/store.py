"""The images of a node: layers unpacked once and shared, and a record for each image that says what it is made of.

    pull   find → for each layer that is not there: fetch → unpack in a process of its own → rename → record, durable

    layers/<diff_id>/    a layer, shared by all images that have it
    known/<digest>.json  an image: its layers and how its program is started; written last
    pages/<digest>.json  what its starts read
    tmp/                 layers on their way here
    left/                what a killed process left half made, while it is removed

A kill between any two steps leaves no record, and layers that are whole; what lies about is removed at the next start.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeVar

import msgspec

from functory.blob import failures
from functory.model import errors
from functory.model.instance import RootImage
from functory.observe.logs import fields
from functory.runtimes import folders
from functory.runtimes.images.layer import LayerLimits
from functory.runtimes.images.manifest import Descriptor, Image
from functory.runtimes.images.source import Found, Source
from functory.runtimes.images.unpack import Done, Job
from functory.runtimes.shared import Shared, to_its_end

log = logging.getLogger("functory.images")
T = TypeVar("T")
_OUTPUT_BYTES = 1 << 16
_JSON = ".json"


class ImageLimits(msgspec.Struct, frozen=True, kw_only=True):
    """What an image may take."""

    unpacked_bytes: int = 10 << 30
    """All layers, unpacked."""
    files: int = 200_000
    """Of one layer."""
    pull_s: float = 600.0
    """How long it may take until an image is here."""
    at_once: int = 2
    """Layers that are unpacked at a time."""


class ImageStore:
    """Brings images here, once, and says where they lie. A Service."""

    def __init__(self, folder: Path, *, limits: ImageLimits, owner: int = -1) -> None:
        """`owner`: the user that files of images shall belong to if we may give them away, the one that is root in
        boxes. Who may not is an ordinary user, whose own they stay: in his boxes there is no other.
        """
        self._folder = folder
        self._layers = folders.HashedFolders(folder / "layers")
        self._known = folder / "known"
        self._tmp = folder / "tmp"
        self._left = folder / "left"
        self._clearing: asyncio.Task[None] | None = None
        self._limits = limits
        self._owner = owner
        self._images: dict[str, Image] = {}
        self._pulling: Shared[tuple[Image, str]] = Shared()
        self._unpacking: Shared[int] = Shared()
        self._places = asyncio.Semaphore(limits.at_once)
        self._sweeping = asyncio.Lock()
        """Held while layers are removed: a pull that begins meanwhile would count on one that goes."""
        self._young: set[str] = set()
        """Pulled since the last collection: the function that needs it may not be stored yet."""
        self._running = False

    async def start(self) -> None:
        """Removes what a killed process left half made, and reads what is there."""
        self._images = await self._thread(self._read_known)
        left = asyncio.to_thread(shutil.rmtree, self._left, ignore_errors=True)
        self._clearing = asyncio.get_running_loop().create_task(left, name="images left half made")
        self._running = True

    async def stop(self) -> None:
        """Ends what is on its way."""
        self._running = False
        await self._pulling.cancel()
        await self._unpacking.cancel()
        if self._clearing is not None:
            await asyncio.wait([self._clearing])

    def get(self, digest: str) -> Image | None:
        """An image that is here."""
        return self._images.get(digest)

    def all(self) -> list[Image]:
        """All that are here."""
        return list(self._images.values())

    def root(self, image: Image) -> RootImage:
        """Where its layers lie."""
        layers = tuple(str(self._layers.path(layer)) for layer in image.layers)
        return RootImage(layers=layers, workdir=image.workdir)

    def pages(self, digest: str) -> Path:
        """Where it is kept what starts of an image read."""
        return self._folder / "pages" / f"{digest.removeprefix('sha256:')}{_JSON}"

    async def pull(self, key: str, source: Source) -> tuple[Image, str]:
        """The image and its exact name, whole and durable when it is answered. `key`: the same for the same wish.

        `InvalidArgument` and `EntityTooLarge` say what is wrong with it, `Unavailable` that a retry may help.
        """
        if not self._running:
            raise errors.Unavailable("the image store is not running")
        return await self._pulling.run(key, partial(self._pull, source))

    async def _pull(self, source: Source) -> tuple[Image, str]:
        try:
            async with self._sweeping:
                pass
            async with asyncio.timeout(self._limits.pull_s):
                found = await source.find()
                self._young.add(found.image.digest)
                sizes = await self._bring(found, source)
        except TimeoutError:
            raise errors.Unavailable(f"the image was not here after {self._limits.pull_s:g} s") from None
        finally:
            await source.close()
        image = msgspec.structs.replace(found.image, size_bytes=sum(sizes))
        await self._thread(partial(self._write_known, image))
        self._images[image.digest] = image
        return image, found.resolved

    async def _bring(self, found: Found, source: Source) -> list[int]:
        """All layers, those that are missing one after another as they come."""
        sizes: list[int] = []
        for diff_id, packed in zip(found.image.layers, found.packed, strict=True):
            sizes.append(await self._unpacking.run(diff_id, partial(self._layer, diff_id, packed, source)))
            if sum(sizes) > self._limits.unpacked_bytes:
                raise errors.EntityTooLarge(
                    f"the image unpacks to more than {self._limits.unpacked_bytes} bytes, which are allowed"
                )
        return sizes

    async def _layer(self, diff_id: str, packed: Descriptor, source: Source) -> int:
        path = self._layers.path(diff_id)
        if await self._thread(path.is_dir):
            return await self._thread(partial(folders.size_bytes, path))
        async with self._places:
            where = await self._thread(partial(_own_folder, self._tmp, diff_id))
            made = self._layers.new()
            try:
                blob = await source.fetch(packed, where)
                limits = LayerLimits(unpacked_bytes=self._limits.unpacked_bytes, files=self._limits.files)
                job = Job(
                    path=blob.path,
                    offset=blob.offset,
                    size=blob.size,
                    digest=blob.digest,
                    diff_id=diff_id,
                    folder=str(made),
                    owner=self._owner,
                    limits=limits,
                )
                size_bytes = await _unpack(job)
                await self._thread(partial(self._layers.publish, made, diff_id))
            except BaseException:
                await self._thread(partial(self._layers.drop, made))
                raise
            finally:
                await self._thread(partial(shutil.rmtree, where, ignore_errors=True))
        return size_bytes

    # --- what is kept -------------------------------------------------------------------------------------------------

    def _read_known(self) -> dict[str, Image]:
        for folder in (self._folder, self._known, self._tmp, self._folder / "pages"):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._folder.chmod(0o700)  # what lies in layers may be changed by everybody who gets there: nobody does
        self._set_aside()
        self._tmp.mkdir(mode=0o700)
        if not _may_give(self._tmp, self._owner):
            self._owner = -1
        self._layers.prepare()
        there = self._layers.digests()
        images = {}
        for path in self._known.glob("*" + _JSON):
            try:
                image = msgspec.json.decode(path.read_bytes(), type=Image)
            except msgspec.DecodeError:
                image = None
            if image is not None and set(image.layers) <= there:
                images[image.digest] = image
            else:
                path.unlink()
        return images

    def _set_aside(self) -> None:
        """What is half made goes out of the way at once, and is removed while the node works: it may be much."""
        self._left.mkdir(mode=0o700, exist_ok=True)
        place = Path(tempfile.mkdtemp(dir=self._left))
        for number, path in enumerate([self._tmp, *(self._folder / "layers").glob(".making-*")]):
            path.rename(place / str(number))

    def _write_known(self, image: Image) -> None:
        folders.write_durably(
            self._known / f"{image.digest.removeprefix('sha256:')}{_JSON}", msgspec.json.encode(image)
        )

    async def collect(self, keep: set[str]) -> int:
        """Removes all images but `keep`, and layers that no image has; how many layers went.

        What was pulled since the last collection is spared once.
        """
        async with self._sweeping:
            gone = await self._sweep(keep)
        if gone:
            log.info("Layers that no function uses were removed", extra=fields("collect_images", layers=gone))
        return gone

    async def _sweep(self, keep: set[str]) -> int:
        spared = keep | self._young
        self._young = set()
        for digest in set(self._images) - spared:
            del self._images[digest]
            for path in (self._known / f"{digest.removeprefix('sha256:')}{_JSON}", self.pages(digest)):
                await self._thread(partial(path.unlink, missing_ok=True))
        if self._pulling.keys():
            return 0  # what is on its way may need a layer that nobody names yet
        needed = {layer for image in self._images.values() for layer in image.layers}
        gone = await self._thread(self._layers.digests) - needed
        for diff_id in gone:
            await self._thread(partial(self._layers.remove, diff_id))
        return len(gone)

    async def _thread(self, work: Callable[[], T]) -> T:
        try:
            return await to_its_end(asyncio.to_thread(work))
        except OSError as failure:
            raise failures.of_os(failure, "the image store") from failure


def _may_give(folder: Path, owner: int) -> bool:
    """Whether files can be given to `owner`, found out by doing it: user namespaces know few users."""
    probe = folder / "probe"
    probe.mkdir()
    try:
        os.chown(probe, owner, owner)
    except OSError:
        return False
    finally:
        probe.rmdir()
    return True


def _own_folder(above: Path, name: str) -> Path:
    path = above / name
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(mode=0o700)
    return path


async def _unpack(job: Job) -> int:
    """Runs the job in a process of its own; how many bytes its files have."""
    arguments = ("-I", "-m", "functory.runtimes.images.unpack", msgspec.json.encode(job).decode())
    child = await asyncio.create_subprocess_exec(
        sys.executable,
        *arguments,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        env={"PATH": os.defpath},
    )
    try:
        assert child.stdout is not None
        said = await child.stdout.read(_OUTPUT_BYTES)
        code = await child.wait()
    except BaseException:
        child.kill()
        await child.wait()
        raise
    if code or not said:
        raise errors.Unavailable(f"the process that unpacks layers ended with code {code}")
    done = msgspec.json.decode(said, type=Done)
    if done.code.startswith("OSError"):
        raise failures.of_os(OSError(int(done.code.split()[1]), done.message), "the image store")
    if done.code:
        kinds = {"EntityTooLarge": errors.EntityTooLarge, "Unavailable": errors.Unavailable}
        raise kinds.get(done.code, errors.InvalidArgument)(done.message)
    return done.size_bytes
