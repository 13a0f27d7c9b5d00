"""DisableFunctionInvocation, EnableFunctionInvocation: the switch on the front of a function.

It is a field of the function, so it holds for all its versions and outlives the node. A disabled function keeps no
instances; with `abortOngoingRequest` what runs is ended, else it may finish.
"""

from __future__ import annotations

from starlette.responses import Response
from starlette.routing import Route

from functory.control import call as calls
from functory.control.call import Call
from functory.control.commit import to_the_end
from functory.control.fc import revisions, rules, shapes
from functory.control.parts import ControlParts
from functory.model import errors
from functory.model.account import Scope
from functory.model.function import Restriction

DISABLE = "/2023-03-30/functions/{functionName}/invoke/disable"
ENABLE = "/2023-03-30/functions/{functionName}/invoke/enable"


class DisableInput(shapes.Shape, frozen=True):
    """The body."""

    abort_ongoing_request: bool | None = None
    reason: str | None = None


def routes(parts: ControlParts) -> list[Route]:
    """The routes of this room."""

    async def disable(call: Call) -> Response:
        given = calls.typed_body(call.body or b"{}", DisableInput)
        reason = rules.text("reason", given.reason or "", 256)
        await to_the_end(_set(parts, call, Restriction(reason=reason, at_ms=parts.clock.now_ms())))
        if given.abort_ongoing_request:
            why = "invocation of the function was disabled" + (f": {reason}" if reason else "")
            parts.abort(call.account_id, call.function_name(), why)
        return calls.answer({"success": True})

    async def enable(call: Call) -> Response:
        await to_the_end(_set(parts, call, None))
        return calls.answer({"success": True})

    return [
        calls.route("POST", DISABLE, Scope.DEPLOY, disable, body=DisableInput),
        calls.route("POST", ENABLE, Scope.DEPLOY, enable),
    ]


async def _set(parts: ControlParts, call: Call, restriction: Restriction | None) -> None:
    name = call.function_name()
    for _ in range(parts.limits.update_tries):
        before = await parts.store.functions.get(call.account_id, name)
        if restriction is None and before.restriction is None:
            return
        after = revisions.following(before, parts.clock.now_ms(), {"restriction": restriction})
        try:
            await parts.store.functions.replace(after)
        except errors.ConcurrentUpdate:
            continue
        parts.on_function_changed(after)
        await parts.changed_around(call.account_id, name)
        return
    raise errors.ConcurrentUpdate(f"function '{name}' is being changed by others too often; try again")
