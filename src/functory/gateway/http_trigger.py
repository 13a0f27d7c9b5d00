"""HTTP triggers and custom domains: from a request of anybody's to a function and back. Called back, no tasks.

    1 admit     the URL is known · preflight answered · method · who calls (anonymous, signature, token)
    2 event     JSON v1 around the body; large bodies in a thread, so that nobody else waits for the encoding
    3 invoke    the waist, kind http
    4 answer    a return value mapped to HTTP at once; a stream passed on as it comes, its first piece may be the head

What depends on the head alone is made once per head and kept with it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from functory.clock import Clock
from functory.gateway import answer, event_json, http_answer
from functory.gateway.body import FileBody
from functory.gateway.head import Head
from functory.gateway.http_answer import BAD_ANSWER, Answer, BadAnswer
from functory.gateway.peek import NO_BODY, Client, Peek
from functory.gateway.targets import Bound, Target
from functory.gateway.tunnel import Handshake
from functory.model import errors
from functory.model.account import Scope
from functory.model.invocation import Invocation, Invoke, Kind, Outcome, Sink
from functory.model.trigger import AuthKind
from functory.web import access, problems, trigger_signature
from functory.web.jwt_rules import Lookup
from functory.web.signers import NO_SESSIONS, Keys, Sessions

THREAD_BYTES = 256 * 1024
"""From this size a body or answer is encoded in a thread."""


class HttpTriggers:
    """Serves requests whose head is bound."""

    def __init__(
        self,
        *,
        invoke: Invoke,
        clock: Clock,
        new_request_id: Callable[[], str],
        keys: Keys,
        folder: str,
        sessions: Sessions = NO_SESSIONS,
        takes_upgrades: Callable[[str, str, str], None] = lambda _account, _name, _qualifier: None,
    ) -> None:
        """`takes_upgrades`: raises why a function cannot serve WebSockets, by account, name and qualifier."""
        self._invoke = invoke
        self._clock = clock
        self._now = clock.monotonic_ns
        self._new_request_id = new_request_id
        self._keys = keys
        self._sessions = sessions
        self._folder = folder
        self._takes_upgrades = takes_upgrades
        self._stamp = event_json.Stamp()
        self._running: set[asyncio.Task[None]] = set()

    def call(self, client: Client, head: Head, payload: bytes, body: FileBody | None) -> None:
        """Serves one request; the answer goes to `client` when it is there."""
        request_id = self._new_request_id()
        bound = head.bound
        assert bound is not None
        try:
            if self._admit(client, head, bound, request_id):
                tail = self._stamp.tail(request_id, self._clock.now_ms())
                if body is None and len(payload) <= THREAD_BYTES:
                    self._run(client, head, bound, request_id, event_json.whole(bound, payload, tail), None)
                else:
                    self._later(self._run_large(client, head, bound, request_id, payload, body, tail))
                return
        except Exception as error:
            self._refuse(client, head, bound, error, request_id)
        if body is not None:
            body.close()

    # --- 1 ------------------------------------------------------------------------------------------------------------

    def _admit(self, client: Client, head: Head, bound: Bound, request_id: str) -> bool:
        """Whether the function shall run; False: it is answered already."""
        target = bound.target
        if bound.refusal is not None:
            raise bound.refusal
        assert target is not None
        if target.cors is not None:
            origin = head.get(b"origin")
            if origin and head.method == "OPTIONS" and head.get(b"access-control-request-method"):
                lines = target.cors.preflight(origin, head.get(b"access-control-request-headers")[:1024])
                self.send(client, head, Answer(204, b"", b""), request_id, lines)
                return False
            bound.cors_lines = target.cors.lines(origin)
        if head.method not in target.methods:
            raise errors.MethodNotAllowed(f"{head.method} is not among the methods of this URL")
        if target.auth is AuthKind.FUNCTION:
            self._check_signature(head, target)
        elif target.auth is AuthKind.JWT:
            self._check_token(client, head, bound, target)
        if head.upgrade:
            self._takes_upgrades(target.account_id, target.function_name, target.qualifier)
        if not bound.before:
            event_json.prepare(bound, head, client.peer, target.jwt, None)
        return True

    def _check_signature(self, head: Head, target: Target) -> None:
        principal = trigger_signature.verify(
            *(head.method, head.target, head.headers, self._keys, self._clock.now_ms(), self._sessions)
        )
        if principal.account_id != target.account_id or not principal.may(Scope.INVOKE):
            raise errors.AccessDenied("this access key may not call this URL")
        access.require_function(principal, target.function_name)

    def _check_token(self, client: Client, head: Head, bound: Bound, target: Target) -> None:
        """Checks a token once per head; afterwards only its end."""
        rules = target.jwt
        assert rules is not None
        now_ms = self._clock.now_ms()
        if bound.before and (bound.claims_until_ms == 0 or now_ms < bound.claims_until_ms):
            return
        claims = None
        if rules.needed(event_json.decoded_path(bound)):
            token = next((found for place in rules.lookups if (found := _looked_up(place, head, bound))), "")
            claims = rules.check(token, now_ms)
        event_json.prepare(bound, head, client.peer, rules, claims)
        bound.claims_until_ms = claims.expires_ms if claims is not None else 0

    # --- 2 and 3 ------------------------------------------------------------------------------------------------------

    def _run(
        self, client: Client, head: Head, bound: Bound, request_id: str, payload: bytes, body: FileBody | None
    ) -> None:
        target = bound.target
        assert target is not None
        invocation = Invocation(
            request_id=request_id,
            account_id=target.account_id,
            function_name=target.function_name,
            qualifier=target.qualifier,
            payload=payload,
            body=body,
            kind=Kind.HTTP,
            accepted_ns=self._now(),
            trace_parent=head.trace_parent,
            sticky=head.sticky,
            upgrade=head.upgrade,
        )
        pending = self._invoke(invocation)
        if pending.outcome is not None:
            self._answer(client, head, bound, request_id, pending.outcome)
        else:
            pending.then(lambda outcome: self._answer(client, head, bound, request_id, outcome))

    async def _run_large(
        self,
        client: Client,
        head: Head,
        bound: Bound,
        request_id: str,
        payload: bytes,
        body: FileBody | None,
        tail: bytes,
    ) -> None:
        event: FileBody | None = None
        try:
            if body is None:
                payload = await asyncio.to_thread(event_json.whole, bound, payload, tail)
            else:
                payload = b""
                event = await asyncio.to_thread(event_json.spilled, bound, body, tail, self._folder)
            self._run(client, head, bound, request_id, payload, event)
        except Exception as error:
            if event is not None:
                event.close()
            self._refuse(client, head, bound, error, request_id)

    # --- 4 ------------------------------------------------------------------------------------------------------------

    def _answer(self, client: Client, head: Head, bound: Bound, request_id: str, outcome: Outcome) -> None:
        stream = outcome.stream
        if client.gone:
            if stream is not None:
                stream.cancel()
            return
        refusal = answer.refusal(outcome)
        if refusal is not None:
            self._refuse(client, head, bound, refusal, request_id)
        elif stream is not None:
            sink: Sink = Peek(self, client, head, bound, request_id, stream)
            if outcome.two_way is not None:
                sink = Handshake(client, outcome.two_way, request_id, sink)
            stream.start(sink)
        elif outcome.error_type:
            self.send(client, head, http_answer.of_failure(outcome, request_id), request_id, bound.cors_lines)
        else:
            self.returned(client, head, bound, request_id, outcome.payload)

    def returned(self, client: Client, head: Head, bound: Bound, request_id: str, payload: bytes) -> None:
        """Answers with a whole return value."""
        if len(payload) > THREAD_BYTES:
            self._later(self._returned_large(client, head, bound, request_id, payload))
            return
        self.send(client, head, _mapped(payload, request_id), request_id, bound.cors_lines)

    async def _returned_large(self, client: Client, head: Head, bound: Bound, request_id: str, payload: bytes) -> None:
        mapped = await asyncio.to_thread(_mapped, payload, request_id)
        self.send(client, head, mapped, request_id, bound.cors_lines)

    def send(self, client: Client, head: Head, mapped: Answer, request_id: str, cors_lines: bytes) -> None:
        """Writes a whole answer."""
        if client.gone:
            return
        if cors_lines:
            mapped = mapped._replace(lines=http_answer.without_cors(mapped.lines))
        first = http_answer.head(
            mapped, request_id, cors_lines, length=len(mapped.body), keep_alive=client.keep_alive, chunked=False
        )
        client.reply(first if head.method == "HEAD" or mapped.status in NO_BODY else first + mapped.body)

    def _refuse(self, client: Client, head: Head, bound: Bound, error: BaseException, request_id: str) -> None:
        status, headers, body = problems.problem(error, request_id)
        if isinstance(error, errors.MethodNotAllowed) and bound.target is not None:
            headers.append((b"allow", ", ".join(sorted(bound.target.methods)).encode()))
        lines = b"".join(
            b"%b: %b\r\n" % one for one in headers if one[0] not in (b"content-length", b"x-fc-request-id")
        )
        self.send(client, head, Answer(status, lines, body), request_id, bound.cors_lines)

    def _later(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work, name="http trigger")
        self._running.add(task)
        task.add_done_callback(self._running.discard)


def _mapped(payload: bytes, request_id: str) -> Answer:
    try:
        return http_answer.of_return(payload)
    except BadAnswer as bad:
        return http_answer.failure(502, BAD_ANSWER, str(bad), BAD_ANSWER, request_id)


def _looked_up(place: Lookup, head: Head, bound: Bound) -> str:
    """The token where one place says it is, or empty."""
    kind, name, prefix = place
    if kind == "header":
        value = head.get(name.encode("latin-1", "replace")).decode("latin-1")
    elif kind == "query":
        value = event_json.parameters(bound.query).get(name, "")
    else:
        value = _cookie(head.get(b"cookie").decode("latin-1"), name)
    value = value.strip()
    if prefix:
        if value[: len(prefix)].lower() != prefix.lower():
            return ""
        value = value[len(prefix) :].strip()
    return value


def _cookie(cookies: str, name: str) -> str:
    for part in cookies.split(";"):
        key, _, value = part.strip().partition("=")
        if key == name:
            return value
    return ""
