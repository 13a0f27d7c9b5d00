"""What an invocation's log looks like: the official lines around what it printed. Pure text.

`FC Invoke Start RequestId: X`, the output, `FC Invoke End RequestId: X[, Error: …]`, and the summary
`Duration: 16.81 ms, Billed Duration: 17 ms, Memory Size: 128 MB, Max Memory Used: 52.32 MB`.
"""

from __future__ import annotations

TAIL_BYTES = 4096
"""What `x-fc-log-result` carries: the last 4 KB."""

_UNHANDLED = "Unhandled function error"


def render(
    request_id: str,
    printed: bytes,
    *,
    error_type: str,
    cold: bool,
    duration_us: int,
    billed_ms: int,
    memory_mb: int,
    peak_bytes: int,
) -> bytes:
    """The whole log of one invocation."""
    name = request_id.encode()
    lines: list[bytes] = []
    if cold:
        lines += [b"FC Initialize Start RequestId: %b\n" % name, b"FC Initialize End RequestId: %b\n" % name]
    lines.append(b"FC Invoke Start RequestId: %b\n" % name)
    if printed:
        lines.append(printed if printed.endswith(b"\n") else printed + b"\n")
    error = ""
    if error_type:
        error = f", Error: {_UNHANDLED if error_type == 'UnhandledInvocationError' else error_type}"
    lines.append(b"FC Invoke End RequestId: %b%b\n\n" % (name, error.encode()))
    lines.append(
        b"Duration: %.2f ms, Billed Duration: %d ms, Memory Size: %d MB, Max Memory Used: %.2f MB\n"
        % (duration_us / 1000, billed_ms, memory_mb, peak_bytes / 1048576)
    )
    return b"".join(lines)
