"""InvokeFunction: who calls, what, run it, answer. The hot path.

    1 authenticate   a call token (checked once, then remembered with the head) or an ACS3 signature
    2 invoke         the waist; calls back with the outcome
    3 answer         one write for a small reply; cut-through for a streamed one

No coroutine, no task, no future: the outcome calls back. Every microsecond here is paid by every call.
"""

from __future__ import annotations

import asyncio
import hashlib
import http
from collections.abc import Callable
from typing import Protocol

from functory.clock import Clock
from functory.gateway import answer, submit
from functory.gateway.body import FileBody
from functory.gateway.callers import Callers
from functory.gateway.head import Head
from functory.model import errors
from functory.model.account import Principal
from functory.model.invocation import Invocation, Invoke, Outcome, Status
from functory.tasks.accept import Accepted
from functory.web import access, acs3, problems
from functory.web.nonces import Nonces
from functory.web.signers import NO_SESSIONS, Keys, Sessions

_EMPTY_SHA256 = hashlib.sha256().hexdigest()
_BEARER = b"Bearer "
_TOKENS_MAX = 10_000


class Tokens(Protocol):
    """Checks call tokens: `web.tokens.CallTokens`."""

    def check(self, token: str) -> Principal:
        """Whose token it is; `Denied`."""


class Client(Protocol):
    """The connection that an answer goes to."""

    peer: str
    """The address that the call comes from."""

    @property
    def keep_alive(self) -> bool:
        """Whether the connection stays open after this answer."""

    @property
    def gone(self) -> bool:
        """The client has left."""

    def reply(self, data: bytes) -> None:
        """Sends a whole answer and ends the request."""

    def stream_to(self, head: bytes, outcome: Outcome, *, chunked: bool) -> None:
        """Sends a head, then the outcome's stream as it comes."""


