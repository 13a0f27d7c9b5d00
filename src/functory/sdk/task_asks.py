"""The calls about tasks, described once for both kinds of client."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from functory.sdk import signer
from functory.sdk import task_answers as found
from functory.sdk.functions import path_of
from functory.sdk.requests import PREFIX
from functory.sdk.task_answers import AsyncTask, DeadDelivery, DeadPage, Rerun, TaskPage, Why
from functory.sdk.wire import Ask, Reply, json_ask


class SubmitOptions(TypedDict, total=False):
    """What may be said of a task when it is handed over."""

    task_id: str
    """A second task of the same id is refused, so that a submission that got no answer can be repeated safely."""
    delay_s: float
    """Start it so much later."""
    priority: int | None
    """0 first, 9 last."""
    qualifier: str
    """Version or alias."""
    trace_parent: str


class TaskFilters(TypedDict, total=False):
    """Which tasks of a function are listed. Bounds of time are inclusive; 0 = none."""

    status: str
    prefix: str
    """Of the task id."""
    qualifier: str
    started_from_ms: int
    started_to_ms: int
    oldest_first: bool
    with_payload: bool
    limit: int
    """Tasks per page, 1 to 100."""


class RerunFilters(TypedDict, total=False):
    """Which ended tasks of a function are run again."""

    statuses: Sequence[str]
    """How they ended; Failed and Expired if nothing is said."""
    prefix: str
    started_from_ms: int
    started_to_ms: int


class Edit(TypedDict, total=False):
    """What is changed of a payload that is sent again; at most one of the two."""

    payload: bytes | None
    """Instead of what there was."""
    merge: Mapping[str, Any] | None
    """Into the JSON object that there was: members are replaced, None removes one (RFC 7396)."""


def submit(
    function: str,
    payload: bytes | str = b"",
    *,
    task_id: str = "",
    delay_s: float = 0,
    priority: int | None = None,
    qualifier: str = "",
    trace_parent: str = "",
) -> Ask[found.Accepted]:
    given = {
        "content-type": "application/octet-stream",
        "x-fc-invocation-type": "Async",
        "x-fc-async-task-id": task_id,
        "x-fc-async-delay": f"{delay_s:g}" if delay_s else "",
        "x-fc-async-priority": "" if priority is None else str(priority),
        "traceparent": trace_parent,
    }

    def accepted(reply: Reply) -> found.Accepted:
        headers = reply.headers
        return found.Accepted(
            task_id=headers.get("x-fc-async-task-id", task_id), request_id=headers.get("x-fc-request-id", "")
        )

    return Ask(
        "InvokeFunction",
        "POST",
        f"{path_of(function)}/invocations",
        accepted,
        query={"qualifier": qualifier or None},
        headers={name: value for name, value in given.items() if value},
        body=payload.encode() if isinstance(payload, str) else payload,
    )


def get(function: str, task_id: str) -> Ask[AsyncTask]:
    return json_ask(AsyncTask, "GetAsyncTask", "GET", f"{_official(function)}/{_quoted(task_id)}")


def result(function: str, task_id: str) -> Ask[bytes]:
    return Ask("GetTaskResult", "GET", f"{_own(function)}/{_quoted(task_id)}/result", _body)


def page(
    function: str,
    *,
    status: str = "",
    prefix: str = "",
    qualifier: str = "",
    started_from_ms: int = 0,
    started_to_ms: int = 0,
    oldest_first: bool = False,
    with_payload: bool = False,
    limit: int = 100,
    token: str = "",
) -> Ask[TaskPage]:
    query: dict[str, str | int | bool | None] = {
        "status": status or None,
        "prefix": prefix or None,
        "qualifier": qualifier or None,
        "startedTimeBegin": started_from_ms or None,
        "startedTimeEnd": started_to_ms or None,
        "sortOrderByTime": "asc" if oldest_first else None,
        "includePayload": True if with_payload else None,
        "limit": limit,
        "nextToken": token or None,
    }
    return json_ask(TaskPage, "ListAsyncTasks", "GET", _official(function), query=query)


def why(function: str, task_id: str) -> Ask[Why]:
    return json_ask(Why, "GetTaskWhy", "GET", f"{_own(function)}/{_quoted(task_id)}/why")


def summary(function: str = "") -> Ask[found.Summary]:
    return json_ask(found.Summary, "GetTaskSummary", "GET", f"{PREFIX}/tasks", query={"function": function or None})


def stop(function: str, task_id: str) -> Ask[None]:
    return Ask("StopAsyncTask", "PUT", f"{_official(function)}/{_quoted(task_id)}/stop", _nothing)


def rerun(
    function: str,
    task_id: str,
    *,
    payload: bytes | None = None,
    merge: Mapping[str, Any] | None = None,
    new_id: str = "",
) -> Ask[found.Accepted]:
    content = {"taskId": new_id, **_edited(payload, merge)}
    path = f"{_own(function)}/{_quoted(task_id)}/rerun"
    return json_ask(found.Accepted, "RerunTask", "POST", path, content=content)


def rerun_page(
    function: str,
    *,
    statuses: Sequence[str] = ("Failed", "Expired"),
    prefix: str = "",
    started_from_ms: int = 0,
    started_to_ms: int = 0,
    payload: bytes | None = None,
    merge: Mapping[str, Any] | None = None,
    limit: int = 100,
    token: str = "",
) -> Ask[Rerun]:
    content: dict[str, Any] = {
        "status": list(statuses),
        "prefix": prefix,
        "startedTimeBegin": started_from_ms,
        "startedTimeEnd": started_to_ms,
        "limit": limit,
        "nextToken": token,
        **_edited(payload, merge),
    }
    return json_ask(Rerun, "RerunTasks", "POST", f"{_own(function)}/rerun", content=content)


def dead_page(destination: str = "", *, limit: int = 100, token: str = "") -> Ask[DeadPage]:
    query = {"destination": destination or None, "limit": limit, "nextToken": token or None}
    return json_ask(DeadPage, "ListDeadDeliveries", "GET", f"{PREFIX}/deliveries/dead", query=query)


def redeliver(
    delivery: DeadDelivery, *, payload: bytes | None = None, merge: Mapping[str, Any] | None = None
) -> Ask[found.Redelivered]:
    content = {"destination": delivery.destination, "key": delivery.key, **_edited(payload, merge)}
    path = f"{PREFIX}/deliveries/redeliver"
    return json_ask(found.Redelivered, "Redeliver", "POST", path, content=content)


def redeliver_page(
    destination: str = "",
    *,
    payload: bytes | None = None,
    merge: Mapping[str, Any] | None = None,
    limit: int = 100,
    token: str = "",
) -> Ask[found.Redeliveries]:
    content = {"destination": destination, "limit": limit, "nextToken": token, **_edited(payload, merge)}
    path = f"{PREFIX}/deliveries/dead/redeliver"
    return json_ask(found.Redeliveries, "RedeliverMany", "POST", path, content=content)


def delivery_secret() -> Ask[found.Secret]:
    return json_ask(found.Secret, "GetDeliverySecret", "GET", f"{PREFIX}/deliveries/secret")


def _edited(payload: bytes | None, merge: Mapping[str, Any] | None) -> dict[str, Any]:
    edit: dict[str, Any] = {}
    if payload is not None:
        edit["payload"] = base64.b64encode(payload).decode("ascii")
    if merge is not None:
        edit["merge"] = dict(merge)
    return edit


def _body(reply: Reply) -> bytes:
    return reply.body


def _nothing(_reply: Reply) -> None:
    return None


def _official(function: str) -> str:
    return f"{path_of(function)}/async-tasks"


def _own(function: str) -> str:
    return f"{PREFIX}/functions/{signer.percent_encode(function)}/tasks"


def _quoted(task_id: str) -> str:
    return signer.percent_encode(task_id)
