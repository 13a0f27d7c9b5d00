"""The function: what a user uploads, with its limits, as one frozen record."""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec


class Hook(msgspec.Struct, frozen=True, kw_only=True):
    """A life cycle hook of an instance (`instanceLifecycleConfig`)."""

    handler: str
    """`file.func`, called with the context only."""
    timeout_s: int = 3
    """How long it may run, in seconds (1-300)."""


class LayerRef(msgspec.Struct, frozen=True, kw_only=True):
    """A read-only folder that an instance sees under /opt."""

    arn: str
    """`acs:fc:{region}:{account}:layers/{name}/versions/{n}`."""
    digest: str
    """The content's name in the code store."""
    size_bytes: int = 0
    archive: bool = False
    """True: `digest` names a zip in the code store, uploaded as a layer version; False: a folder of installed
    requirements."""


class HealthCheck(msgspec.Struct, frozen=True, kw_only=True):
    """How a server says that it is well (`healthCheckConfig`)."""

    path: str
    """What is asked for by GET; an answer from 200 to 399 is a good one."""
    initial_delay_s: int = 0
    period_s: int = 3
    timeout_s: int = 1
    failure_threshold: int = 3
    """So many bad answers in a row are the end of the instance."""
    success_threshold: int = 1
    """So many good answers in a row are needed before the first request."""


class Custom(msgspec.Struct, frozen=True, kw_only=True):
    """How a function of a custom runtime is started (`customRuntimeConfig`)."""

    command: tuple[str, ...] = ()
    """Empty = the program `bootstrap` in the code."""
    args: tuple[str, ...] = ()
    port: int = 0
    """Where it listens, whatever it is told; 0 = where it is told to."""
    health: HealthCheck | None = None


class ImageState(StrEnum):
    """Whether a function's image is here.

    pulling ──→ ready | failed        a change of the image begins again
    """

    PULLING = "pulling"
    READY = "ready"
    FAILED = "failed"


class FunctionImage(msgspec.Struct, frozen=True, kw_only=True):
    """The image of a `custom-container` function, and how far it is."""

    reference: str
    """As it was given: a tag may mean another image tomorrow."""
    state: ImageState = ImageState.PULLING
    digest: str = ""
    """`sha256:…` of what instances run; set when it is ready."""
    resolved: str = ""
    """The name under which exactly this image is found (`resolvedImageUri`)."""
    reason: str = ""
    """Why it failed."""
    asked_epoch: int = 0
    """The revision that asked for it: what was asked for before does not count any more."""


class Restriction(msgspec.Struct, frozen=True, kw_only=True):
    """Why a function may not be invoked now (`invocationRestriction`)."""

    reason: str
    at_ms: int
    """When it was disabled."""


class Function(msgspec.Struct, frozen=True, kw_only=True):
    """A function as it stands at one revision.

    A change makes a new record with `epoch + 1`; the store writes it only if the stored epoch is the one that was read.
    Instances belong to one (name, epoch): after a change, old ones finish what they run and go.
    """

    account_id: str
    name: str
    function_id: str
    """Stays the same over all changes of one function; a function made anew under an old name has another."""
    runtime: str
    """The official runtime name, as given (`python3.10`, `custom`, …)."""
    handler: str
    """`file.func` for Python."""
    memory_mb: int = 512
    cpu: float = 0.35
    """Share of processors, in vCPU."""
    disk_mb: int = 512
    timeout_s: int = 3
    """The deadline of one invocation, in seconds from its start on an instance."""
    instance_concurrency: int = 1
    """How many invocations one instance may run at once."""
    idle_timeout_s: int = 0
    """How long an idle instance is kept, in seconds; 0 = the node's setting."""
    description: str = ""
    environment: dict[str, str] = {}
    layers: tuple[LayerRef, ...] = ()
    """Lower index wins where two layers hold the same path."""
    initializer: Hook | None = None
    pre_stop: Hook | None = None
    code_digest: str
    """SHA-256 (hex) of the zip: the code's name in the code store."""
    code_checksum: str
    """CRC-64/XZ (the API's "CRC-64/ECMA-182") of the zip as a decimal string: clients compare it to skip uploads."""
    code_size_bytes: int
    created_at_ms: int
    modified_at_ms: int
    epoch: int = 1
    """Counts changes; the fence of every compare-and-set."""
    custom: Custom | None = None
    """Only for custom runtimes."""
    note: str = ""
    """What the owner should know about how it runs here (`stateReason`)."""
    official: dict[str, Any] = {}
    """Official fields that this node keeps and answers but does not act on, as they were given."""
    role_id: str = ""
    """The role that its instances get credentials of; empty = none."""
    version: str = ""
    """The number of the published version that this frozen copy is; empty for LATEST, which changes."""
    restriction: Restriction | None = None
    """Set while no qualifier of the function may be invoked."""
    image: FunctionImage | None = None
    """Only for `custom-container`, which has no code."""
    standing: Function | None = None
    """The revision that calls go to until the image of this one is ready."""
    pool_id: str = ""
    """Whose instances run it: those of one function and version. Derived; a field, as every call asks for it."""

    def __post_init__(self) -> None:
        own = f"{self.function_id}@{self.version}" if self.version else self.function_id
        msgspec.structs.force_setattr(self, "pool_id", own)

    @property
    def runs(self) -> Function | None:
        """The revision that calls go to: this one, once its image is here; else the one before, if there is any."""
        if self.image is None or self.image.state is ImageState.READY:
            return self
        return self.standing

    @property
    def key(self) -> tuple[str, str, int]:
        """What instances and routes belong to."""
        return (self.account_id, self.name, self.epoch)
