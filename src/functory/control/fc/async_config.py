"""How asynchronous calls are treated: Get, Put, Delete and ListAsyncInvokeConfig(s)."""

from __future__ import annotations

import re
from typing import Any

from starlette.routing import Route

from functory.control import call as calls
from functory.control.call import Call
from functory.control.fc import outputs, rules, shapes
from functory.control.fc.configs import ConfigsRoom
from functory.control.parts import ControlParts
from functory.model import errors, task
from functory.model.task import AsyncConfig
from functory.sinks import base as sinks
from functory.tasks import configs as task_configs
from functory.web import access

ALL = "/2023-03-30/async-invoke-configs"
ONE = "/2023-03-30/functions/{functionName}/async-invoke-config"
MAX_DESTINATION = 1024
_FUNCTION = re.compile(
    r"acs:fc:[A-Za-z0-9-]*:([A-Za-z0-9]*):functions/[A-Za-z_][A-Za-z0-9_-]{0,63}(/[A-Za-z0-9_-]{1,128})?"
)


class Destination(shapes.Shape, frozen=True):
    """Who is told."""

    destination: str | None = None


class DestinationConfig(shapes.Shape, frozen=True):
    """Who is told of what."""

    on_failure: Destination | None = None
    on_success: Destination | None = None


class PutInput(shapes.Shape, frozen=True):
    """The body."""

    async_task: bool | None = None
    destination_config: DestinationConfig | None = None
    max_async_event_age_in_seconds: int | None = None
    max_async_retry_attempts: int | None = None


def routes(parts: ControlParts) -> list[Route]:
    """The routes of this room."""
    return AsyncConfigRoom(parts, parts.store.async_configs).routes(ONE, ALL)


class AsyncConfigRoom(ConfigsRoom[AsyncConfig]):
    """The four operations."""

    body = PutInput

    def read(self, call: Call, name: str, qualifier: str) -> AsyncConfig:
        given = calls.typed_body(call.body, PutInput)
        retries, age_s = given.max_async_retry_attempts, given.max_async_event_age_in_seconds
        retries = task.DEFAULT_RETRIES if retries is None else retries
        age_s = task.DEFAULT_AGE_S if age_s is None else age_s
        to = given.destination_config or DestinationConfig()
        now_ms = self._parts.clock.now_ms()
        config = AsyncConfig(
            account_id=call.account_id,
            function_name=name,
            qualifier=qualifier,
            max_retries=rules.within("maxAsyncRetryAttempts", retries, 0, task.MAX_RETRIES),
            max_age_s=rules.within("maxAsyncEventAgeInSeconds", age_s, 1, task.MAX_AGE_S),
            task_mode=bool(given.async_task),
            on_success=_destination("onSuccess", to.on_success, call),
            on_failure=_destination("onFailure", to.on_failure, call),
            created_at_ms=now_ms,
            modified_at_ms=now_ms,
        )
        task_configs.check(config)
        return config

    async def look(self, config: AsyncConfig) -> None:
        for to in (config.on_success, config.on_failure):
            if to.startswith(("http://", "https://")):
                await self._parts.check_url(to)

    def shown(self, config: AsyncConfig, current: object) -> dict[str, Any]:
        destinations = {"onSuccess": config.on_success, "onFailure": config.on_failure}
        return {
            "functionArn": self.arn(config),
            "asyncTask": config.task_mode,
            "maxAsyncRetryAttempts": config.max_retries,
            "maxAsyncEventAgeInSeconds": config.max_age_s,
            "destinationConfig": {on: {"destination": to} for on, to in destinations.items() if to},
            "createdTime": outputs.time_text(config.created_at_ms),
            "lastModifiedTime": outputs.time_text(config.modified_at_ms),
        }


def _destination(on: str, given: Destination | None, call: Call) -> str:
    """A function's ARN or a URL; empty for nobody. Who names a function has it called: they need the right to."""
    text = (given.destination if given else None) or ""
    if not text:
        return ""
    field = f"destinationConfig.{on}.destination"
    rules.text(field, text, MAX_DESTINATION)
    function = _FUNCTION.fullmatch(text)
    # Nobody may have another account's functions called.
    if function is not None and function[1] not in ("", call.account_id):
        raise errors.AccessDenied(f"{field} {text[:200]!r} belongs to another account")
    try:
        told = sinks.parse(text)
    except errors.InvalidArgument as refusal:
        raise errors.InvalidArgument(f"{field}: {refusal.message}", hint=refusal.hint) from None
    if told.function_name:
        access.require_call(call.principal, told.function_name)
    return text
