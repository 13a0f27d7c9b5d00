"""Requests that ran, and what they printed."""

from __future__ import annotations

from typing import Any

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from functory.control import call as calls
from functory.control.call import Call
from functory.control.functory import transcript
from functory.control.functory.node import NoQuery
from functory.control.parts import ControlParts
from functory.model import errors, ids
from functory.model.account import Scope
from functory.model.record import LogLines, Record
from functory.model.usage import Mode

REQUESTS = "/functory/v1/requests"
REQUEST = "/functory/v1/requests/{requestId}"
REQUEST_LOGS = "/functory/v1/requests/{requestId}/logs"
FUNCTION_LOGS = "/functory/v1/functions/{functionName}/logs"

MAX_LIMIT = 1000


class RequestsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which requests are listed."""

    function: str = ""
    failed: bool = False
    before: str = ""
    limit: int = 100


class LogsQuery(msgspec.Struct, frozen=True, kw_only=True):
    """Which entries are listed."""

    after: str = ""
    before: str = ""
    limit: int = 100


def routes(parts: ControlParts) -> list[Route]:
    """The routes of this room."""
    room = HistoryRoom(parts)
    return [
        calls.route("GET", REQUESTS, Scope.READ, room.requests),
        calls.route("GET", REQUEST, Scope.READ, room.request),
        calls.route("GET", REQUEST_LOGS, Scope.READ, room.request_logs),
        calls.route("GET", FUNCTION_LOGS, Scope.READ, room.function_logs),
    ]


class HistoryRoom:
    """Reads records and logs; writes nothing."""

    def __init__(self, parts: ControlParts) -> None:
        self._requests = parts.store.requests
        self._functions = parts.store.functions

    async def requests(self, call: Call) -> Response:
        query = calls.typed_query(call.query, RequestsQuery, strict=True)
        limit = _limit(query.limit)
        if query.function:
            ids.check_function_name(query.function)
        records = await self._requests.list(
            call.account_id,
            function=query.function,
            failed_only=query.failed,
            before=_request_id("before", query.before),
            limit=limit,
        )
        more = records[-1].request_id if len(records) == limit else ""
        return calls.answer({"requests": [_request(record) for record in records], "nextBefore": more})

    async def request(self, call: Call) -> Response:
        calls.typed_query(call.query, NoQuery, strict=True)
        return calls.answer(_request(await self._record(call)))

    async def request_logs(self, call: Call) -> Response:
        calls.typed_query(call.query, NoQuery, strict=True)
        record = await self._record(call)  # first: it is what ties a request to its account
        printed = await self._requests.logs(record.request_id)
        return calls.answer({"requestId": record.request_id, "text": transcript.text(record, printed)})

    async def function_logs(self, call: Call) -> Response:
        query = calls.typed_query(call.query, LogsQuery, strict=True)
        name = call.function_name()
        await self._functions.get(call.account_id, name)
        entries = await self._requests.function_logs(
            call.account_id,
            name,
            after=_request_id("after", query.after),
            before=_request_id("before", query.before),
            limit=_limit(query.limit),
        )
        return calls.answer({"entries": [_entry(lines) for lines in entries]})

    async def _record(self, call: Call) -> Record:
        request_id = call.params["requestId"]
        if not ids.REQUEST_ID.fullmatch(request_id):
            raise errors.InvalidArgument(f"{request_id[:64]!r} is not a request id")
        return await self._requests.get(call.account_id, request_id)


def _limit(limit: int) -> int:
    if not 1 <= limit <= MAX_LIMIT:
        raise errors.InvalidArgument(f"limit {limit} is not valid: 1 to {MAX_LIMIT}")
    return limit


def _request_id(field: str, value: str) -> str:
    if value and not ids.REQUEST_ID.fullmatch(value):
        raise errors.InvalidArgument(f"{field} {value[:64]!r} is not a request id")
    return value


def _request(record: Record) -> dict[str, Any]:
    cold = record.cold
    return {
        "requestId": record.request_id,
        "functionName": record.function_name,
        "qualifier": record.qualifier,
        "revision": record.epoch,
        "kind": record.kind,
        "startedAtMs": record.started_at_ms,
        "status": record.status.name.lower(),
        "errorType": record.error_type,
        "instanceId": record.instance_id,
        "queuedUs": record.queued_us,
        "durationUs": record.duration_us,
        "billedMs": record.billed_ms,
        "memoryLimitMb": record.memory_limit_mb,
        "memoryPeakBytes": record.memory_peak_bytes,
        "cpuUs": record.cpu_us,
        "cold": cold
        and {
            "forkUs": cold.fork_us,
            "importUs": cold.import_us,
            "initUs": cold.init_us,
            "templateUs": cold.template_us,
        },
        "costNanoUsd": record.cost_nano_usd,
        "payloadBytes": record.payload_bytes,
        "replyBytes": record.reply_bytes,
        "traceParent": record.trace_parent,
        "resourceMode": "OnDemand" if record.mode is Mode.ON_DEMAND else "Provisioned",
        "oomKills": record.oom_kills,
        "networkInBytes": record.network_in_bytes,
        "networkOutBytes": record.network_out_bytes,
    }


def _entry(lines: LogLines) -> dict[str, Any]:
    return {"requestId": lines.request_id, "atMs": lines.at_ms, "text": lines.text.decode("utf-8", "replace")}
