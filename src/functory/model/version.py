"""Versions and aliases: frozen copies of a function, and names for them."""

from __future__ import annotations

import hashlib
import re

import msgspec

from functory.model import errors, ids
from functory.model.function import Function, FunctionImage

ALIAS_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,127}")
VERSION_ID = re.compile(r"[1-9][0-9]{0,8}", re.ASCII)
LATEST_VERSION = "0"
"""What the official answers call LATEST where a version's number is expected."""


class Version(msgspec.Struct, frozen=True, kw_only=True):
    """A published version: never changed; its number is never given again to another copy of the same function."""

    function: Function
    """The function as it stood, with `version` set."""
    description: str = ""
    created_at_ms: int

    @property
    def number(self) -> int:
        """1, 2, 3, …"""
        return int(self.function.version)


class Alias(msgspec.Struct, frozen=True, kw_only=True):
    """A name for a version, of which a second one may take a share of the calls."""

    account_id: str
    function_name: str
    name: str
    version: str
    """The version that takes what `extra_version` does not."""
    extra_version: str = ""
    """The canary; empty = none."""
    extra_weight: float = 0.0
    """Its share of the calls, 0 to 1."""
    description: str = ""
    created_at_ms: int
    modified_at_ms: int
    epoch: int = 1
    """Counts changes; the fence of a compare-and-set and the alias's ETag."""


def content(function: Function) -> Function:
    """What makes two revisions the same to those who call: all but when, how often and why it was changed."""
    dull = {"epoch": 1, "modified_at_ms": 0, "version": "", "note": "", "restriction": None, "standing": None}
    return msgspec.structs.replace(function, image=_image(function), **dull)


def _image(function: Function) -> FunctionImage | None:
    """What is run, not how it was named or when it was looked up."""
    return FunctionImage(reference="", digest=function.image.digest) if function.image is not None else None


def runs_alike(one: Function, other: Function) -> bool:
    """Whether instances of `one` may serve `other`: they differ at most in what no instance sees."""
    return _seen(one) == _seen(other) and one.restriction == other.restriction


def _seen(function: Function) -> Function:
    official = {name: value for name, value in function.official.items() if name not in ("tags", "resourceGroupId")}
    return msgspec.structs.replace(content(function), description="", official=official)


def check_alias_name(name: object) -> str:
    """The name, if it is 1-128 characters of `A-Za-z0-9_-`, does not start with a digit or hyphen and is not LATEST."""
    if not isinstance(name, str) or not ALIAS_NAME.fullmatch(name) or name == ids.LATEST:
        shown = repr(name[:80] if isinstance(name, str) else name)
        raise errors.InvalidArgument(
            f"aliasName {shown} is not valid: 1-128 letters, digits, '_' or '-', not starting with a digit or '-', "
            "and not LATEST"
        )
    return name


def check_version_id(version: str) -> str:
    """The number in words, if versions are numbered so; `VersionNotFound`, as there can be none, else."""
    if not VERSION_ID.fullmatch(version):
        raise errors.VersionNotFound(f"version '{version[:64]}' does not exist: versions are numbered 1, 2, 3, …")
    return version


def share_of(key: bytes) -> float:
    """Where a sticky key falls between 0 and 1: always at the same place, spread evenly over all keys."""
    return int.from_bytes(hashlib.blake2s(key, digest_size=6).digest(), "big") / (1 << 48)
