"""The instance: one process tree that runs invocations of one function revision, and its life cycle."""

from __future__ import annotations

from enum import StrEnum

import msgspec

from functory.model.function import Function


class InstanceState(StrEnum):
    """Where an instance stands. `parked`, `standby` and the paged-out state belong to templates and freezing.

    starting ──→ idle ⇄ busy
        │          │      │
        │          ▼      ▼
        └──────→ stopping ──→ dead        every state may go to dead
    """

    STARTING = "starting"  #: its process is being made, or loads the code
    IDLE = "idle"  #: may take an invocation
    BUSY = "busy"  #: runs as many invocations as it may, or at least one
    STOPPING = "stopping"  #: takes nothing new; runs its pre-stop hook and ends
    DEAD = "dead"  #: its process tree is gone


MOVES: dict[InstanceState, frozenset[InstanceState]] = {
    InstanceState.STARTING: frozenset({InstanceState.IDLE, InstanceState.STOPPING, InstanceState.DEAD}),
    InstanceState.IDLE: frozenset({InstanceState.BUSY, InstanceState.STOPPING, InstanceState.DEAD}),
    InstanceState.BUSY: frozenset({InstanceState.IDLE, InstanceState.STOPPING, InstanceState.DEAD}),
    InstanceState.STOPPING: frozenset({InstanceState.DEAD}),
    InstanceState.DEAD: frozenset(),
}


class InstanceSpec(msgspec.Struct, frozen=True, kw_only=True):
    """All that is needed to make an instance; travels to the spawner as JSON."""

    instance_id: str
    """`c-` and 24 hex digits."""
    runtime: str
    """Which zygote: the interpreter's path for Python."""
    handler: str
    code_dir: str
    """The unpacked code, read-only, absolute."""
    layer_dirs: tuple[str, ...] = ()
    environment: dict[str, str]
    """Complete: nothing is inherited from the node."""
    concurrency: int = 1
    memory_mb: int
    disk_mb: int = 512
    initializer: str = ""
    initializer_timeout_s: int = 3
    pre_stop: str = ""
    pre_stop_timeout_s: int = 3
    context: dict[str, str] = {}
    """Constant fields of the handler's context: function name, region, account id, version, …"""


class Exit(msgspec.Struct, frozen=True, kw_only=True):
    """How an instance's main process ended."""

    instance_id: str
    code: int = 0
    """Exit code, 0-255; 0 if a signal ended it."""
    signal: int = 0
    """The signal that ended it, or 0."""
    killed: bool = False
    """It was killed on the node's wish."""
    out_of_memory: bool = False

    def describe(self) -> str:
        """`exit code 3`, or `signal 11`."""
        return f"signal {self.signal}" if self.signal else f"exit code {self.code}"


class InstanceView(msgspec.Struct, frozen=True, kw_only=True):
    """An instance as lists show it."""

    instance_id: str
    function: Function
    state: InstanceState
    busy: int
    created_at_ms: int
    served: int
    pid: int
