"""Seam: where an image comes from. A source finds the image once, then hands out its layers as parts of files."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple, Protocol

from functory.model import errors
from functory.runtimes.images import manifest
from functory.runtimes.images.manifest import Config, Descriptor, Document, Image


class Blob(NamedTuple):
    """A packed layer: a part of a file."""

    path: str
    offset: int
    size: int
    digest: str
    """SHA-256 in hex; empty where nothing says it."""


class Found(NamedTuple):
    """An image that is there, and how its layers are called by its source."""

    image: Image
    resolved: str
    """The name by which exactly this image is found again."""
    packed: tuple[Descriptor, ...]
    """One for each layer of the image; names are the source's own."""


class Source(Protocol):
    """One place in which to look for one image."""

    async def find(self) -> Found:
        """The image; `InvalidArgument` if there is none, or none that can be run; `Unavailable` if a retry may help."""

    async def fetch(self, packed: Descriptor, folder: Path) -> Blob:
        """A layer, in `folder` if it has to be brought here. Its digest is checked when it is unpacked."""

    async def close(self) -> None:
        """No more is asked of it."""


Read = Callable[[Descriptor, str], Awaitable[bytes]]
"""A small document by its descriptor, checked; the text says what it is."""


async def follow(descriptor: Descriptor, data: bytes, read: Read, name: Callable[[str], str]) -> Found:
    """From an index or manifest to the image of this machine. `name`: the image's own name, by a digest."""
    document = manifest.read(data, Document, "manifest")
    if document.manifests is not None:
        descriptor = manifest.choose(document.manifests)
        document = manifest.read(await read(descriptor, "manifest"), Document, "manifest")
    if document.config is None or document.layers is None:
        raise errors.InvalidArgument("the image's manifest names no configuration or no layers: is it an image at all?")
    config = manifest.read(await read(document.config, "configuration"), Config, "configuration")
    found = manifest.image(descriptor.digest, config)
    if len(found.layers) != len(document.layers):
        raise errors.InvalidArgument(
            f"the image's manifest has {len(document.layers)} layers, its configuration {len(found.layers)}"
        )
    return Found(found, name(descriptor.digest), tuple(document.layers))
