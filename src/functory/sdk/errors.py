"""Everything the client raises.

SdkError
├── ApiError                the node answered, and refused
├── ConnectionFailed        no answer came
├── CredentialsNotFound     nothing says where the node is, or with which keys to call it
├── PackageError            the code cannot be packed as it is
└── ProjectError            functory.toml, or the folder beside it, does not describe a function
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable

import msgspec


class SdkError(Exception):
    """A call could not be made. `hint` says what to do, or is empty."""

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ApiError(SdkError):
    """The node refused the call."""

    def __init__(self, status: int, code: str, message: str, request_id: str = "", *, retry_after_ms: int = 0) -> None:
        super().__init__(message)
        #: HTTP status.
        self.status = status
        #: The official error code, such as `FunctionNotFound`.
        self.code = code
        self.request_id = request_id
        #: How long to wait before the same call may succeed, in milliseconds; 0 = nothing was said.
        self.retry_after_ms = retry_after_ms

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


class ConnectionFailed(SdkError):
    """The node could not be reached, or stopped answering in between."""


class CredentialsNotFound(SdkError):
    """No endpoint or no access key was found, or half of a pair."""


class PackageError(SdkError):
    """The code cannot be packed as it is."""


class ProjectError(SdkError):
    """The folder does not describe a function."""


class ImageError(SdkError):
    """The function is there, but the image it shall run is not."""


class _Problem(msgspec.Struct):
    """An error body, as every official API answers it."""

    Code: str = ""
    Message: str = ""
    RequestId: str = ""


def from_answer(status: int, headers: dict[str, str], body: bytes) -> ApiError:
    """The error that an answer with a status of 400 or more stands for. `headers` have lower-case names."""
    try:
        problem = msgspec.json.decode(body, type=_Problem)
    except msgspec.MsgspecError:
        problem = _Problem()
    code = problem.Code or "HTTP" + str(status)
    message = problem.Message or body[:200].decode("utf-8", "replace").strip() or "the node gave no reason"
    request_id = problem.RequestId or headers.get("x-fc-request-id", "")
    return ApiError(status, code, message, request_id, retry_after_ms=_retry_after_ms(headers))


def _retry_after_ms(headers: dict[str, str]) -> int:
    for name, unit_ms in (("x-acs-retry-after", 1), ("retry-after", 1000)):
        value = headers.get(name, "")
        if value.isascii() and value.isdigit():
            return int(value) * unit_ms
    return 0


def nearest(name: str, known: Iterable[str]) -> str:
    """What to say to who wrote a name that there is not: the one that was probably meant, or all there are."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=1)
    return f"the nearest one is {near[0]!r}" if near else f"there are {', '.join(names)}"
