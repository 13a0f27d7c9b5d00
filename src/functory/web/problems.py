"""The one table from the error tree to HTTP: every error that leaves this node is made here.

The body is `{"Code", "Message", "RequestId"}`. Of an error that is not ours nothing is told but its request id; the
log has the rest.
"""

from __future__ import annotations

import logging

import msgspec

from functory.model import errors
from functory.observe import logs

log = logging.getLogger("functory.web")

Headers = list[tuple[bytes, bytes]]

STATUS: dict[type[errors.FunctoryError], int] = {
    errors.RequestError: 400,
    errors.MethodNotAllowed: 405,
    errors.Denied: 403,
    errors.NotFound: 404,
    errors.Conflict: 409,
    errors.PreconditionFailed: 412,
    errors.Throttled: 429,
    errors.SystemFault: 500,
    errors.Unavailable: 503,
    errors.StorageFull: 503,
    errors.FunctoryError: 500,
}
"""HTTP status of a class and of those below it that are not named themselves."""

MAX_MESSAGE_CHARS = 2000

_UNKNOWN = "an unexpected error happened; the node's log has it under this request id"


class Problem(msgspec.Struct, frozen=True, rename="pascal"):
    """An error as clients see it."""

    code: str
    message: str
    request_id: str


def status_of(error: BaseException) -> int:
    """The HTTP status that `error` answers with."""
    for cls in type(error).__mro__:
        if cls in STATUS:
            return STATUS[cls]
    return 500


def code_of(error: BaseException) -> str:
    """The code that `error` answers with."""
    return error.code if isinstance(error, errors.FunctoryError) else errors.FunctoryError.code


def problem(error: BaseException, request_id: str) -> tuple[int, Headers, bytes]:
    """Status, headers (with the request id) and body that tell `error` to a client. Logs what is ours to repair."""
    status = status_of(error)
    if isinstance(error, errors.FunctoryError):
        code, message = error.code, str(error)[:MAX_MESSAGE_CHARS]
    else:
        code, message = errors.FunctoryError.code, _UNKNOWN
    if status >= 500:
        _log_fault(error, request_id, code)
    body = msgspec.json.encode(Problem(code, message, request_id))
    headers = [(b"content-type", b"application/json"), *id_headers(request_id)]
    headers.append((b"content-length", b"%d" % len(body)))
    if isinstance(error, errors.Throttled):
        # The second one, in milliseconds, makes the official SDKs raise their throttling exception.
        headers.append((b"retry-after", b"%d" % max(1, -(-error.retry_after_ms // 1000))))
        headers.append((b"x-acs-retry-after", b"%d" % max(1, error.retry_after_ms)))
    return status, headers, body


def id_headers(request_id: str) -> Headers:
    """The request id as every answer carries it, under both names that clients read."""
    value = request_id.encode("latin-1")
    return [(b"x-fc-request-id", value), (b"x-acs-request-id", value)]


def _log_fault(error: BaseException, request_id: str, code: str) -> None:
    extra = logs.fields("answer_fault", request_id=request_id, code=code)
    if isinstance(error, errors.FunctoryError) and error.__cause__ is None:
        log.warning("A request failed: %s", error, extra=extra)
    else:
        log.error("A request failed unexpectedly", exc_info=error, extra=extra)