class Calls:
    """Serves InvokeFunction."""

    def __init__(
        self,
        *,
        invoke: Invoke,
        clock: Clock,
        new_request_id: Callable[[], str],
        keys: Keys,
        nonces: Nonces,
        tokens: Tokens,
        sessions: Sessions = NO_SESSIONS,
        submit_task: submit.Submit | None = None,
        submit_max_bytes: int = 131_072,
        callers: Callers | None = None,
    ) -> None:
        self._invoke = invoke
        self._clock = clock
        self._now = clock.monotonic_ns
        self._new_request_id = new_request_id
        self._keys = keys
        self._nonces = nonces
        self._tokens = tokens
        self._sessions = sessions
        self._submit = submit_task
        self._submit_max_bytes = submit_max_bytes
        self._callers = callers or Callers()
        self._checked: dict[bytes, Principal] = {}
        self._headers = answer.FunctionHeaders()
        self.keys_generation = 0

    def keys_changed(self) -> None:
        """Keys were added, changed or deactivated: nothing remembered about tokens is valid."""
        self.keys_generation += 1
        self._checked.clear()

    def call(self, client: Client, head: Head, payload: bytes, body: FileBody | None, body_sha256: str) -> None:
        """Serves one call; the answer goes to `client` when it is there."""
        request_id = self._new_request_id()
        try:
            principal = head.principal
            if principal is None or head.principal_generation != self.keys_generation or self._expired(principal):
                principal = self._authenticate(head, payload, body_sha256)
            if self._callers.bound:
                self._callers.check(principal.account_id, _name_of(head), client.peer)
            if head.invocation_type and head.invocation_type != b"sync":
                self._call_later(client, head, principal, request_id, payload, body)
                return
            invocation = self._invocation(request_id, head, principal, payload, body)
            pending = self._invoke(invocation)
        except Exception as error:
            if body is not None:
                body.close()
            self.refuse(client, error, request_id)
            return
        if pending.outcome is not None:
            self._answer(client, head, invocation, pending.outcome)
        else:
            pending.then(lambda outcome: self._answer(client, head, invocation, outcome))

    def refuse(self, client: Client, error: BaseException, request_id: str = "") -> None:
        """Answers with an error."""
        status, headers, body = problems.problem(error, request_id or self._new_request_id())
        reason = http.HTTPStatus(status).phrase
        client.reply(answer.small(status, reason, headers, body, keep_alive=client.keep_alive))

    # --- 1 and 2 ------------------------------------------------------------------------------------------------------

    def _invocation(
        self, request_id: str, head: Head, principal: Principal, payload: bytes, body: FileBody | None
    ) -> Invocation:
        target = head.call
        assert target is not None
        return Invocation(
            request_id=request_id,
            account_id=principal.account_id,
            function_name=target.name,
            qualifier=target.qualifier,
            payload=payload,
            body=body,
            accepted_ns=self._now(),
            trace_parent=head.trace_parent,
            sticky=head.sticky,
        )

    def _call_later(
        self, client: Client, head: Head, principal: Principal, request_id: str, payload: bytes, body: FileBody | None
    ) -> None:
        """An asynchronous call: 202 once its task is durable."""
        kind, target = head.invocation_type, head.call
        assert target is not None
        if kind != b"async":
            raise errors.InvalidArgument(
                f"x-fc-invocation-type {kind[:40].decode('latin-1')!r} is neither Sync nor Async"
            )
        if self._submit is None:
            raise errors.Unavailable("this node takes no asynchronous calls")
        accepted = self._submit(
            submit.submission(
                head,
                account_id=principal.account_id,
                name=target.name,
                qualifier=target.qualifier,
                request_id=request_id,
                payload=payload,
                body=body,
                max_bytes=self._submit_max_bytes,
            )
        )
        accepted.add_done_callback(lambda done: self._accepted(client, done, request_id))

    def _accepted(self, client: Client, done: asyncio.Future[Accepted], request_id: str) -> None:
        failure = errors.Unavailable("the node stops") if done.cancelled() else done.exception()
        if client.gone:
            return
        if failure is not None:
            self.refuse(client, failure, request_id)
        else:
            client.reply(submit.answer(done.result(), keep_alive=client.keep_alive))

    def _expired(self, principal: Principal) -> bool:
        return bool(principal.expires_at_ms) and principal.expires_at_ms <= self._clock.now_ms()

    def _authenticate(self, head: Head, payload: bytes, body_sha256: str) -> Principal:
        authorization = head.authorization
        if authorization.startswith(_BEARER):
            principal = self._checked.get(authorization)
            if principal is None or self._expired(principal):
                principal = self._tokens.check(authorization[len(_BEARER) :].decode("latin-1"))
                if len(self._checked) >= _TOKENS_MAX:
                    self._checked.clear()
                self._checked[authorization] = principal
            access.require_call(principal, _name_of(head))
            head.principal = principal
            head.principal_generation = self.keys_generation
            return principal
        digest = body_sha256 or (hashlib.sha256(payload).hexdigest() if payload else _EMPTY_SHA256)
        request = acs3.SignedRequest(head.method, head.target, head.headers, digest)
        principal = acs3.verify(request, self._keys, self._nonces, self._clock.now_ms(), self._sessions)
        access.require_call(principal, _name_of(head))
        return principal

    # --- 3 ------------------------------------------------------------------------------------------------------------

    def _answer(self, client: Client, head: Head, invocation: Invocation, outcome: Outcome) -> None:
        if client.gone:
            if outcome.stream is not None:
                outcome.stream.cancel()
            return
        if outcome.status is Status.THROTTLED or outcome.status is Status.SYSTEM:
            refusal = answer.refusal(outcome)
            assert refusal is not None
            self.refuse(client, refusal, invocation.request_id)
            return
        function = invocation.function
        assert function is not None
        constant = self._headers.of(function)
        stream = outcome.stream
        if stream is None:
            payload = outcome.payload
            first = answer.head(
                invocation, outcome, constant, length=len(payload), tail=head.log_tail, keep_alive=client.keep_alive
            )
            client.reply(first + payload)
            return
        size = stream.size_bytes
        chunked = size is None and client.keep_alive and head.version == "1.1"
        first = answer.head(
            invocation,
            outcome,
            constant,
            length=size,
            tail=head.log_tail,
            keep_alive=client.keep_alive and (size is not None or chunked),
        )
        client.stream_to(first, outcome, chunked=chunked)


def _name_of(head: Head) -> str:
    assert head.call is not None
    return head.call.name
