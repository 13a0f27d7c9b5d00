"""What a call is, before and after it goes over the wire: the same for the blocking client and the asynchronous one."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping
from typing import Any, Generic, NamedTuple, TypedDict, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec

from functory import __version__
from functory.sdk import errors, signer
from functory.sdk.credentials import Credentials

CONNECT_TIMEOUT_S = 5.0
Query = Mapping[str, str | int | bool | None]
T = TypeVar("T")
_NOTHING: Mapping[str, Any] = {}


class Reply(NamedTuple):
    """An answer with a status below 400."""

    status: int
    headers: dict[str, str]
    """Names are lower-case."""
    body: bytes


class Ask(NamedTuple, Generic[T]):
    """One call, not yet made."""

    action: str
    method: str
    path: str
    """Percent-encoded."""
    read: Callable[[Reply], T]
    """What the answer means."""
    query: Query = _NOTHING
    headers: Mapping[str, str] = _NOTHING
    body: bytes = b""
    wait_s: float | None = 0
    """How long the answer may take; 0 = the client's time-out, None = for ever."""
    signed: bool = True


class Options(TypedDict):
    """What both kinds of httpx client are made with."""

    timeout: httpx.Timeout
    trust_env: bool
    follow_redirects: bool
    headers: dict[str, str]


class Wire:
    """One node, one key: calls to requests, answers to values or errors."""

    def __init__(self, credentials: Credentials, *, timeout_s: float = 60.0) -> None:
        self.credentials = credentials
        # Many calls at once share a bounded number of connections: waiting for one of them is no failure.
        self._timeout = httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S, pool=None)
        self._local = is_loopback(urlsplit(credentials.endpoint).hostname or "")

    def options(self) -> Options:
        """A proxy of the environment cannot reach this machine's own loopback."""
        return Options(
            timeout=self._timeout,
            trust_env=not self._local,
            follow_redirects=False,
            headers={"user-agent": f"functory/{__version__}"},
        )

    def request(self, http: httpx.Client | httpx.AsyncClient, ask: Ask[Any]) -> httpx.Request:
        """The call as it is sent: signed anew each time."""
        query = signer.canonical_query([(key, _text(value)) for key, value in ask.query.items() if value is not None])
        url = f"{self.credentials.endpoint}{ask.path}" + (f"?{query}" if query else "")
        request = http.build_request(ask.method, url, content=ask.body or None, timeout=self._time_limit(ask.wait_s))
        given = {name.lower(): value for name, value in ask.headers.items()}
        request.headers.update(self._signed(ask, request, query, given) if ask.signed else given)
        return request

    def reply(self, response: httpx.Response) -> Reply:
        """The answer; `ApiError` for a status of 400 or more."""
        received = {name.lower(): value for name, value in response.headers.items()}
        if response.status_code >= 400:
            raise errors.from_answer(response.status_code, received, response.content)
        return Reply(response.status_code, received, response.content)

    def explained(self, failure: httpx.HTTPError) -> errors.ConnectionFailed:
        """Why no answer came."""
        endpoint = self.credentials.endpoint
        hint = "check the endpoint (--endpoint, or FUNCTORY_ENDPOINT) and the network"
        if self._local:
            hint = "is the node running? start it with ./dev up"
        if isinstance(failure, httpx.ReadTimeout):
            return errors.ConnectionFailed(f"{endpoint} did not answer in time", hint="it may be busy: functory doctor")
        if isinstance(failure, httpx.ConnectTimeout):
            return errors.ConnectionFailed(f"cannot reach {endpoint}: no answer in {CONNECT_TIMEOUT_S:g} s", hint=hint)
        if isinstance(failure, httpx.ConnectError):
            return errors.ConnectionFailed(f"cannot reach {endpoint}: {_reason(failure)}", hint=hint)
        return errors.ConnectionFailed(f"the connection to {endpoint} broke off: {_reason(failure)}", hint=hint)

    def _signed(self, ask: Ask[Any], request: httpx.Request, query: str, headers: Mapping[str, str]) -> dict[str, str]:
        return signer.signed_headers(
            method=request.method,
            path=request.url.raw_path.partition(b"?")[0].decode("ascii"),
            query=query,
            headers={**headers, "host": request.headers["host"]},
            body=ask.body,
            action=ask.action,
            access_key_id=self.credentials.access_key_id,
            secret=self.credentials.access_key_secret,
            date=signer.now_date(),
            nonce=signer.new_nonce(),
        )

    def _time_limit(self, wait_s: float | None) -> httpx.Timeout:
        return self._timeout if wait_s == 0 else httpx.Timeout(wait_s, connect=CONNECT_TIMEOUT_S, pool=None)


def whole(reply: Reply) -> Reply:
    """The answer as it came."""
    return reply


def json_ask(
    answer: type[T],
    action: str,
    method: str,
    path: str,
    *,
    query: Query | None = None,
    content: Mapping[str, Any] | None = None,
    wait_s: float | None = 0,
    signed: bool = True,
) -> Ask[T]:
    """A call with a JSON object both ways."""
    headers = {"accept": "application/json"}
    if content is not None:
        headers["content-type"] = "application/json; charset=utf-8"
    return Ask(
        action,
        method,
        path,
        lambda reply: decode(answer, action, reply.body),
        query=query or {},
        headers=headers,
        body=b"" if content is None else msgspec.json.encode(content),
        wait_s=wait_s,
        signed=signed,
    )


def decode(answer: type[T], action: str, body: bytes) -> T:
    """`body` as an `answer`; `ConnectionFailed` if it is none: then it is not a Functory node that answers."""
    try:
        return msgspec.json.decode(body or b"{}", type=answer)
    except msgspec.MsgspecError as failure:
        raise errors.ConnectionFailed(
            f"the answer to {action} is not what a Functory node says: {failure}",
            hint="is another program listening there, or a node of another version?",
        ) from failure


def is_loopback(host: str) -> bool:
    """Whether `host` is this machine's own address."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def _text(value: str | int | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _reason(failure: Exception) -> str:
    """`Connection refused`, of `[Errno 111] Connection refused`."""
    return str(failure).rpartition("] ")[2] or type(failure).__name__
