"""What an image says of itself: index, manifest and configuration, as OCI and Docker write them. Pure, all bounded."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Sequence
from typing import TypeVar

import msgspec

from functory.model import errors

MAX_BYTES = 4 << 20
"""The longest index, manifest or configuration; the official registries' limit."""
LAYERS_MAX = 127
_ENVIRONMENT_BYTES = 65536
_WORDS_BYTES = 65536
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")
_INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
_MANIFESTS = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
ACCEPT = ", ".join((*_MANIFESTS, *_INDEXES))
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
MACHINE = _MACHINES.get(os.uname().machine, os.uname().machine)

T = TypeVar("T")


class _Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A piece of an image's JSON; what is not named here is ignored."""


class Platform(_Part, frozen=True):
    """What an image runs on."""

    architecture: str = ""
    os: str = ""


class Descriptor(_Part, frozen=True):
    """What a piece of content is, and by which digest it is found."""

    digest: str
    size: int
    media_type: str = ""
    platform: Platform | None = None
    annotations: dict[str, str] | None = None

    @property
    def hex(self) -> str:
        """The SHA-256; `InvalidArgument` for another algorithm."""
        found = _DIGEST.fullmatch(self.digest)
        if found is None or self.size < 0:
            raise errors.InvalidArgument(f"the image names content {self.digest[:80]!r}: only sha256 is known")
        return found[1]


class Document(_Part, frozen=True):
    """An index (it lists manifests) or a manifest (it lists layers)."""

    schema_version: int = 2
    media_type: str = ""
    manifests: list[Descriptor] | None = None
    config: Descriptor | None = None
    layers: list[Descriptor] | None = None


class RunConfig(msgspec.Struct, frozen=True, kw_only=True, rename="pascal"):
    """How its program is started."""

    env: list[str] | None = None
    entrypoint: list[str] | None = None
    cmd: list[str] | None = None
    working_dir: str | None = None
    user: str | None = None


class RootFs(msgspec.Struct, frozen=True, kw_only=True):
    """Its layers, unpacked."""

    diff_ids: list[str] = []


class Config(_Part, frozen=True):
    """The configuration of an image."""

    architecture: str = ""
    os: str = ""
    config: RunConfig | None = None
    rootfs: RootFs = RootFs()


class Image(msgspec.Struct, frozen=True, kw_only=True):
    """An image that can be run: what the store keeps of it."""

    digest: str
    """`sha256:…` of its manifest; of its configuration for archives that have none."""
    layers: tuple[str, ...]
    """SHA-256 of each layer's tar in hex, the lowest first."""
    environment: dict[str, str] = {}
    entrypoint: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    workdir: str = "/"
    user: str = ""
    """As the image names it; instances have a user of their own."""
    size_bytes: int = 0
    """Of all files."""


def read(data: bytes, kind: type[T], what: str) -> T:
    """A JSON document; `InvalidArgument` says where it is not what it should be."""
    try:
        return msgspec.json.decode(data, type=kind)
    except (msgspec.DecodeError, UnicodeDecodeError) as wrong:
        raise errors.InvalidArgument(f"the image's {what} cannot be read: {wrong}") from None


def digest_of(data: bytes) -> str:
    """`sha256:…`."""
    return "sha256:" + hashlib.sha256(data).hexdigest()


def check_digest(data: bytes, digest: str, what: str) -> None:
    """`InvalidArgument` unless the data are what they are called by."""
    if digest_of(data) != digest:
        raise errors.InvalidArgument(f"the image's {what} is damaged: its digest is not {digest}")


def choose(manifests: Sequence[Descriptor]) -> Descriptor:
    """The manifest for this machine."""
    for one in manifests:
        if one.platform is not None and (one.platform.os, one.platform.architecture) == ("linux", MACHINE):
            return one
    plain = [one for one in manifests if one.platform is None]
    if len(plain) == 1 and len(manifests) == 1:
        return plain[0]
    there = ", ".join(sorted({f"{one.platform.os}/{one.platform.architecture}" for one in manifests if one.platform}))
    raise errors.InvalidArgument(
        f"the image is not there for linux/{MACHINE}" + (f", only for {there}" if there else "")
    )


def image(digest: str, config: Config) -> Image:
    """The image of this configuration; `InvalidArgument` says why it cannot be run here."""
    if (config.os or "linux") != "linux" or (config.architecture or MACHINE) != MACHINE:
        raise errors.InvalidArgument(f"the image is for {config.os}/{config.architecture}, not for linux/{MACHINE}")
    found = [_DIGEST.fullmatch(one) for one in config.rootfs.diff_ids]
    layers = tuple(one[1] for one in found if one is not None)
    if len(layers) != len(found) or not 0 < len(layers) <= LAYERS_MAX:
        raise errors.InvalidArgument(f"the image has {len(found)} layers: 1 to {LAYERS_MAX} with SHA-256 are allowed")
    run = config.config or RunConfig()
    return Image(
        digest=digest,
        layers=layers,
        environment=_environment(run.env or []),
        entrypoint=_words("Entrypoint", run.entrypoint),
        command=_words("Cmd", run.cmd),
        workdir=_workdir(run.working_dir or "/"),
        user=(run.user or "")[:256],
    )


def _environment(lines: list[str]) -> dict[str, str]:
    if sum(map(len, lines)) > _ENVIRONMENT_BYTES or any("\0" in line for line in lines):
        raise errors.InvalidArgument(f"the image's Env is not valid: at most {_ENVIRONMENT_BYTES} bytes, no NUL")
    return {name: value for name, _, value in (line.partition("=") for line in lines) if name}


def _words(field: str, given: list[str] | None) -> tuple[str, ...]:
    words = tuple(given or ())
    if sum(map(len, words)) > _WORDS_BYTES or any("\0" in word for word in words):
        raise errors.InvalidArgument(f"the image's {field} is not valid: at most {_WORDS_BYTES} bytes, no NUL")
    return words


def _workdir(path: str) -> str:
    if not path.startswith("/") or len(path) > 1024 or not path.isprintable() or ".." in path.split("/"):
        raise errors.InvalidArgument(f"the image's WorkingDir {path[:80]!r} is not valid: an absolute path without ..")
    return path
