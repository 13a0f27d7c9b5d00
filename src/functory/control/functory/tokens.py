"""`POST /functory/v1/tokens`: call tokens."""

from __future__ import annotations

import msgspec
from starlette.responses import Response
from starlette.routing import Route

from functory.control import call as calls
from functory.control.call import Call
from functory.control.functory.node import NoQuery
from functory.control.parts import ControlParts
from functory.model import errors, ids
from functory.model.account import Scope

PATH = "/functory/v1/tokens"
MAX_FUNCTIONS = 50
MAX_EXPIRES_S = 7 * 24 * 3600


class TokenInput(msgspec.Struct, frozen=True, kw_only=True, rename="camel", forbid_unknown_fields=True):
    """Which token is wanted."""

    functions: list[str] | None = None
    """The only functions it may call; null = all."""
    expires_in_seconds: int = 3600


def routes(parts: ControlParts) -> list[Route]:
    """The route of this room."""

    async def make(call: Call) -> Response:
        calls.typed_query(call.query, NoQuery, strict=True)
        given = calls.typed_body(call.body, TokenInput)
        _check(given)
        if call.principal.role:
            raise errors.AccessDenied(
                "temporary credentials cannot make call tokens, which would outlive them", hint="use an access key"
            )
        token, expires_at_ms = parts.tokens.make(call.principal, given.functions, given.expires_in_seconds)
        return calls.answer({"token": token, "expiresAtMs": expires_at_ms})

    return [calls.route("POST", PATH, Scope.DEPLOY, make)]


def _check(given: TokenInput) -> None:
    if not 1 <= given.expires_in_seconds <= MAX_EXPIRES_S:
        raise errors.InvalidArgument(f"expiresInSeconds {given.expires_in_seconds} is not valid: 1 to {MAX_EXPIRES_S}")
    if given.functions is None:
        return
    if not 1 <= len(given.functions) <= MAX_FUNCTIONS:
        raise errors.InvalidArgument(
            f"functions names {len(given.functions)}; 1 to {MAX_FUNCTIONS} are allowed", hint="null means all functions"
        )
    for name in given.functions:
        ids.check_function_name(name)
