"""Failures of an instance in the words of the official API: status, `x-fc-error-type` and the error JSON.

The types are those of the runtime contract (`x-fc-error-type`); the JSON is `{errorMessage, errorType, stackTrace}`.
"""

from __future__ import annotations

import msgspec

from functory.model.instance import Exit
from functory.model.invocation import Outcome, Status
from functory.runtimes.wire import ErrorCode

ERROR_TYPE: dict[Status, str] = {
    Status.FUNCTION_ERROR: "UnhandledInvocationError",
    Status.INIT_ERROR: "InitializationError",
    Status.TIMEOUT: "FunctionTimeout",
    Status.OUT_OF_MEMORY: "FunctionResourceExhausted",
    Status.EXITED: "UnhandledInvocationError",
}

BY_CODE: dict[int, tuple[Status, str]] = {
    ErrorCode.HANDLER: (Status.INIT_ERROR, "FunctionNotStarted"),
    ErrorCode.UNHANDLED: (Status.FUNCTION_ERROR, "UnhandledInvocationError"),
    ErrorCode.INIT: (Status.INIT_ERROR, "InitializationError"),
    ErrorCode.MEMORY: (Status.OUT_OF_MEMORY, "FunctionResourceExhausted"),
    ErrorCode.TOO_LARGE: (Status.FUNCTION_ERROR, "UnhandledInvocationError"),
    ErrorCode.HANDLED: (Status.FUNCTION_ERROR, "HandledInvocationError"),
}


class StartFailed(Exception):
    """An instance could not be brought to its first request; carries the outcome for whoever waited for it."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome.error_type or outcome.message)
        self.outcome = outcome


def error_json(message: str, error_type: str) -> bytes:
    """The error JSON of a failure that the platform noticed, not the function."""
    return msgspec.json.encode({"errorMessage": message, "errorType": error_type, "stackTrace": []})


def timed_out(timeout_ms: int) -> Outcome:
    """The deadline passed."""
    seconds = f"{timeout_ms / 1000:g}"
    return Outcome(
        status=Status.TIMEOUT,
        error_type=ERROR_TYPE[Status.TIMEOUT],
        payload=error_json(f"Function timed out after {seconds} seconds (maximum: {seconds} s)", "FunctionTimeout"),
    )


def exited(exit_: Exit | None, *, lasted_ns: int, peak_bytes: int, memory_mb: int) -> Outcome:
    """The process ended before it answered."""
    facts = f"duration: {lasted_ns // 1_000_000}ms, maxMemoryUsage: {peak_bytes / 1048576:.2f}MB"
    if exit_ is not None and exit_.out_of_memory:
        return Outcome(
            status=Status.OUT_OF_MEMORY,
            error_type=ERROR_TYPE[Status.OUT_OF_MEMORY],
            payload=error_json(f"Function used more than its memory limit of {memory_mb} MB ({facts})", "OutOfMemory"),
        )
    how = f" with {exit_.describe()}" if exit_ is not None else ""
    return Outcome(
        status=Status.EXITED,
        error_type=ERROR_TYPE[Status.EXITED],
        payload=error_json(f"Process exited unexpectedly{how} before completing request ({facts})", "ProcessExited"),
    )


def killed_processes(count: int, memory_mb: int) -> bytes:
    """The line in the log of a call that lived on while processes of its function were killed."""
    what = "A process" if count == 1 else f"{count} processes"
    return f"{what} of the function ended by the kernel: out of memory (limit {memory_mb} MB)\n".encode()


def broke_protocol(what: str) -> Outcome:
    """The instance sent something that the runtime never sends."""
    return Outcome(
        status=Status.EXITED,
        error_type=ERROR_TYPE[Status.EXITED],
        payload=error_json(
            f"The function wrote to the runtime's own channel ({what}); its instance was ended", "ProtocolBroken"
        ),
    )


def start_timed_out(limit_s: float) -> Outcome:
    """Loading the code or the initializer took too long."""
    return Outcome(
        status=Status.INIT_ERROR,
        error_type=ERROR_TYPE[Status.INIT_ERROR],
        payload=error_json(
            f"The function's code and initializer were not ready after {limit_s:g} seconds", "InitializationTimeout"
        ),
    )


def system(message: str, *, retry_after_ms: int = 1000) -> Outcome:
    """Functory failed."""
    return Outcome(status=Status.SYSTEM, message=message, retry_after_ms=retry_after_ms)


def throttled(message: str, *, retry_after_ms: int = 1000) -> Outcome:
    """A limit is reached."""
    return Outcome(status=Status.THROTTLED, message=message, retry_after_ms=retry_after_ms)
