"""`x-fc-invocation-type: Async`: a call becomes a task, and 202 is said once the task is durable.

The headers are the official ones: `x-fc-async-task-id` (or its name of API 2.0, `x-fc-stateful-async-invocation-id`)
and `x-fc-async-delay` in seconds; `x-fc-async-priority` (0 first, 9 last) is ours.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable

from functory.gateway.body import FileBody
from functory.gateway.head import Head
from functory.model import errors
from functory.model.task import DEFAULT_PRIORITY
from functory.tasks.accept import Accepted, Submission

Submit = Callable[[Submission], "asyncio.Future[Accepted]"]
"""`tasks.service.TaskService.submit`."""


def submission(
    head: Head,
    *,
    account_id: str,
    name: str,
    qualifier: str,
    request_id: str,
    payload: bytes,
    body: FileBody | None,
    max_bytes: int = 131_072,
) -> Submission:
    """What the call asks for; `InvalidArgument` for a header that is not valid. `body` is read and closed."""
    if body is not None:
        # It lies in a file, which need not be read to say that it is too long.
        if body.size_bytes > max_bytes:
            raise errors.EntityTooLarge(
                f"the payload of an asynchronous invocation has {body.size_bytes} bytes: "
                f"at most {max_bytes} are allowed",
                hint="store it elsewhere and pass where",
            )
        payload = body.read_at(0, body.size_bytes)
        body.close()
    task_id = head.get(b"x-fc-async-task-id") or head.get(b"x-fc-stateful-async-invocation-id")
    return Submission(
        account_id=account_id,
        function_name=name,
        qualifier=qualifier,
        payload=payload,
        task_id=task_id.decode("latin-1"),
        request_id=request_id,
        delay_s=_number(head, b"x-fc-async-delay", 0.0),
        priority=int(_number(head, b"x-fc-async-priority", DEFAULT_PRIORITY)),
        trace_parent=head.trace_parent,
    )


def answer(accepted: Accepted, *, keep_alive: bool) -> bytes:
    """202, with the id to ask for it by."""
    task_id = accepted.task_id.encode()
    close = b"" if keep_alive else b"connection: close\r\n"
    return (
        b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\nx-fc-request-id: %b\r\nx-fc-async-task-id: %b\r\n"
        b"access-control-expose-headers: x-fc-request-id,x-fc-async-task-id\r\n%b\r\n"
        % (accepted.request_id.encode(), task_id, close)
    )


def _number(head: Head, name: bytes, default: float) -> float:
    text = head.get(name)
    if not text:
        return default
    try:
        number = float(text)
        if not math.isfinite(number):
            raise ValueError(text)
        return number
    except ValueError:
        shown = text[:40].decode("latin-1")
        raise errors.InvalidArgument(f"header {name.decode()} is {shown!r}, which is not a number") from None
