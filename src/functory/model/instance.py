"""The instance: one process tree that runs invocations of one function revision, and its life cycle."""

from __future__ import annotations

from enum import StrEnum
from typing import Literal

import msgspec

from functory.model.function import Function, HealthCheck
from functory.model.network import Policy


class InstanceState(StrEnum):
    """Where an instance stands.

    starting ──→ parked ──→ busy ⇄ idle ──→ standby ──→ paged out
        │  └───────│──────────│─────↑ ↑────────│────────────│       a call or an end thaws it
        │          ▼          ▼                ▼            ▼       a call goes to busy at once
        └──────────────→ stopping ──→ dead                          every state may go to dead
    """

    STARTING = "starting"  #: its process is being made, or loads the code
    PARKED = "parked"  #: ready, made ahead of need; nobody has called it yet
    IDLE = "idle"  #: may take an invocation
    STANDBY = "standby"  #: frozen: it takes no processor time, and a call thaws it
    PAGED_OUT = "paged_out"  #: frozen, and its memory is in swap
    BUSY = "busy"  #: runs as many invocations as it may, or at least one
    STOPPING = "stopping"  #: takes nothing new; runs its pre-stop hook and ends
    DEAD = "dead"  #: its process tree is gone


FROZEN = frozenset({InstanceState.STANDBY, InstanceState.PAGED_OUT})
"""States in which the tree is held still."""

MOVES: dict[InstanceState, frozenset[InstanceState]] = {
    InstanceState.STARTING: frozenset(
        {InstanceState.PARKED, InstanceState.IDLE, InstanceState.STOPPING, InstanceState.DEAD}
    ),
    InstanceState.PARKED: frozenset({InstanceState.BUSY, InstanceState.STOPPING, InstanceState.DEAD}),
    InstanceState.IDLE: frozenset(
        {InstanceState.BUSY, InstanceState.STANDBY, InstanceState.STOPPING, InstanceState.DEAD}
    ),
    InstanceState.STANDBY: frozenset(
        {
            InstanceState.BUSY,
            InstanceState.IDLE,
            InstanceState.PAGED_OUT,
            InstanceState.STOPPING,
            InstanceState.DEAD,
        }
    ),
    InstanceState.PAGED_OUT: frozenset(
        {InstanceState.BUSY, InstanceState.IDLE, InstanceState.STOPPING, InstanceState.DEAD}
    ),
    InstanceState.BUSY: frozenset({InstanceState.IDLE, InstanceState.STOPPING, InstanceState.DEAD}),
    InstanceState.STOPPING: frozenset({InstanceState.DEAD}),
    InstanceState.DEAD: frozenset(),
}


class Program(msgspec.Struct, frozen=True, kw_only=True):
    """A program of the function's own that serves its requests, by HTTP or over the runtime API."""

    command: tuple[str, ...]
    """What is run, in the code folder. `/code/` at the start of a word stands for that folder."""
    port: int = 0
    """Where it listens; 0 = where it is told to, by PORT and FC_CUSTOM_LISTEN_PORT."""
    serves_http: bool = True
    """Whether it may be an HTTP server; otherwise it asks for its requests over the runtime API."""
    health: HealthCheck | None = None
    well_known: int = 9000
    """Where it is found all the same if it listens there without asking."""


class RootImage(msgspec.Struct, frozen=True, kw_only=True):
    """What a container's instance has as its root instead of the machine's programs."""

    layers: tuple[str, ...]
    """The unpacked layers, the lowest first, absolute."""
    workdir: str = "/"
    """Where its program starts."""


NetworkMode = Literal["host", "none", "allow"]
"""What an instance can reach: all that the node can, nothing, or what its policy allows, through the node's relay."""


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
    cpu: float = 0
    """Share of processors, in vCPU; 0 = not bounded."""
    network: NetworkMode = "host"
    network_rules: str = ""
    """Of `allow`: the policy as packet rules for the kernel, in base64."""
    policy: Policy | None = None
    """Of `allow`: what the relay lets through. Stays in the node."""
    initializer: str = ""
    initializer_timeout_s: int = 3
    pre_stop: str = ""
    pre_stop_timeout_s: int = 3
    argv: tuple[str, ...] = ()
    """What takes the place of the process once it is locked in, for languages that a zygote cannot be forked for.
    It gets the spec as JSON on descriptor 5. Empty = the zygote's fork is the instance."""
    ahead: bool = False
    """The program of `argv` may be started before it is known for which function: it takes in the spec later."""
    program: Program | None = None
    """What the instance starts and speaks for, instead of calling a handler."""
    image: RootImage | None = None
    """The instance sees this instead of the machine's programs and its code."""
    reserve_mb: int = 0
    """Memory that the runtime maps beside what the function uses; comes on top of the limit per process."""
    start_timeout_s: int = 0
    """How long it may take to load the code; 0 = the node's setting."""
    template: bool = False
    """It loads the code and runs the initializer, and then is only forked: its children are instances."""
    context: dict[str, str] = {}
    """Constant fields of the handler's context: function name, region, account id, version, …"""
    credentials_until_ms: int = 0
    """When the temporary credentials in it end; 0 = it has none."""


class GroupFiles(msgspec.Struct, frozen=True, kw_only=True):
    """Files of the kernel by which an instance's control group is held still and looked at; empty = there is none."""

    freeze: str = ""
    """`cgroup.freeze` of version 2 or `freezer.state` of version 1."""
    memory: str = ""
    """`memory.current` or `memory.usage_in_bytes`: what the whole tree holds."""


class Gauges(msgspec.Struct, frozen=True, kw_only=True):
    """Where the kernel tells what an instance's whole tree uses: files of its control group."""

    cpu: str
    """Processor time so far: a number, or a line that begins with a name and a number."""
    cpu_unit: Literal["ns", "us"]
    memory: str
    """What is held now, in bytes."""
    peak: str
    """The most that was held; writing to it sets it back."""
    kills: str
    """Has a line `oom_kill` and how many were killed for want of memory."""


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
    oom_kills: int = 0
    """How many of its processes the kernel has killed for want of memory in its life, as far as that is known."""

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
