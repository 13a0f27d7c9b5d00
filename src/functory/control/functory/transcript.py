"""The log of one request as the platform tells it: what was printed, between the platform's own lines.

    FC Invoke Start RequestId: X
    …
    FC Invoke End RequestId: X[, Error: Unhandled function error]
    Duration: 16.81 ms, Billed Duration: 17 ms, Memory Size: 128 MB, Max Memory Used: 52.32 MB

The platform's lines are made from the record when they are asked for; only what was printed is stored.
"""

from __future__ import annotations

from collections.abc import Sequence

from functory.model.invocation import Status
from functory.model.record import LogLines, Record

ERROR: dict[Status, str] = {
    Status.FUNCTION_ERROR: "Unhandled function error",
    Status.INIT_ERROR: "Function initialization error",
    Status.TIMEOUT: "Function timed out",
    Status.OUT_OF_MEMORY: "Function ran out of memory",
    Status.EXITED: "Process exited unexpectedly before completing request",
    Status.THROTTLED: "Throttled, the function did not run",
    Status.SYSTEM: "System error",
    Status.CANCELLED: "The caller went away",
}
"""What the end line says of each status that is not OK."""


def start_line(request_id: str) -> str:
    """The line before anything is printed."""
    return f"FC Invoke Start RequestId: {request_id}"


def end_line(request_id: str, status: Status) -> str:
    """The line after everything is printed."""
    tail = f", Error: {ERROR[status]}" if status in ERROR else ""
    return f"FC Invoke End RequestId: {request_id}{tail}"


def summary_line(record: Record) -> str:
    """What it took."""
    return (
        f"Duration: {record.duration_us / 1000:.2f} ms, Billed Duration: {record.billed_ms} ms, "
        f"Memory Size: {record.memory_limit_mb} MB, Max Memory Used: {record.memory_peak_bytes / (1 << 20):.2f} MB"
    )


def text(record: Record, printed: Sequence[LogLines]) -> str:
    """The whole log of one request, each line ended by a newline."""
    middle = b"".join(lines.text for lines in printed).decode("utf-8", "replace")
    if middle and not middle.endswith("\n"):
        middle += "\n"
    start, end = start_line(record.request_id), end_line(record.request_id, record.status)
    return f"{start}\n{middle}{end}\n{summary_line(record)}\n"
