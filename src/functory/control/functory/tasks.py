"""What the official API lacks for tasks: counts, why one waits, running ended ones again, dead deliveries."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from functory.control import call as calls
from functory.control.call import Call
from functory.control.functory.node import NoQuery
from functory.control.parts import ControlParts
from functory.model import errors
from functory.model.account import Scope
from functory.model.task import DEAD, ENDED, TaskState, by_label, label
from functory.queue.base import Row
from functory.tasks.edit import Edit
from functory.tasks.redrive import MAX_PAGE
from functory.tasks.tasks import Filter, Tasks

SUMMARY = "/functory/v1/tasks"
WHY = "/functory/v1/functions/{functionName}/tasks/{taskId}/why"
RESULT = "/functory/v1/functions/{functionName}/tasks/{taskId}/result"
RERUN = "/functory/v1/functions/{functionName}/tasks/{taskId}/rerun"
RERUN_MANY = "/functory/v1/functions/{functionName}/tasks/rerun"
DEAD_DELIVERIES = "/functory/v1/deliveries/dead"
REDELIVER = "/functory/v1/deliveries/redeliver"
REDELIVER_MANY = "/functory/v1/deliveries/dead/redeliver"
SECRET = "/functory/v1/deliveries/secret"


class SummaryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which function; empty = all that ever had a task."""

    function: str = ""


