"""What the official API lacks for tasks: counts, why one waits, running ended ones again, dead deliveries."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence

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
from functory.tasks.tasks import Filter, Tasks

SUMMARY = "/functory/v1/tasks"
WHY = "/functory/v1/functions/{functionName}/tasks/{taskId}/why"
RESULT = "/functory/v1/functions/{functionName}/tasks/{taskId}/result"
RERUN = "/functory/v1/functions/{functionName}/tasks/{taskId}/rerun"
RERUN_MANY = "/functory/v1/functions/{functionName}/tasks/rerun"
DEAD_DELIVERIES = "/functory/v1/deliveries/dead"
REDELIVER = "/functory/v1/deliveries/redeliver"
SECRET = "/functory/v1/deliveries/secret"
RERUN_PAGE = 100
"""How many one call of `rerun` takes up; `nextToken` leads to the rest."""


class SummaryQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which function; empty = all that ever had a task."""

    function: str = ""


class RerunInput(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """How one is run again."""

    payload: str | None = None
    """Base64; null = as it was."""
    task_id: str = ""
    """The new task's id; empty = its request id."""


class RerunManyInput(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Which ended tasks are run again."""

    status: tuple[str, ...] = ("Failed", "Expired")
    prefix: str = ""
    started_time_begin: int = 0
    started_time_end: int = 0
    """0 = now: the new tasks are not run again by the next page, should they fail meanwhile."""
    next_token: str = ""


class RedeliverInput(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Which dead delivery is sent again, as the list names it."""

    destination: str
    key: str


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
        calls.route("GET", DEAD_DELIVERIES, Scope.READ, room.dead),
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
            payload=None if given.payload is None else _decoded(given.payload),
            new_id=given.task_id,
        )
        return calls.answer({"taskId": accepted.task_id, "requestId": accepted.request_id}, 202)

    async def rerun_many(self, call: Call) -> Response:
        given = calls.typed_body(call.body or b"{}", RerunManyInput)
        until_ms, token = _cursor(given.next_token)
        until_ms = until_ms or given.started_time_end or self._parts.clock.now_ms()
        which = Filter(
            states=_ended(given.status),
            prefix=given.prefix,
            started_from_ms=given.started_time_begin,
            started_to_ms=until_ms,
            newest_first=False,
            limit=RERUN_PAGE,
        )
        name = call.function_name()
        page = await self._tasks.list(call.account_id, name, which, token=token)
        accepted = [await self._tasks.rerun(call.account_id, name, task.task_id) for task in page.tasks]
        next_token = f"{until_ms:x}.{page.next_token}" if page.next_token else ""
        return calls.answer({"taskIds": [one.task_id for one in accepted], "nextToken": next_token}, 202)

    async def dead(self, call: Call) -> Response:
        calls.typed_query(call.query, NoQuery, strict=True)
        rows = await self._tasks.dead_deliveries(call.account_id)
        return calls.answer({"deliveries": [_delivery(row) for row in rows]})

    async def redeliver(self, call: Call) -> Response:
        given = calls.typed_body(call.body, RedeliverInput)
        again = await self._tasks.redeliver(call.account_id, given.destination, given.key)
        return calls.answer({"accepted": again}, 202)

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


def _cursor(token: str) -> tuple[int, str]:
    """Up to when tasks are taken, and where the page begins; zero and nothing for the first page."""
    until, dot, rest = token.partition(".")
    if token and not (dot and 0 < len(until) <= 12 and all(letter in "0123456789abcdef" for letter in until)):
        raise errors.InvalidArgument(f"nextToken {token[:40]!r} is not one of ours")
    return (int(until, 16), rest) if token else (0, "")


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except (ValueError, binascii.Error):
        raise errors.InvalidArgument("payload is not base64") from None
