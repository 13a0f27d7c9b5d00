"""What a deploy file asks for, whatever its format: functions with all that stands around them, layers, domains.

`functory.toml`, `functory.yaml`, `s.yaml` and flags all become these values; `stack` compares them with a node.
Mappings called `fields` hold official fields in official words.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from functory.sdk.project import Project

NEWEST = "latest"
"""As the version of an alias: the newest that is published."""


class AliasWish(msgspec.Struct, frozen=True, kw_only=True):
    """A name for a version."""

    name: str
    version: str = NEWEST
    """A number, or `latest`: the newest version after this deployment."""
    weights: dict[str, float] | None = None
    """A second version and its share. None = what is there stays."""
    description: str | None = None


class ConfigWish(msgspec.Struct, frozen=True, kw_only=True):
    """One configuration around a function."""

    noun: str
    """async, concurrency, provision or scaling."""
    qualifier: str
    """LATEST, or the version or alias that it is for."""
    fields: dict[str, Any]


class Unit(msgspec.Struct, frozen=True, kw_only=True):
    """One function and what stands around it. None = nothing is said, and what is there stays."""

    project: Project
    source: Path | None
    """Its code; None = there is none: it runs an image."""
    requirements: Path | None = None
    """Its requirements file, if it is not `requirements.txt` beside the code."""
    publish: str | None = None
    """Publish a version if anything changed; the text is its description."""
    aliases: tuple[AliasWish, ...] = ()
    configs: tuple[ConfigWish, ...] = ()
    tags: dict[str, str] | None = None
    notes: tuple[str, ...] = ()
    """What of the file is not deployed, a sentence each."""


class LayerWish(msgspec.Struct, frozen=True, kw_only=True):
    """A layer; a new version is published when its files changed."""

    name: str
    source: Path
    runtimes: list[str] = msgspec.field(default_factory=list)
    description: str = ""
    license: str = ""


class DomainWish(msgspec.Struct, frozen=True, kw_only=True):
    """A custom domain."""

    name: str
    fields: dict[str, Any]
    """protocol, routeConfig, authConfig, certConfig, tlsConfig, corsConfig, as far as they are said."""
    share_of: str = ""
    """Only the routes of this function are meant: those of others, and what is not said, stay."""


class Stack(msgspec.Struct, frozen=True, kw_only=True):
    """All of a file."""

    units: tuple[Unit, ...]
    layers: tuple[LayerWish, ...] = ()
    domains: tuple[DomainWish, ...] = ()
    notes: tuple[str, ...] = ()
