"""What the node and the spawner say to each other: JSON, one message per datagram of a SEQPACKET socket.

    node → spawner    spawn (with three descriptors: request read end, reply write end, log write end) · kill · stop
    spawner → node    ready (once) · made (with the sockets of its network, if it is relayed) | failed (one per spawn)
                      · ended (one per made)

Both sides bound what they read; a datagram that cannot be read ends the connection, and with it all instances.
"""

from __future__ import annotations

import msgspec

from functory.model.instance import Exit, Gauges, GroupFiles, InstanceSpec

MESSAGE_BYTES = 1 << 18
"""The longest message either way; environments are limited to far less."""
SPAWN_FDS = 3
MADE_FDS = 6


class TierReport(msgspec.Struct, frozen=True, kw_only=True):
    """How strong the isolation is: said aloud at start, in /healthz and by `functory doctor`."""

    name: str
    """`A`, `A1`, `B`, `B0`, `C` or `D`."""
    summary: str
    """A sentence: what is shut off, and what is not."""
    missing: tuple[str, ...] = ()
    """What would make it better, one sentence each."""


class Spawn(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="spawn"):
    """Make an instance."""

    spec: InstanceSpec
    parent: str = ""
    """The template that it shall be a fork of, if that is still there."""


class Kill(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="kill"):
    """End an instance's tree now; harmless if it is gone."""

    id: str


class Stop(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="stop"):
    """End everything, tell every end, then end."""


class Ready(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="ready"):
    """Instances can be made."""

    tier: TierReport
    versions: dict[str, str]
    """Versions of the interpreters that were warmed up, by path."""
    failures: dict[str, str] = {}
    """Why the others could not be."""


class Made(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="made"):
    """The instance's process runs."""

    id: str
    pid: int
    files: GroupFiles = GroupFiles()
    """Where it can be frozen."""
    gauges: Gauges | None = None
    """Where its usage is told; None where it has no control group."""


class Failed(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="failed"):
    """The instance could not be made."""

    id: str
    reason: str


class Ended(msgspec.Struct, frozen=True, kw_only=True, tag_field="op", tag="ended"):
    """The instance's main process has ended and its tree is gone."""

    exit: Exit


Request = Spawn | Kill | Stop
Answer = Ready | Made | Failed | Ended

encode = msgspec.json.Encoder().encode
decode_request = msgspec.json.Decoder(Request).decode
decode_answer = msgspec.json.Decoder(Answer).decode
