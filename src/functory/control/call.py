"""One request to the control API as a handler sees it, and how handlers become routes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar
from urllib.parse import parse_qsl, unquote

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from functory.model import errors, ids
from functory.model.account import Principal, Scope
from functory.web import access

T = TypeVar("T")

MAX_QUERY_PAIRS = 100


class Identity(msgspec.Struct, frozen=True):
    """What the door found out about a request before any handler saw it."""

    request_id: str
    principal: Principal | None
    """None on paths that need no key."""
    body: bytes


class Call(msgspec.Struct, frozen=True):
    """One authenticated request."""

    request_id: str
    principal: Principal
    body: bytes
    params: dict[str, str]
    """The open segments of the path, decoded."""
    query: list[tuple[str, str]]
    """Decoded, in the order sent."""
    if_match: str = ""
    """The ETag that the thing must still have; empty = any."""

    @property
    def account_id(self) -> str:
        """Whose things this call is about."""
        return self.principal.account_id

    def function_name(self) -> str:
        """The function that the path names; `InvalidArgument` if that cannot be a name."""
        return ids.check_function_name(self.params["functionName"])


Handler = Callable[[Call], Awaitable[Response]]


class Described(msgspec.Struct, frozen=True):
    """What the OpenAPI document says of a route beside method and path."""

    scope: Scope
    body: type | None = None
    query: type | None = None


def route(
    method: str, path: str, scope: Scope, handler: Handler, *, body: type | None = None, query: type | None = None
) -> Route:
    """A route whose caller must have `scope`. `body` and `query` are what the handler reads, for the description."""

    async def endpoint(request: Request) -> Response:
        identity: Identity = request.scope["state"]["identity"]
        if identity.principal is None:
            raise errors.AccessDenied("this call needs an access key")
        access.require(identity.principal, scope)
        if identity.principal.functions is not None:
            access.require_function(identity.principal, unquote(str(request.path_params.get("functionName", ""))))
        call = Call(
            *(identity.request_id, identity.principal, identity.body, path_params(request), read_query(request.scope)),
            if_match=request.headers.get("if-match", ""),
        )
        return await handler(call)

    endpoint.described = Described(scope, body, query)  # type: ignore[attr-defined]
    return Route(path, endpoint, methods=[method])


def path_params(request: Request) -> dict[str, str]:
    """The open segments. Routes match the path as it was sent, so each is decoded here, once."""
    return {name: unquote(str(value)) for name, value in request.path_params.items()}


def read_query(scope: object) -> list[tuple[str, str]]:
    """The query's pairs; `InvalidArgument` if there are too many or they are not UTF-8."""
    assert isinstance(scope, dict)
    try:
        return parse_qsl(
            scope["query_string"].decode("ascii"),
            keep_blank_values=True,
            errors="strict",
            max_num_fields=MAX_QUERY_PAIRS,
        )
    except ValueError:
        raise errors.InvalidArgument(f"the query is not UTF-8, or has more than {MAX_QUERY_PAIRS} parameters") from None


def typed_query(pairs: list[tuple[str, str]], into: type[T], *, strict: bool) -> T:
    """The query as a struct; empty values count as not given.

    `strict`: names that the struct does not have, and names given twice, are refused; else they are ignored.
    """
    values: dict[str, str] = {}
    for name, value in pairs:
        if strict and name in values:
            raise errors.InvalidArgument(f"query parameter {name[:64]!r} is given twice")
        values[name] = value
    if strict:
        known = {known.encode_name for known in msgspec.structs.fields(into)}  # type: ignore[arg-type]
        for name in values:
            if name not in known:
                allowed = ", ".join(sorted(known)) or "none"
                raise errors.InvalidArgument(f"query parameter {name[:64]!r} is not known here; known: {allowed}")
    try:
        return msgspec.convert({name: value for name, value in values.items() if value}, into, strict=False)
    except msgspec.ValidationError as wrong:
        raise errors.InvalidArgument(f"the query is not valid: {wrong}") from None


def typed_body(body: bytes, into: type[T]) -> T:
    """The JSON body as a struct; `InvalidArgument` names the field that is wrong."""
    try:
        return msgspec.json.decode(body, type=into)
    except msgspec.ValidationError as wrong:
        raise errors.InvalidArgument(f"the body is not valid: {wrong}") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as wrong:
        raise errors.InvalidArgument(f"the body is not JSON: {wrong}") from None


def answer(value: object, status: int = 200, *, etag: str = "") -> Response:
    """A JSON answer."""
    headers = {"etag": etag} if etag else None
    return Response(msgspec.json.encode(value), status, headers, media_type="application/json")


def etag_of(thing_id: str, epoch: int) -> str:
    """The ETag of a revision; another thing under the same name has another."""
    return f'"{thing_id[:12]}-{epoch}"'


def check_match(call: Call, etag: str) -> None:
    """`PreconditionFailed` if the caller asked for another revision than this."""
    if call.if_match not in ("", "*", etag):
        raise errors.PreconditionFailed(f"If-Match {call.if_match[:64]} is not the current ETag {etag}")


def fence(call: Call, epoch: int) -> int:
    """The revision that a removal must find; 0 = any, where the caller has not said which.

    A removal that lost the race is refused as its If-Match is then an old one: read it again and check.
    """
    return epoch if call.if_match not in ("", "*") else 0


def no_content() -> Response:
    """204: it is done and there is nothing to say."""
    return Response(None, 204)
