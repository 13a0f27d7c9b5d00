"""CreateFunction, GetFunction, UpdateFunction, DeleteFunction, ListFunctions.

A change goes: input checked → code durable → row written by compare-and-set → the node told → answer. Whatever the
process's end interrupts, there is either the row with its code, or no row (and perhaps an archive nobody names).
"""

from __future__ import annotations

import hashlib
import logging
from typing import Any

from starlette.responses import Response
from starlette.routing import Route

from functory.control import call as calls
from functory.control.call import Call
from functory.control.commit import to_the_end
from functory.control.fc import (
    archive,
    containers,
    layers,
    listing,
    outputs,
    paging,
    passing,
    qualifiers,
    revisions,
    rules,
    vpc,
)
from functory.control.fc.inputs import CreateFunctionInput, UpdateFunctionInput
from functory.control.parts import Code, ControlParts
from functory.model import errors, ids
from functory.model.account import Scope
from functory.model.function import Function, LayerRef
from functory.observe import logs
from functory.web import access

log = logging.getLogger("functory.control")

ALL = "/2023-03-30/functions"
ONE = "/2023-03-30/functions/{functionName}"


def routes(parts: ControlParts) -> list[Route]:
    """The routes of this room."""
    room = FunctionsRoom(parts)
    return [
        calls.route("GET", ALL, Scope.READ, room.page, query=listing.Query),
        calls.route("POST", ALL, Scope.DEPLOY, room.create, body=CreateFunctionInput),
        calls.route("GET", ONE, Scope.READ, room.get),
        calls.route("PUT", ONE, Scope.DEPLOY, room.update, body=UpdateFunctionInput),
        calls.route("DELETE", ONE, Scope.DEPLOY, room.delete),
    ]


