"""Images on this machine: a folder in the OCI layout, a tar of one, or what `docker save` writes.

Only what lies below folders that the operator names is read: whoever may deploy must not read the host's files so.
"""

from __future__ import annotations

import asyncio
import os
import stat
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

import msgspec

from functory.model import errors
from functory.runtimes.images import manifest, source, tar
from functory.runtimes.images.manifest import Config, Descriptor, Document
from functory.runtimes.images.reference import Kind, Reference
from functory.runtimes.images.source import Blob, Found

T = TypeVar("T")
_MEMBERS_MAX = 4096
_REF_NAME = "org.opencontainers.image.ref.name"


class _DockerImage(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """One image in a docker archive."""

    config: str
    repo_tags: list[str] | None = None
    layers: list[str] = []


class _Folder:
    """The files of a layout."""

    def __init__(self, root: str) -> None:
        self._root = root

    def find(self, name: str) -> tuple[str, int, int]:
        """Path, place and size of a file; FileNotFoundError."""
        path = os.path.realpath(os.path.join(self._root, name))
        if not path.startswith(self._root + os.sep):
            raise FileNotFoundError(2, "it leads out of the layout", name)
        return path, 0, _size(path)


class _Archive:
    """The files of a tar, found by reading its headers once."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._members: dict[str, tuple[int, int]] = {}
        _size(path)
        with open(path, "rb", buffering=1 << 16) as file:
            if file.read(2) == b"\x1f\x8b":
                raise errors.InvalidArgument(f"the archive {path} is packed by gzip: unpack it with gunzip first")
            file.seek(0)
            try:
                self._index(file.read)
            except tar.Broken as wrong:
                raise errors.InvalidArgument(f"the archive {path} cannot be read: {wrong}") from None

    def _index(self, read: Callable[[int], bytes]) -> None:
        for member in tar.Tar(read):
            if len(self._members) >= _MEMBERS_MAX:
                raise errors.InvalidArgument(f"the archive {self._path} holds more than {_MEMBERS_MAX} files")
            name = os.path.normpath(member.name)
            if member.kind == stat.S_IFREG:
                self._members[name] = (member.offset, member.size)
            elif member.kind in (stat.S_IFLNK, tar.HARD_LINK):  # older archives name a layer that two images share so
                base = os.path.dirname(name) if member.kind == stat.S_IFLNK else ""
                target = os.path.normpath(os.path.join(base, member.link))
                if target in self._members:
                    self._members[name] = self._members[target]

    def find(self, name: str) -> tuple[str, int, int]:
        """Path, place and size of a file; FileNotFoundError."""
        place = self._members.get(os.path.normpath(name))
        if place is None:
            raise FileNotFoundError(2, "it is not in the archive", name)
        return (self._path, *place)


class LocalSource:
    """`source.Source` for what lies on this machine."""

    def __init__(self, reference: Reference, allowed: Sequence[Path]) -> None:
        """`InvalidArgument` if the path is not below one of `allowed`."""
        self._reference = reference
        self._path = check(reference, allowed)
        self._files: _Folder | _Archive | None = None

    async def find(self) -> Found:
        """The image."""
        if self._reference.kind is Kind.DOCKER_ARCHIVE:
            return await self._thread(self._find_docker)
        data = await self._thread(lambda: self._read("index.json", manifest.MAX_BYTES))
        chosen = self._choose(manifest.read(data, Document, "index").manifests or [])

        async def read(descriptor: Descriptor, what: str) -> bytes:
            found = await self._thread(lambda: self._read(f"blobs/sha256/{descriptor.hex}", manifest.MAX_BYTES))
            manifest.check_digest(found, descriptor.digest, what)
            return found

        return await source.follow(chosen, await read(chosen, "manifest"), read, self._reference.at)

    async def fetch(self, packed: Descriptor, folder: Path) -> Blob:
        """The layer where it lies."""
        docker = self._reference.kind is Kind.DOCKER_ARCHIVE
        name = packed.digest if docker else f"blobs/sha256/{packed.hex}"
        path, offset, size = await self._thread(lambda: self._open().find(name))
        return Blob(path, offset, size, "" if docker else packed.hex)

    async def close(self) -> None:
        """Nothing is kept open."""

    def _choose(self, manifests: list[Descriptor]) -> Descriptor:
        tag = self._reference.tag
        if not tag:
            return manifests[0] if len(manifests) == 1 else manifest.choose(manifests)
        named = [one for one in manifests if (one.annotations or {}).get(_REF_NAME) == tag]
        if not named:
            raise errors.InvalidArgument(f"no image of {self._path} is tagged {tag}")
        return named[0] if len(named) == 1 else manifest.choose(named)

    def _find_docker(self) -> Found:
        images = manifest.read(self._read("manifest.json", manifest.MAX_BYTES), list[_DockerImage], "manifest")
        tag = self._reference.tag
        named = [one for one in images if not tag or tag in (one.repo_tags or [])]
        if len(named) != 1:
            there = ", ".join(name for one in images for name in one.repo_tags or [])[:500]
            raise errors.InvalidArgument(f"{self._path} holds {len(images)} images; name one of them: {there}")
        data = self._read(named[0].config, manifest.MAX_BYTES)
        found = manifest.image(manifest.digest_of(data), manifest.read(data, Config, "configuration"))
        if len(found.layers) != len(named[0].layers):
            raise errors.InvalidArgument("the archive's manifest and the image's configuration name different layers")
        packed = tuple(Descriptor(digest=name, size=0) for name in named[0].layers)
        return Found(found, self._reference.at(found.digest), packed)

    def _open(self) -> _Folder | _Archive:
        if self._files is None:
            self._files = _Folder(self._path) if self._reference.kind is Kind.OCI else _Archive(self._path)
        return self._files

    def _read(self, name: str, most: int) -> bytes:
        path, offset, size = self._open().find(name)
        if size > most:
            raise errors.InvalidArgument(f"{name} of the image has {size} bytes; {most} are allowed")
        with open(path, "rb") as file:
            file.seek(offset)
            return file.read(size)

    async def _thread(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.to_thread(work)
        except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError) as failure:
            missing = failure.filename or self._path
            raise errors.InvalidArgument(
                f"the image {self._reference.kind}:{self._path} cannot be read: {missing}: {failure.strerror}"
            ) from None


def check(reference: Reference, allowed: Sequence[Path]) -> str:
    """The real path of an image, if it is below one of the folders that images may be read from."""
    path = os.path.realpath(reference.path)
    roots = [os.path.realpath(folder) for folder in allowed]
    if not any(path.startswith(root + os.sep) for root in roots):
        raise errors.InvalidArgument(
            f"the image {reference.kind}:{reference.path} is not below a folder that images are read from: "
            f"{', '.join(roots) or 'there is none'}",
            hint="the setting image_folders names them",
        )
    return path


def _size(path: str) -> int:
    """Of a regular file: a pipe would hold the reader up."""
    found = os.stat(path)
    if not stat.S_ISREG(found.st_mode):
        raise FileNotFoundError(2, "it is no file", path)
    return found.st_size
