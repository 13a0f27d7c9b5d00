"""CreateTrigger, GetTrigger, UpdateTrigger, DeleteTrigger, ListTriggers.

A trigger's configuration is checked by what will act on it, so that what is stored can be served: token rules are
compiled, cron expressions are parsed.
"""

from __future__ import annotations

import hashlib
import logging
from typing import Any

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from functory.control import call as calls
from functory.control.call import Call
from functory.control.commit import to_the_end
from functory.control.fc import outputs, paging, rules, shapes
from functory.control.parts import ControlParts
from functory.model import errors, ids
from functory.model import trigger as triggers
from functory.model.account import Scope
from functory.model.trigger import METHODS, OTHER_KINDS, AuthKind, Cors, Trigger, TriggerKind
from functory.observe import logs
from functory.sources import cron
from functory.web.jwt_rules import JwtRules

log = logging.getLogger("functory.control")

ALL = "/2023-03-30/functions/{functionName}/triggers"
ONE = "/2023-03-30/functions/{functionName}/triggers/{triggerName}"
MAX_PAYLOAD = 32 * 1024


class UpdateTriggerInput(shapes.Shape, frozen=True):
    """What may change. A field that is missing or null stays as it is."""

    description: str | None = None
    invocation_role: str | None = None
    qualifier: str | None = None
    trigger_config: str | None = None


class CreateTriggerInput(UpdateTriggerInput, frozen=True, kw_only=True):
    """A new trigger."""

    trigger_name: str
    trigger_type: str
    trigger_config: str = "{}"
    source_arn: str | None = None


