"""What a destination is told about a task: the official payload.

    {"timestamp": ms,
     "requestContext": {"requestId", "functionArn", "condition", "approximateInvokeCount"},
     "requestPayload": text,
     "responseContext": {"statusCode", "functionError"},
     "responsePayload": text}

`condition` is empty for a success, else what went wrong: the function's error type, EventAgeExceeded, Stopped,
WorkerLost, …. Payloads are text; one that is not UTF-8 is base64 and said to be so beside it (`…IsBase64`, ours), one
that was too long to keep is empty with its length beside it (`…Bytes`, ours).
"""

from __future__ import annotations

import base64
from typing import Any

import msgspec

from functory.model import ids
from functory.model.task import TaskState
from functory.queue.base import Row


def build(row: Row, request: bytes, response: bytes, *, region: str) -> bytes:
    """The JSON for an ended task; `request` and `response` are its payload and result."""
    condition = "" if row.state is TaskState.SUCCEEDED else row.error_type or row.state.name.capitalize()
    message: dict[str, Any] = {
        "timestamp": row.ended_ms,
        "requestContext": {
            "requestId": row.request_id,
            "functionArn": ids.function_arn(region, row.group.account_id, row.group.name, row.qualifier),
            "condition": condition,
            "approximateInvokeCount": row.attempts + row.deferrals + row.crashes,
            "taskId": row.key,
        },
        "responseContext": {"statusCode": _status(row), "functionError": condition},
        **_payload("requestPayload", request, row.payload.size_bytes),
        **_payload("responsePayload", response, row.result.size_bytes),
    }
    return msgspec.json.encode(message)


def _status(row: Row) -> int:
    """As the sync call would have answered: a function's own failure is 200 with an error type."""
    if row.state is TaskState.SUCCEEDED or row.result.size_bytes:
        return 200
    return 429 if row.error_type == "THROTTLED" else 500


def _payload(name: str, data: bytes, size_bytes: int) -> dict[str, Any]:
    if size_bytes and not data:
        return {name: "", f"{name}Bytes": size_bytes}
    try:
        return {name: data.decode()}
    except UnicodeDecodeError:
        return {name: base64.b64encode(data).decode(), f"{name}IsBase64": True}