class DeadQuery(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """Which dead deliveries are listed."""

    destination: str = ""
    """Empty = of all."""
    limit: int = MAX_PAGE
    next_token: str = ""


class EditInput(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """What is changed of a payload; at most one of the two."""

    payload: str | None = None
    """Base64, instead of what there was."""
    merge: dict[str, Any] | None = None
    """Into the JSON object that there was, by RFC 7396."""

    @property
    def edit(self) -> Edit:
        """The change."""
        return Edit(payload=None if self.payload is None else _decoded(self.payload), merge=self.merge)


class RerunInput(EditInput, frozen=True, kw_only=True):
    """How one is run again."""

    task_id: str = ""
    """The new task's id; empty = its request id."""


class RerunManyInput(EditInput, frozen=True, kw_only=True):
    """Which ended tasks are run again, and how."""

    status: tuple[str, ...] = ("Failed", "Expired")
    prefix: str = ""
    started_time_begin: int = 0
    started_time_end: int = 0
    limit: int = MAX_PAGE
    next_token: str = ""


class RedeliverInput(EditInput, frozen=True, kw_only=True):
    """Which dead delivery is sent again, as the list names it."""

    destination: str
    key: str


class RedeliverManyInput(EditInput, frozen=True, kw_only=True):
    """Which dead deliveries are sent again."""

    destination: str = ""
    """Empty = those to all."""
    limit: int = MAX_PAGE
    next_token: str = ""


def routes(parts: ControlParts) -> list[Route]:
    """The routes of this room; none on a node without tasks."""
    if parts.tasks is None:
        return []
    room = TasksRoom(parts, parts.tasks)
    return [
        calls.route("GET", SUMMARY, Scope.READ, room.summary, query=SummaryQuery),
        calls.route("GET", WHY, Scope.READ, room.why),
        calls.route("GET", RESULT, Scope.READ, room.result),
        calls.route("POST", RERUN_MANY, Scope.INVOKE, room.rerun_many, body=RerunManyInput),
        calls.route("POST", RERUN, Scope.INVOKE, room.rerun, body=RerunInput),
        calls.route("GET", DEAD_DELIVERIES, Scope.READ, room.dead, query=DeadQuery),
        calls.route("POST", REDELIVER_MANY, Scope.INVOKE, room.redeliver_many, body=RedeliverManyInput),
        calls.route("POST", REDELIVER, Scope.INVOKE, room.redeliver, body=RedeliverInput),
        calls.route("GET", SECRET, Scope.DEPLOY, room.secret),
    ]


class TasksRoom:
    """The operations."""

    def __init__(self, parts: ControlParts, tasks: Tasks) -> None:
        self._parts = parts
        self._tasks = tasks

    async def summary(self, call: Call) -> Response:
        query = calls.typed_query(call.query, SummaryQuery, strict=True)
        found = await self._tasks.summary(call.account_id, query.function)
        return calls.answer({"functions": [{"functionName": one.function_name, "counts": one.counts} for one in found]})

    async def why(self, call: Call) -> Response:
        calls.typed_query(call.query, NoQuery, strict=True)
        why = await self._tasks.why(call.account_id, call.function_name(), call.params["taskId"])
        return calls.answer(
            {
                "status": label(why.state),
                "reason": why.reason,
                "message": why.sentence,
                "ahead": why.ahead,
                "waitMs": why.wait_ms,
            }
        )

    async def result(self, call: Call) -> Response:
        """The answer byte for byte, which GetAsyncTask can only show as text."""
        calls.typed_query(call.query, NoQuery, strict=True)
        task = await self._tasks.get(call.account_id, call.function_name(), call.params["taskId"])
        return Response(await self._tasks.result(task), media_type="application/octet-stream")

    async def rerun(self, call: Call) -> Response:
        given = calls.typed_body(call.body or b"{}", RerunInput)
        accepted = await self._tasks.rerun(
            call.account_id,
            call.function_name(),
            call.params["taskId"],
            edit=given.edit,
            new_id=given.task_id,
        )
        return calls.answer({"taskId": accepted.task_id, "requestId": accepted.request_id}, 202)

    async def rerun_many(self, call: Call) -> Response:
        given = calls.typed_body(call.body or b"{}", RerunManyInput)
        which = Filter(
            states=_ended(given.status),
            prefix=given.prefix,
            started_from_ms=given.started_time_begin,
            started_to_ms=given.started_time_end,
            newest_first=False,
            limit=given.limit,
        )
        done = await self._tasks.rerun_many(
            call.account_id, call.function_name(), which, token=given.next_token, edit=given.edit
        )
        skipped = [{"taskId": one.key, "reason": one.reason} for one in done.skipped]
        return calls.answer({"taskIds": done.keys, "skipped": skipped, "nextToken": done.next_token}, 202)

    async def dead(self, call: Call) -> Response:
        query = calls.typed_query(call.query, DeadQuery, strict=True)
        page = await self._tasks.redrive.dead(
            call.account_id, destination=query.destination, limit=query.limit, token=query.next_token
        )
        return calls.answer({"deliveries": [_delivery(row) for row in page.rows], "nextToken": page.next_token})

    async def redeliver(self, call: Call) -> Response:
        given = calls.typed_body(call.body, RedeliverInput)
        again = await self._tasks.redrive.delivery(call.account_id, given.destination, given.key, edit=given.edit)
        return calls.answer({"accepted": again}, 202)

    async def redeliver_many(self, call: Call) -> Response:
        given = calls.typed_body(call.body or b"{}", RedeliverManyInput)
        done = await self._tasks.redrive.deliveries(
            call.account_id, destination=given.destination, limit=given.limit, token=given.next_token, edit=given.edit
        )
        skipped = [{"key": one.key, "reason": one.reason} for one in done.skipped]
        return calls.answer({"keys": done.keys, "skipped": skipped, "nextToken": done.next_token}, 202)

    async def secret(self, call: Call) -> Response:
        """What deliveries by HTTP are signed with: whoever sets destinations must be able to check them."""
        calls.typed_query(call.query, NoQuery, strict=True)
        return calls.answer({"secret": self._parts.delivery_secret(call.account_id)})


def _delivery(row: Row) -> dict[str, object]:
    return {
        "destination": row.group.name,
        "key": row.key,
        "requestId": row.request_id,
        "status": label(row.state),
        "error": row.error,
        "attempts": row.attempts + row.deferrals,
        "createdTime": row.created_ms,
        "endTime": row.ended_ms,
    }


def _ended(names: Sequence[str]) -> frozenset[TaskState]:
    states = {by_label(name) for name in names}
    if not names or not states <= ENDED:
        allowed = ", ".join(sorted(label(state) for state in ENDED))
        raise errors.InvalidArgument(f"status must be one or more of {allowed}")
    return frozenset(state for state in states if state is not None) or DEAD


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise errors.InvalidArgument("payload is not base64") from None