class FunctionsRoom:
    """The five operations."""

    def __init__(self, parts: ControlParts) -> None:
        self._parts = parts
        self._functions = parts.store.functions

    async def create(self, call: Call) -> Response:
        given = calls.typed_body(call.body, CreateFunctionInput)
        name = ids.check_function_name(given.function_name)
        changes = revisions.settings(given, None, self._runtime_note(given.runtime))
        changes = await passing.with_role(self._parts, call, changes)
        await vpc.check_named(self._parts.store, call.account_id, changes["official"])
        changes["layers"] = await self._layers(call, given.layers or [])
        changes = self._image(changes, given, None, call.account_id)
        if await self._is_there(call.account_id, name):
            raise errors.FunctionAlreadyExists(name)  # before a large archive is stored for nothing
        code = await archive.store_code(given.code, self._parts.code, self._parts.uploads, call.account_id)
        changes = _with_code(changes, code, None)
        function = revisions.first(
            *(call.account_id, self._function_id(call, name), name, self._parts.clock.now_ms()), changes
        )
        await to_the_end(self._commit_new(function))
        _log("Function created", "create_function", call, function)
        return self._answer(function)

    async def get(self, call: Call) -> Response:
        return self._answer(
            await qualifiers.resolve(self._parts.store, call.account_id, call.function_name(), qualifiers.of(call))
        )

    async def update(self, call: Call) -> Response:
        name = call.function_name()
        given = calls.typed_body(call.body, UpdateFunctionInput)
        before = await self._functions.get(call.account_id, name)
        calls.check_match(call, _etag(before))
        after = await self._revision(call, before, given, None, None)  # refused before a large archive is stored
        if given.vpc_config is not None:
            if after.official.get("vpcConfig") != before.official.get("vpcConfig"):
                access.require_function(call.principal, "")  # a network is no function's, and its hosts are reached
            await vpc.check_named(self._parts.store, call.account_id, after.official)
        found = None if given.layers is None else await self._layers(call, given.layers, before.layers)
        code = await archive.store_code(given.code, self._parts.code, self._parts.uploads, call.account_id)
        function = await to_the_end(self._change(call, name, given, found, code))
        _log("Function changed", "update_function", call, function)
        return self._answer(function)

    async def delete(self, call: Call) -> Response:
        function = await to_the_end(self._remove(call))
        _log("Function deleted", "delete_function", call, function)
        return calls.no_content()

    async def page(self, call: Call) -> Response:
        query = calls.typed_query(call.query, listing.Query, strict=False)
        found, last = await listing.page(self._functions, call.account_id, query)
        answer: dict[str, Any] = {"functions": [outputs.function(one, self._parts.region) for one in found]}
        if last:
            answer["nextToken"] = paging.token(last)
        return calls.answer(answer)

    async def _commit_new(self, function: Function) -> None:
        await self._functions.create(function)
        self._parts.on_function_changed(function)

    async def _change(
        self,
        call: Call,
        name: str,
        given: UpdateFunctionInput,
        layers: tuple[LayerRef, ...] | None,
        code: Code | None,
    ) -> Function:
        """Writes the change over whatever revision stands, so often as others are faster."""
        for _ in range(self._parts.limits.update_tries):
            before = await self._functions.get(call.account_id, name)
            calls.check_match(call, _etag(before))
            after = await self._revision(call, before, given, layers, code)
            try:
                await self._functions.replace(after)
            except errors.ConcurrentUpdate:
                continue
            self._parts.on_function_changed(after)
            return after
        raise errors.ConcurrentUpdate(f"function '{name}' is being changed by others too often; try again")

    async def _remove(self, call: Call) -> Function:
        before = await self._functions.get(call.account_id, call.function_name())
        calls.check_match(call, _etag(before))
        await self._refuse_provisioned(before)
        for blocker in self._parts.deletion_blockers:
            await blocker(before)
        fence = calls.fence(call, before.epoch)
        function = await self._functions.delete(call.account_id, before.name, epoch=fence)
        self._parts.on_function_deleted(function)
        return function

    async def _refuse_provisioned(self, function: Function) -> None:
        """Instances that are kept ready cost: deleting them is a decision of its own, as in the official service."""
        store, of = self._parts.store, function.name
        for config in await store.provisions.list(function.account_id, function=of, limit=1000):
            if config.target:
                raise errors.ProvisionConfigExist(
                    f"{config.target} instances are provisioned for '{config.qualifier}' of function '{function.name}'",
                    hint="DeleteProvisionConfig first",
                )
        for scaling in await store.scalings.list(function.account_id, function=of, limit=1000):
            if scaling.min_instances:
                raise errors.ResidentScalingConfigExists(
                    f"a scaling configuration keeps {scaling.min_instances} instances for '{scaling.qualifier}' "
                    f"of function '{function.name}'",
                    hint="DeleteScalingConfig first",
                )

    async def _revision(
        self,
        call: Call,
        before: Function,
        given: UpdateFunctionInput,
        layers: tuple[LayerRef, ...] | None,
        code: Code | None,
    ) -> Function:
        changes = revisions.settings(given, before, self._runtime_note(given.runtime or before.runtime))
        changes = await passing.with_role(self._parts, call, changes)
        if layers is not None:
            changes["layers"] = layers
        changes = _with_code(self._image(changes, given, before, before.account_id), code, before)
        return revisions.following(before, self._parts.clock.now_ms(), changes)

    def _image(
        self, changes: dict[str, Any], given: UpdateFunctionInput, before: Function | None, account_id: str
    ) -> dict[str, Any]:
        return containers.complete(
            changes,
            given.custom_container_config,
            before,
            check=self._parts.check_image,
            seal=lambda password: self._parts.seal(password, account_id),
        )

    async def _is_there(self, account_id: str, name: str) -> bool:
        try:
            await self._functions.get(account_id, name)
        except errors.FunctionNotFound:
            return False
        return True

    async def _layers(self, call: Call, arns: list[str], used: tuple[LayerRef, ...] = ()) -> tuple[LayerRef, ...]:
        """The layers of these names, all of which must be there. What is `used` already stays though it be deleted.

        A layer belongs to no function, and whoever puts it under code of their own can read it.
        """
        if len(arns) > rules.MAX_LAYERS:
            raise errors.InvalidArgument(f"layers: {len(arns)} are given; {rules.MAX_LAYERS} are allowed")
        if len(set(arns)) != len(arns):
            raise errors.InvalidArgument("layers: a layer is given twice")
        found = []
        for arn in arns:
            known = [layer for layer in used if layer.arn == arn]
            if not known:
                access.require_function(call.principal, "")
            found.append(known[0] if known else await layers.find(self._parts.store, call.account_id, arn))
        return tuple(found)

    def _runtime_note(self, runtime: str) -> str:
        _, _, note = self._parts.runtimes(rules.text("runtime", runtime, 64))
        return note

    def _function_id(self, call: Call, name: str) -> str:
        """Differs for every function ever made: the request id does."""
        source = f"{call.account_id}/{name}/{call.request_id}"
        return hashlib.sha256(source.encode()).hexdigest()[:32]

    def _answer(self, function: Function) -> Response:
        return calls.answer(outputs.function(function, self._parts.region), etag=_etag(function))


def _with_code(changes: dict[str, Any], code: Code | None, before: Function | None) -> dict[str, Any]:
    """Each function has either code or an image."""
    if changes["runtime"] == containers.RUNTIME:
        if code is not None:
            raise errors.InvalidArgument(f"code cannot be given: runtime {containers.RUNTIME} runs an image")
        if changes.get("layers") or ("layers" not in changes and before is not None and before.layers):
            raise errors.InvalidArgument(f"layers cannot be used: runtime {containers.RUNTIME} runs an image")
        return changes
    if code is not None:
        return revisions.with_code(changes, code)
    if before is None or not before.code_digest:
        raise errors.InvalidArgument("code is missing: give code.zipFile, the zip in base64")
    return changes


def _etag(function: Function) -> str:
    return calls.etag_of(function.pool_id, function.epoch)


def _log(sentence: str, action: str, call: Call, function: Function) -> None:
    log.info(
        sentence,
        extra=logs.fields(
            action,
            request_id=call.request_id,
            key=call.principal.access_key_id,
            function=function.name,
            epoch=function.epoch,
        ),
    )
