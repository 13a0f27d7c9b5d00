"""One signed call: bytes out, bytes in, and every failure as one of our errors."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import httpx
import msgspec

from functory import __version__
from functory.sdk import errors, signer
from functory.sdk.credentials import Credentials

CONNECT_TIMEOUT_S = 5.0
Query = Mapping[str, str | int | bool | None]
T = TypeVar("T")


class Reply(NamedTuple):
    """An answer with a status below 400."""

    status: int
    headers: dict[str, str]
    """Names are lower-case."""
    body: bytes


class Transport:
    """Connections to one node, kept open between calls."""

    def __init__(self, credentials: Credentials, *, timeout_s: float = 60.0) -> None:
        self.credentials = credentials
        self._timeout = httpx.Timeout(timeout_s, connect=CONNECT_TIMEOUT_S)
        host = urlsplit(credentials.endpoint).hostname or ""
        self._local = is_loopback(host)
        # A proxy of the environment cannot reach this machine's own loopback.
        self._http = httpx.Client(
            timeout=self._timeout,
            trust_env=not self._local,
            follow_redirects=False,
            headers={"user-agent": f"functory/{__version__}"},
        )

    def close(self) -> None:
        self._http.close()

    def call(
        self,
        action: str,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        wait_s: float | None = 0,
        signed: bool = True,
    ) -> Reply:
        """The answer; `ApiError` for a status of 400 or more.

        `path` is percent-encoded. `wait_s`: how long the answer may take; 0 = the client's time-out, None = for ever.
        """
        encoded = signer.canonical_query(
            [(key, _text(value)) for key, value in (query or {}).items() if value is not None]
        )
        url = f"{self.credentials.endpoint}{path}" + (f"?{encoded}" if encoded else "")
        request = self._http.build_request(method, url, content=body or None, timeout=self._time_limit(wait_s))
        given = {name.lower(): value for name, value in (headers or {}).items()}
        request.headers.update(self._signed(action, request, encoded, given, body) if signed else given)
        try:
            response = self._http.send(request)
        except httpx.HTTPError as failure:
            raise self._explained(failure) from failure
        received = {name.lower(): value for name, value in response.headers.items()}
        if response.status_code >= 400:
            raise errors.from_answer(response.status_code, received, response.content)
        return Reply(response.status_code, received, response.content)

    def json(
        self, answer: type[T], action: str, method: str, path: str, *, query: Query | None = None,
        content: Mapping[str, Any] | None = None, wait_s: float | None = 0, signed: bool = True,
    ) -> T:  # fmt: skip
        """As `call`, with a JSON object both ways."""
        headers = {"accept": "application/json"}
        body = b""
        if content is not None:
            headers["content-type"] = "application/json; charset=utf-8"
            body = msgspec.json.encode(content)
        reply = self.call(action, method, path, query=query, headers=headers, body=body, wait_s=wait_s, signed=signed)
        return decode(answer, action, reply.body)

    def _signed(
        self, action: str, request: httpx.Request, query: str, headers: Mapping[str, str], body: bytes
    ) -> dict[str, str]:
        return signer.signed_headers(
            method=request.method,
            path=request.url.raw_path.partition(b"?")[0].decode("ascii"),
            query=query,
            headers={**headers, "host": request.headers["host"]},
            body=body,
            action=action,
            access_key_id=self.credentials.access_key_id,
            secret=self.credentials.access_key_secret,
            date=signer.now_date(),
            nonce=signer.new_nonce(),
        )

    def _time_limit(self, wait_s: float | None) -> httpx.Timeout:
        return self._timeout if wait_s == 0 else httpx.Timeout(wait_s, connect=CONNECT_TIMEOUT_S)

    def _explained(self, failure: httpx.HTTPError) -> errors.ConnectionFailed:
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
