"""ListAsyncTasks, GetAsyncTask, StopAsyncTask (API reference, section 4). Times are milliseconds since 1970.

`qualifier` filters lists; a task is found by its id alone, as ids are unique per function. Payloads are shown as text,
those that are not UTF-8 with replacement characters.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from functory.control import call as calls
from functory.control.call import Call
from functory.control.fc import paging
from functory.control.parts import ControlParts
from functory.model import errors, ids
from functory.model.account import Scope
from functory.model.task import ENDED, NEVER_SEEN, Task, TaskState, by_label, label
from functory.tasks.tasks import Filter, Tasks

ALL = "/2023-03-30/functions/{functionName}/async-tasks"
ONE = "/2023-03-30/functions/{functionName}/async-tasks/{taskId}"
STOP = "/2023-03-30/functions/{functionName}/async-tasks/{taskId}/stop"
_SHOWN_PAYLOAD = 1 << 20


class Query(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The official query parameters."""

    include_payload: str = ""
    """`true` or `True`: SDKs write booleans in their language's way."""
    limit: int | None = None
    next_token: str = ""
    prefix: str = ""
    qualifier: str = ""
    sort_order_by_time: str = ""
    """`asc` or `desc` (the default)."""
    started_time_begin: int = 0
    started_time_end: int = 0
    status: str = ""


def routes(parts: ControlParts) -> list[Route]:
    """The routes of this room; none on a node without tasks."""
    if parts.tasks is None:
        return []
    room = AsyncTasksRoom(parts, parts.tasks)
    return [
        calls.route("GET", ALL, Scope.READ, room.page, query=Query),
        calls.route("GET", ONE, Scope.READ, room.get),
        calls.route("PUT", STOP, Scope.INVOKE, room.stop),
    ]


class AsyncTasksRoom:
    """The three operations."""

    def __init__(self, parts: ControlParts, tasks: Tasks) -> None:
        self._parts = parts
        self._tasks = tasks

    async def page(self, call: Call) -> Response:
        name = await self._function(call)
        query = calls.typed_query(call.query, Query, strict=False)
        with_payload = _flag("includePayload", query.include_payload)
        limit = paging.check_limit(query.limit)
        if query.status in NEVER_SEEN:
            return calls.answer({"tasks": []})
        which = Filter(
            states=_states(query.status),
            prefix=query.prefix,
            qualifier=query.qualifier,
            started_from_ms=query.started_time_begin,
            started_to_ms=query.started_time_end,
            newest_first=_newest_first(query.sort_order_by_time),
            limit=limit,
        )
        page = await self._tasks.list(call.account_id, name, which, token=query.next_token)
        answer: dict[str, Any] = {"tasks": [await self._shown(task, with_payload=with_payload) for task in page.tasks]}
        if page.next_token:
            answer["nextToken"] = page.next_token
        return calls.answer(answer)

    async def get(self, call: Call) -> Response:
        name = await self._function(call)
        task = await self._tasks.get(call.account_id, name, call.params["taskId"])
        shown = await self._shown(task, with_payload=True)
        await _fill(shown, "returnPayload", self._tasks.result(task))
        told = await self._tasks.told(call.account_id, name, task.task_id)
        shown["destinationStatus"] = label(told) if told is not None else ""
        return calls.answer(shown)

    async def stop(self, call: Call) -> Response:
        name = await self._function(call)
        await self._tasks.stop(call.account_id, name, call.params["taskId"])
        return calls.no_content()

    async def _function(self, call: Call) -> str:
        """The function's name; its tasks can be looked at only while it is there."""
        name = call.function_name()
        await self._parts.store.functions.get(call.account_id, name)
        return name

    async def _shown(self, task: Task, *, with_payload: bool) -> dict[str, Any]:
        shown = show(task, region=self._parts.region)
        if with_payload:
            await _fill(shown, "taskPayload", self._tasks.payload(task))
        return shown


def show(task: Task, *, region: str) -> dict[str, Any]:
    """The official `AsyncTask`, with `progress` (ours) where the function has said how far it is."""
    ended = task.state in ENDED
    qualifier = "" if task.qualifier == ids.LATEST else task.qualifier
    shown: dict[str, Any] = {
        "taskId": task.task_id,
        "requestId": task.request_id,
        "functionArn": ids.function_arn(region, task.account_id, task.function_name, qualifier),
        "qualifier": task.qualifier,
        "status": label(task.state),
        "startedTime": task.started_at_ms or task.accepted_at_ms,
        "endTime": task.ended_at_ms,
        "durationMs": max(0, task.ended_at_ms - task.started_at_ms) if ended and task.started_at_ms else 0,
        "alreadyRetriedTimes": max(0, task.attempts - 1),
        "instanceId": task.instance_id,
        "taskErrorMessage": task.error,
        "taskPayload": "",
        "returnPayload": "",
        "destinationStatus": _destination_planned(task),
        "events": [
            {"eventId": number, "status": label(event.state), "timestamp": event.at_ms, "eventDetail": event.detail}
            for number, event in enumerate(task.events, 1)
        ],
    }
    if task.progress:
        shown["progress"] = msgspec.Raw(task.progress.encode())
    return shown


async def _fill(shown: dict[str, Any], field: str, load: Awaitable[bytes]) -> None:
    """Loads a payload into its field. One that is damaged is left out and said to be (ours): the rest can be seen."""
    try:
        shown[field] = _text(await load)
    except errors.StorageCorrupt as damage:
        shown[f"{field}Error"] = str(damage)


def _destination_planned(task: Task) -> str:
    """Whether somebody is told of the end; lists say no more. The record itself is written with the end."""
    destination = task.on_success if task.state is TaskState.SUCCEEDED else task.on_failure
    return "Enqueued" if destination and task.state in ENDED else ""


def _states(status: str) -> frozenset[TaskState]:
    if not status:
        return frozenset()
    state = by_label(status)
    if state is None:
        known = ", ".join(label(one) for one in TaskState)
        raise errors.InvalidArgument(f"status {status[:40]!r} is not one of {known}")
    return frozenset({state})


def _newest_first(order: str) -> bool:
    if order not in ("", "asc", "desc"):
        raise errors.InvalidArgument(f"sortOrderByTime {order[:40]!r} is neither asc nor desc")
    return order != "asc"


def _flag(name: str, text: str) -> bool:
    if text.lower() not in ("", "true", "false"):
        raise errors.InvalidArgument(f"{name} {text[:40]!r} is neither true nor false")
    return text.lower() == "true"


def _text(data: bytes) -> str:
    return data[:_SHOWN_PAYLOAD].decode("utf-8", "replace")
