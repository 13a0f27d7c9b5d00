"""One fact per invocation: `record` writes it; request list, logs, metrics and bill only read it."""

from __future__ import annotations

import msgspec

from functory.model.invocation import Kind, Status
from functory.model.usage import ColdStart, Mode


class Record(msgspec.Struct, frozen=True, array_like=True):
    """What one invocation was, used and cost. `array_like`: stored as a list, so fields are only ever appended."""

    request_id: str
    account_id: str
    function_name: str
    qualifier: str
    epoch: int
    kind: Kind
    started_at_ms: int
    """Wall clock at acceptance, in milliseconds since 1970."""
    status: Status
    error_type: str
    instance_id: str
    queued_us: int
    duration_us: int
    billed_ms: int
    """Its share of the time its instance was busy (alone: the duration), rounded up to a millisecond; 0 where nothing
    ran."""
    memory_limit_mb: int
    memory_peak_bytes: int
    cpu_us: int
    cold: ColdStart | None
    cost_nano_usd: int
    """Price by the rate card in force, in thousand-millionths of a US dollar."""
    payload_bytes: int = 0
    reply_bytes: int = 0
    trace_parent: str = ""
    mode: Mode = Mode.ON_DEMAND
    """Whose the instance was; what is paid for the time it stands ready is not in this record's cost."""
    oom_kills: int = 0
    """Processes of the function that the kernel killed for want of memory while it ran."""
    network_in_bytes: int = 0
    """What came through the node's relay; 0 where the instance shares the node's network."""
    network_out_bytes: int = 0


class LogLines(msgspec.Struct, frozen=True, array_like=True):
    """What one invocation printed."""

    request_id: str
    function_name: str
    at_ms: int
    text: bytes
    """Standard output and error as they came, at most the node's limit (head and tail are kept, the middle named)."""
    account_id: str = ""
