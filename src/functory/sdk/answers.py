"""What the node answers about itself and to calls, as typed values; the answers about a noun stand in that noun's file.

Fields that a newer node adds are ignored; lists are never None.
"""

from __future__ import annotations

from typing import Any

import msgspec


class Answer(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """A JSON object of the API: `code_size` here is `codeSize` there."""

    def to_json(self) -> bytes:
        """As the API writes it."""
        return msgspec.json.encode(self)


class BuiltLayer(Answer, frozen=True, kw_only=True):
    """A layer of dependencies."""

    arn: str
    digest: str = ""
    size_bytes: int = 0
    built: bool = False
    """It was installed by this call; false = it was there already."""
    seconds: float = 0


class Token(Answer, frozen=True, kw_only=True):
    """A call token: sent as `Authorization: Bearer TOKEN`."""

    token: str
    expires_at_ms: int


class Tier(Answer, frozen=True, kw_only=True):
    """How strong the isolation of instances is."""

    name: str = ""
    summary: str = ""
    missing: list[str] = []


class Health(Answer, frozen=True, kw_only=True):
    """What `/healthz` answers, without a signature."""

    status: str = ""
    version: str = ""
    tier: Tier = Tier()
    at_s: int = 0
    """The node's clock, in seconds since 1970, as the answer's request id says; 0 if it had none."""


class Runtime(Answer, frozen=True, kw_only=True):
    """A language runtime of the node."""

    name: str
    interpreter: str = ""
    version: str = ""
    note: str = ""
    """What is special about it, or why it cannot be used."""


class InstanceCounts(Answer, frozen=True, kw_only=True):
    """Instances on the node now."""

    alive: int = 0
    busy: int = 0
    starting: int = 0
    parked: int = 0
    standby: int = 0
    """Frozen; among the alive."""
    paged_out: int = 0
    """Of those, in swap."""
    held_bytes: int = 0
    """Memory of all."""


class Templates(Answer, frozen=True, kw_only=True):
    """What functions that are loaded once and copied hold."""

    ready: int = 0
    memory_bytes: int = 0


class NetworkCounts(Answer, frozen=True, kw_only=True):
    """What the relay has done since the node's start."""

    instances: int = 0
    """Attached now."""
    bytes_in: int = 0
    bytes_out: int = 0
    denied: int = 0
    """Destinations refused."""


class Node(Answer, frozen=True, kw_only=True):
    """The node."""

    version: str = ""
    region: str = ""
    account_id: str = ""
    tier: Tier = Tier()
    uptime_s: float = 0
    instances: InstanceCounts = InstanceCounts()
    templates: Templates = Templates()
    network: NetworkCounts = NetworkCounts()
    paging_out: str = ""
    """`on`, or why frozen instances are not moved to swap."""
    runtimes: list[Runtime] = []
    limits: dict[str, Any] = {}


class Invoked(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of one call. A function that failed is an answer too: `error_type` is set then."""

    status: int
    """HTTP status."""
    payload: bytes
    request_id: str = ""
    duration_ms: float = 0
    memory_mb: float = 0
    """The instance's peak memory, in MB."""
    error_type: str = ""
    """Empty if the function succeeded."""
    log_tail: bytes = b""
    """The last 4 KB of what it printed, if asked for."""
    instance_id: str = ""

    @property
    def failed(self) -> bool:
        """The function itself failed."""
        return bool(self.error_type)
