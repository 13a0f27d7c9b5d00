"""The name of an image: where it lies, and which of those that lie there. Pure.

    HOST[:PORT]/REPOSITORY[:TAG][@sha256:DIGEST]    in a registry; without tag and digest `latest` is meant
    oci:PATH[:TAG]                                  a folder in the OCI layout
    oci-archive:PATH[:TAG]                          the same as a tar
    docker-archive:PATH[:NAME:TAG]                  what `docker save` writes

The host is always named: an image that comes from wherever a short name leads today is not what was tested.
"""

from __future__ import annotations

import re
from enum import StrEnum

import msgspec

from functory.model import errors

MAX_CHARS = 1024
_DIGEST = r"sha256:[0-9a-f]{64}"
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_REGISTRY = re.compile(
    r"(?P<host>(?:\[[0-9a-fA-F:]+\]|[A-Za-z0-9](?:[A-Za-z0-9.-]*[A-Za-z0-9])?)(?::[0-9]{1,5})?)"
    r"/(?P<repository>[a-z0-9]+(?:(?:[._]|__|-+|/)[a-z0-9]+)*)"
    rf"(?::(?P<tag>{_TAG.pattern}))?(?:@(?P<digest>{_DIGEST}))?"
)


class Kind(StrEnum):
    """Where an image lies."""

    REGISTRY = "registry"
    OCI = "oci"
    OCI_ARCHIVE = "oci-archive"
    DOCKER_ARCHIVE = "docker-archive"


class Reference(msgspec.Struct, frozen=True, kw_only=True):
    """An image's name, in parts."""

    kind: Kind
    path: str = ""
    """Of a folder or archive, absolute."""
    host: str = ""
    """Of a registry, with its port if it is not the usual one."""
    repository: str = ""
    tag: str = ""
    digest: str = ""
    """`sha256:…` of the manifest, if that is fixed."""

    def at(self, digest: str) -> str:
        """The name under which exactly this image is found: with the digest instead of a tag."""
        if self.kind is Kind.REGISTRY:
            return f"{self.host}/{self.repository}@{digest}"
        return f"{self.kind}:{self.path}@{digest}"


def parse(text: str) -> Reference:
    """The parts of a name; `InvalidArgument` says how names look."""
    if len(text) > MAX_CHARS or not text.isprintable():
        raise errors.InvalidArgument(f"image is not valid: at most {MAX_CHARS} printable characters")
    kind, colon, rest = text.partition(":")
    if colon and kind in set(Kind) - {Kind.REGISTRY}:
        return _local(Kind(kind), rest, text)
    found = _REGISTRY.fullmatch(text)
    # A first part without dot and port is the beginning of a repository's name in a registry that is not named.
    if found is None or not (set(found["host"]) & set(".:") or found["host"] == "localhost"):
        raise errors.InvalidArgument(
            f"image {text[:200]!r} is not valid: it must be HOST/NAME:TAG or HOST/NAME@sha256:…, "
            "oci:PATH, oci-archive:PATH or docker-archive:PATH"
        )
    digest = found["digest"] or ""
    tag = found["tag"] or ("" if digest else "latest")
    return Reference(
        kind=Kind.REGISTRY, host=found["host"].lower(), repository=found["repository"], tag=tag, digest=digest
    )


def _local(kind: Kind, rest: str, text: str) -> Reference:
    path, tag = rest, ""
    if kind is Kind.DOCKER_ARCHIVE:
        path, _, tag = rest.partition(":")
    else:
        front, colon, last = rest.rpartition(":")
        if colon and "/" not in last:
            path, tag = front, last
    if not path.startswith("/") or ".." in path.split("/"):
        raise errors.InvalidArgument(f"image {text[:200]!r} is not valid: the path must be absolute and without ..")
    if kind is not Kind.DOCKER_ARCHIVE and tag and not _TAG.fullmatch(tag):
        raise errors.InvalidArgument(f"image {text[:200]!r} is not valid: {tag[:80]!r} is no tag")
    return Reference(kind=kind, path=path, tag=tag)