class Query(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The query of a list."""

    limit: int | None = None
    next_token: str = ""
    prefix: str = ""


def routes(parts: ControlParts) -> list[Route]:
    """The routes of this room."""
    room = TriggersRoom(parts)
    return [
        calls.route("GET", ALL, Scope.READ, room.page, query=Query),
        calls.route("POST", ALL, Scope.DEPLOY, room.create, body=CreateTriggerInput),
        calls.route("GET", ONE, Scope.READ, room.get),
        calls.route("PUT", ONE, Scope.DEPLOY, room.update, body=UpdateTriggerInput),
        calls.route("DELETE", ONE, Scope.DEPLOY, room.delete),
    ]


class TriggersRoom:
    """The five operations."""

    def __init__(self, parts: ControlParts) -> None:
        self._parts = parts
        self._triggers = parts.store.triggers

    async def create(self, call: Call) -> Response:
        given = calls.typed_body(call.body, CreateTriggerInput)
        now_ms = self._parts.clock.now_ms()
        trigger = Trigger(
            account_id=call.account_id,
            function_name=call.function_name(),
            name=triggers.check_trigger_name(given.trigger_name),
            trigger_id=_trigger_id(call, given.trigger_name),
            kind=_kind(given.trigger_type),
            qualifier=_qualifier(given.qualifier or ids.LATEST),
            config=given.trigger_config,
            description=rules.text("description", given.description or "", 256),
            invocation_role=rules.text("invocationRole", given.invocation_role or "", 256),
            source_arn=rules.text("sourceArn", given.source_arn or "", 512),
            created_at_ms=now_ms,
            modified_at_ms=now_ms,
        )
        check_config(trigger)
        await self._parts.store.functions.get(call.account_id, trigger.function_name)
        await to_the_end(self._commit_new(trigger))
        _log("Trigger created", "create_trigger", call, trigger)
        return self._answer(trigger)

    async def get(self, call: Call) -> Response:
        return self._answer(await self._found(call))

    async def update(self, call: Call) -> Response:
        given = calls.typed_body(call.body, UpdateTriggerInput)
        trigger = await to_the_end(self._change(call, given))
        _log("Trigger changed", "update_trigger", call, trigger)
        return self._answer(trigger)

    async def delete(self, call: Call) -> Response:
        trigger = await to_the_end(self._remove(call))
        _log("Trigger deleted", "delete_trigger", call, trigger)
        return calls.no_content()

    async def page(self, call: Call) -> Response:
        name = call.function_name()
        query = calls.typed_query(call.query, Query, strict=False)
        limit = paging.check_limit(query.limit)
        await self._parts.store.functions.get(call.account_id, name)
        found = await self._triggers.list(
            call.account_id, name, prefix=query.prefix, after=paging.key_after(query.next_token), limit=limit + 1
        )
        answer: dict[str, Any] = {"triggers": [self._shape(one) for one in found[:limit]]}
        if len(found) > limit:
            answer["nextToken"] = paging.token(found[limit - 1].name)
        return calls.answer(answer)

    async def _commit_new(self, trigger: Trigger) -> None:
        await self._triggers.create(trigger)
        self._parts.on_trigger_changed(trigger)

    async def _change(self, call: Call, given: UpdateTriggerInput) -> Trigger:
        for _ in range(self._parts.limits.update_tries):
            before = await self._found(call)
            calls.check_match(call, _etag(before))
            after = _following(before, given, self._parts.clock.now_ms())
            check_config(after)
            try:
                await self._triggers.replace(after)
            except errors.ConcurrentUpdate:
                continue
            self._parts.on_trigger_changed(after)
            return after
        raise errors.ConcurrentUpdate("the trigger is being changed by others too often; try again")

    async def _remove(self, call: Call) -> Trigger:
        before = await self._found(call)
        calls.check_match(call, _etag(before))
        fence = calls.fence(call, before.epoch)
        trigger = await self._triggers.delete(call.account_id, before.function_name, before.name, epoch=fence)
        self._parts.on_trigger_deleted(trigger)
        return trigger

    async def _found(self, call: Call) -> Trigger:
        return await self._triggers.get(call.account_id, call.function_name(), call.params["triggerName"])

    def _answer(self, trigger: Trigger) -> Response:
        return calls.answer(self._shape(trigger), etag=_etag(trigger))

    def _shape(self, one: Trigger) -> dict[str, Any]:
        """The official `Trigger`."""
        answer: dict[str, Any] = {
            "triggerId": one.trigger_id,
            "triggerName": one.name,
            "triggerType": one.kind,
            "triggerConfig": one.config,
            "qualifier": one.qualifier,
            "description": one.description,
            "invocationRole": one.invocation_role,
            "sourceArn": one.source_arn,
            "targetArn": ids.function_arn(self._parts.region, one.account_id, one.function_name, one.qualifier),
            "status": "",
            "createdTime": outputs.time_text(one.created_at_ms),
            "lastModifiedTime": outputs.time_text(one.modified_at_ms),
        }
        if one.kind is TriggerKind.HTTP:
            url = self._parts.trigger_url(one)
            closed = triggers.http_config(one.config).disable_url_internet
            answer["httpTrigger"] = {"urlInternet": "" if closed else url, "urlIntranet": url}
        return answer


def _etag(trigger: Trigger) -> str:
    return calls.etag_of(trigger.trigger_id, trigger.epoch)


def check_config(trigger: Trigger) -> None:
    """Passes if the configuration can be acted on; `InvalidArgument` says what cannot."""
    if trigger.kind is TriggerKind.TIMER:
        timer = triggers.timer_config(trigger.config)
        cron.parse(timer.cron_expression, trigger.modified_at_ms)
        if len((timer.payload or "").encode("utf-8", "replace")) > MAX_PAYLOAD:
            raise errors.InvalidArgument(f"triggerConfig.payload is longer than {MAX_PAYLOAD} bytes")
        return
    config = triggers.http_config(trigger.config)
    check_methods("triggerConfig.methods", config.methods)
    check_cors("triggerConfig.corsConfig", config.cors_config)
    if config.auth_type is AuthKind.JWT:
        JwtRules(config.auth_config or "{}")


def check_methods(field: str, methods: list[str] | None) -> None:
    """Passes if all are methods that HTTP triggers know."""
    for method in methods or []:
        if method not in METHODS:
            raise errors.InvalidArgument(f"{field}: {method[:20]!r} is not one of {', '.join(METHODS)}")


def check_cors(field: str, cors: Cors | None) -> None:
    """Passes if the rules can stand in headers."""
    if cors is None:
        return
    given = {
        "allowOrigins": cors.allow_origins,
        "allowMethods": cors.allow_methods,
        "allowHeaders": cors.allow_headers,
        "exposeHeaders": cors.expose_headers,
    }
    for name, values in given.items():
        for value in values or []:
            if not (value.isascii() and value.isprintable() and " " not in value and 0 < len(value) <= 256):
                raise errors.InvalidArgument(f"{field}.{name} {value[:40]!r} is not valid")
        rules.within(f"the length of {field}.{name}", len(values or []), 0, 50)
    if cors.max_age is not None:
        rules.within(f"{field}.maxAge", cors.max_age, 0, 86400 * 365)


def _following(before: Trigger, given: UpdateTriggerInput, now_ms: int) -> Trigger:
    """The revision after `before`."""
    return msgspec.structs.replace(
        before,
        config=before.config if given.trigger_config is None else given.trigger_config,
        qualifier=before.qualifier if given.qualifier is None else _qualifier(given.qualifier or ids.LATEST),
        description=before.description
        if given.description is None
        else rules.text("description", given.description, 256),
        invocation_role=(
            before.invocation_role
            if given.invocation_role is None
            else rules.text("invocationRole", given.invocation_role, 256)
        ),
        modified_at_ms=max(now_ms, before.modified_at_ms),
        epoch=before.epoch + 1,
    )


def _kind(given: str) -> TriggerKind:
    if given in OTHER_KINDS:
        raise errors.InvalidArgument(
            f"triggers of type {given!r} are not supported by this node yet", hint="http and timer are"
        )
    try:
        return TriggerKind(given)
    except ValueError:
        raise errors.InvalidArgument(f"triggerType {given[:40]!r} is not valid: http or timer") from None


def _qualifier(given: str) -> str:
    if len(given) > 128 or not given.replace("-", "").replace("_", "").isalnum() or not given.isascii():
        raise errors.InvalidArgument(f"qualifier {given[:40]!r} is neither LATEST nor a version or alias")
    return given


def _trigger_id(call: Call, name: str) -> str:
    """Differs for every trigger ever made: the request id does."""
    text = f"{call.account_id}/{call.params['functionName']}/{name}/{call.request_id}"
    digits = hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
    return "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:32]))


def _log(sentence: str, action: str, call: Call, trigger: Trigger) -> None:
    facts = {"function": trigger.function_name, "trigger": trigger.name, "kind": str(trigger.kind)}
    key = call.principal.access_key_id
    log.info(sentence, extra=logs.fields(action, request_id=call.request_id, key=key, **facts))
