"""What the control API works with, handed to it by the node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from functory.clock import Clock
from functory.model.account import AccessKey
from functory.model.function import Function, LayerRef
from functory.model.instance import InstanceView
from functory.store.base import Store
from functory.web.links import Links
from functory.web.nonces import Nonces
from functory.web.tokens import CallTokens


class Code(Protocol):
    """What the code store says about an archive it holds."""

    @property
    def digest(self) -> str:
        """SHA-256 of the zip, in hex: its name."""

    @property
    def checksum(self) -> str:
        """CRC-64 of the zip as a decimal string."""

    @property
    def size_bytes(self) -> int:
        """Size of the zip."""


class CodeStore(Protocol):
    """Keeps uploaded archives."""

    async def add(self, zip_bytes: bytes, *, checksum: str | None = None) -> Code:
        """Checks the archive and returns once it is durable; `InvalidArgument` says what is wrong with it."""

    async def zip(self, digest: str) -> bytes:
        """The archive's bytes; `StorageCorrupt` if it is lost or damaged."""


class Built(Protocol):
    """A layer of dependencies that can be used."""

    @property
    def layer(self) -> LayerRef:
        """The layer."""

    @property
    def built(self) -> bool:
        """False if it stood already."""

    @property
    def seconds(self) -> float:
        """How long it took."""


class LayerBuilder(Protocol):
    """Installs requirements once per hash."""

    async def build(self, requirements: str, runtime: str) -> Built:
        """The layer for this text of requirements; `InvalidArgument` with the installer's words if it fails."""


ResolveRuntime = Callable[[str], tuple[str, str, str]]
"""Interpreter, version and a note for the owner, for a runtime's name; `InvalidArgument` if this node has none."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """Bounds of requests."""

    body_bytes: int = 1 << 20
    """The longest body of a call that carries no code."""
    code_body_bytes: int = 70 << 20
    """The longest body of CreateFunction and UpdateFunction: base64 makes 50 MB of code 67 MB."""
    code_link_s: int = 600
    """How long the link to a function's code can be used."""
    update_tries: int = 16
    """How often an update that lost a race is tried again."""


@dataclass(frozen=True, kw_only=True)
class ControlParts:
    """The collaborators of the control API. Callables are called on the loop's thread."""

    store: Store
    code: CodeStore
    layers: LayerBuilder
    runtimes: ResolveRuntime
    clock: Clock
    new_request_id: Callable[[], str]
    keys: Callable[[str], AccessKey | None]
    nonces: Nonces
    tokens: CallTokens
    links: Links
    region: str
    base_url: Callable[[], str]
    """`http://host:port` as clients reach this node, without a slash at the end."""
    instances: Callable[[str, str], Sequence[InstanceView]]
    """The instances of a function, by account and name."""
    node_info: Callable[[], dict[str, Any]]
    """What `/functory/v1/node` answers; `version` and `tier` are also told by `/healthz`."""
    on_function_changed: Callable[[Function], None]
    """Told after a revision is committed, before the answer. Two changes may be told in either order: look at epoch."""
    on_function_deleted: Callable[[Function], None]
    limits: Limits = field(default_factory=Limits)
