"""The door of the control API: every request passes it once, on the way in and on the way out.

in    1 a request id  2 the signature, over the target as sent and the body hash it claims  3 the body, bounded
      4 its real hash against the claimed one  5 the handler, with the principal
out   the request id on every answer; every error as JSON; nothing but headers to HEAD

The signature is checked before the body is read, so that only holders of a key can make the node buffer 70 MB.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from hashlib import sha256
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from functory.control import bodies
from functory.control.call import Identity
from functory.control.fc import operations
from functory.control.parts import ControlParts
from functory.model import errors
from functory.model.account import Principal
from functory.model.audit import MAX_TEXT, AuditEvent
from functory.web import acs3, problems

_LAYERS = ("2023-03-30", "layers", "versions")
HASH_INLINE_BYTES = 256 * 1024
"""A longer body is hashed in a thread: a millisecond on the loop is one of every caller's."""


class Door:
    """The ASGI middleware around the router."""

    def __init__(self, app: ASGIApp, *, parts: ControlParts, is_open: Callable[[str, str], bool]) -> None:
        """`is_open`: whether a method and raw path need no access key."""
        self._app = app
        self._parts = parts
        self._is_open = is_open

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = self._parts.new_request_id()
        out = _Out(send, request_id, head=scope["method"] == "HEAD")
        code = ""
        try:
            await self._enter(scope, receive, out, request_id)
        except Exception as error:
            if out.started:
                raise
            out.status, code = problems.status_of(error), problems.code_of(error)
            await _send_problem(send, error, request_id, head=out.head)
        finally:
            self._tell(scope, out, request_id, code)

    async def _enter(self, scope: Scope, receive: Receive, out: _Out, request_id: str) -> None:
        raw_path: bytes = scope["raw_path"]
        path = raw_path.decode("latin-1")
        principal: Principal | None = None
        claimed = ""
        if not self._is_open(scope["method"], path):
            claimed = acs3.claimed_body_sha256(scope["headers"])
            out.principal = principal = self._verify(scope, raw_path, claimed)
        body = await _read_body(receive, scope["headers"], self._body_limit(scope["method"], path))
        if principal is not None:
            await _check_hash(body, claimed)
        # The router matches the path as it was sent: an encoded slash stays within its segment.
        inner: dict[str, Any] = dict(scope, path=path, root_path="")
        inner["state"] = state = {**scope.get("state", {}), "identity": Identity(request_id, principal, body)}
        try:
            await self._app(inner, _nothing_more, out)
        finally:
            out.principal = principal or state.get("principal")

    def _verify(self, scope: Scope, raw_path: bytes, claimed: str) -> Principal:
        query: bytes = scope["query_string"]
        target = raw_path + b"?" + query if query else raw_path
        request = acs3.SignedRequest(scope["method"], target, list(scope["headers"]), claimed)
        parts = self._parts
        return acs3.verify(request, parts.keys, parts.nonces, parts.clock.now_ms(), parts.sessions)

    def _tell(self, scope: Scope, out: _Out, request_id: str, code: str) -> None:
        """The audit event of the call. One by nobody is told to the owner, who alone can do something about it."""
        method, path = scope["method"], scope["raw_path"].decode("latin-1")
        if out.principal is None and self._is_open(method, path):
            return
        operation = operations.find(method, path)
        who = out.principal
        self._parts.on_call(
            AuditEvent(
                request_id=request_id,
                at_ms=self._parts.clock.now_ms(),
                account_id=who.account_id if who else self._parts.owner_account(),
                access_key_id=who.access_key_id if who else "",
                method=method,
                path=path[:MAX_TEXT],
                operation=operation.name if operation else "",
                status=out.status,
                code=code,
                changes=who is not None and method not in ("GET", "HEAD"),
            )
        )

    def _body_limit(self, method: str, path: str) -> int:
        """Only the calls that carry code may be long."""
        parts = path.split("/")
        if method == "POST" and len(parts) == 5 and (parts[1], parts[2], parts[4]) == _LAYERS:
            return self._parts.limits.code_body_bytes
        if parts[1:3] == ["2023-03-30", "functions"] and (method, len(parts)) in {("POST", 3), ("PUT", 4)}:
            return self._parts.limits.code_body_bytes
        return self._parts.limits.body_bytes


class _Out:
    """The way out: adds the request id, and keeps the body from HEAD."""

    def __init__(self, send: Send, request_id: str, *, head: bool) -> None:
        self._send = send
        self._ids = problems.id_headers(request_id)
        self.head = head
        self.started = False
        self.status = 0
        """What was answered; 0 = the client was gone before."""
        self.principal: Principal | None = None
        """Who asks, once it is known."""

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.started = True
            self.status = message["status"]
            message = {**message, "headers": [*message.get("headers", ()), *self._ids]}
        elif self.head and message["type"] == "http.response.body":
            message = {**message, "body": b""}
        await self._send(message)


async def _read_body(receive: Receive, headers: list[tuple[bytes, bytes]], limit: int) -> bytes:
    """The whole body, or `EntityTooLarge` as soon as it is known to be longer than `limit`."""
    for name, value in headers:
        if name == b"content-length" and value.isdigit() and int(value[:20]) > limit:
            raise _too_large(limit)
    return await bodies.read(receive, limit, _too_large(limit))


def _too_large(limit: int) -> errors.EntityTooLarge:
    return errors.EntityTooLarge(
        f"the body is larger than {limit} bytes, the most this call takes",
        hint="code that is larger can leave its dependencies to a layer",
    )


async def _check_hash(body: bytes, claimed: str) -> None:
    digest = await asyncio.to_thread(_hash, body) if len(body) > HASH_INLINE_BYTES else _hash(body)
    if digest != claimed:
        raise errors.SignatureNotMatch("x-acs-content-sha256 is not the SHA-256 of the body that arrived")


def _hash(body: bytes) -> str:
    return sha256(body).hexdigest()


async def _nothing_more() -> Message:
    """The body is read already."""
    return {"type": "http.request", "body": b"", "more_body": False}


async def _send_problem(send: Send, error: Exception, request_id: str, *, head: bool) -> None:
    status, headers, body = problems.problem(error, request_id)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": b"" if head else body})
