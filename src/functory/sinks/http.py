"""Deliver by HTTP(S): a signed POST of JSON.

    POST /their/path
    content-type: application/json
    x-functory-delivery: 42-1842                 the same in every attempt
    x-functory-timestamp: 1767225600             seconds since 1970, of this attempt
    x-functory-signature: v1=<hex HMAC-SHA256 of "{timestamp}.{delivery}.{body}" with the account's secret>

2xx means taken. 408, 425, 429 and 5xx, and whatever goes wrong on the way, is tried again; any other answer is final.
Redirects are not followed: a signed body goes where its owner sent it and nowhere else. Where that may be is
`sinks.allowed`'s to say, of each connection anew (`sinks.reach`): what is not allowed is final.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import Callable

import httpcore
import httpx

from functory.clock import Clock
from functory.model import errors
from functory.sinks import base
from functory.sinks.allowed import Allowed
from functory.sinks.base import Delivery
from functory.sinks.reach import NotAllowed, Reach

TIMEOUT_S = 30.0
CONNECT_S = 5.0
MAX_RETRY_AFTER_S = 3600
_CONNECTIONS = 100
_KEPT_S = 30.0
_DRAINED_BYTES = 64 << 10
_LATER = frozenset({408, 425, 429})
_USER_AGENT = "functory"
_FAILURES = (TimeoutError, httpcore.TimeoutException, httpcore.NetworkError, httpcore.ProtocolError)


def sign(secret: bytes, delivery_id: str, timestamp_s: int, body: bytes) -> str:
    """The value of `x-functory-signature`."""
    message = b"%d.%b.%b" % (timestamp_s, delivery_id.encode(), body)
    return "v1=" + hmac.new(secret, message, hashlib.sha256).hexdigest()


class HttpSink:
    """`sinks.base.Sink` for URLs. `secret_of` answers an account's signing secret."""

    def __init__(
        self,
        secret_of: Callable[[str], bytes],
        *,
        clock: Clock,
        allowed: Allowed,
        timeout_s: float = TIMEOUT_S,
        reach: Reach | None = None,
    ) -> None:
        self._secret_of = secret_of
        self._clock = clock
        self._timeout_s = timeout_s
        self._reach = reach or Reach(allowed)
        self._pool: httpcore.AsyncConnectionPool | None = None

    async def start(self) -> None:
        """Ready to connect."""
        trusted = httpcore.default_ssl_context()
        trusted.load_default_certs()  # an operator's own authority is known to the system
        # No proxy: the one of the operator's shell is not where users' results go.
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=trusted,
            max_connections=_CONNECTIONS,
            keepalive_expiry=_KEPT_S,
            network_backend=self._reach,
        )

    async def stop(self) -> None:
        """Close the connections."""
        pool, self._pool = self._pool, None
        if pool is not None:
            await pool.aclose()

    async def check(self, url: str) -> None:
        """`InvalidArgument` if deliveries to the URL are not allowed as things stand."""
        target = _target(url)
        await self._reach.check(target.host.decode("ascii"), _port(target))

    async def deliver(self, delivery: Delivery) -> None:
        """Returns once the other side answered 2xx."""
        if self._pool is None:
            raise errors.Unavailable("the HTTP sink is not running")
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._post(self._pool, delivery)
        except NotAllowed as refusal:
            raise base.Undeliverable(str(refusal)) from refusal
        except errors.InvalidArgument as reason:
            raise base.Undeliverable(reason.message) from reason
        except _FAILURES as reason:
            said = str(reason) or f"no answer in {self._timeout_s:g} s"
            raise base.NotNow(f"{type(reason).__name__}: {said}") from reason

    async def _post(self, pool: httpcore.AsyncConnectionPool, delivery: Delivery) -> None:
        url = _target(delivery.destination)
        connect_s = min(CONNECT_S, self._timeout_s)
        async with pool.stream(
            "POST",
            url,
            headers=self._headers(delivery),
            content=delivery.body,
            extensions={"timeout": {"connect": connect_s, "read": self._timeout_s, "write": self._timeout_s}},
        ) as answer:
            _judge(answer)
            await _drain(answer)

    def _headers(self, delivery: Delivery) -> list[tuple[bytes | str, bytes | str]]:
        now_s = int(self._clock.now_s())
        headers = {
            "content-type": "application/json",
            "user-agent": _USER_AGENT,
            "x-functory-delivery": delivery.id,
            "x-functory-timestamp": str(now_s),
            "x-functory-signature": sign(self._secret_of(delivery.account_id), delivery.id, now_s, delivery.body),
            "traceparent": delivery.trace_parent,
        }
        return [(name, value) for name, value in headers.items() if value]


def _target(url: str) -> httpcore.URL:
    try:
        parsed = httpx.URL(url)  # brings names and paths into the form that goes over the wire
    except (httpx.InvalidURL, UnicodeError) as reason:
        raise errors.InvalidArgument(f"destination {url[:200]!r} is not a valid URL: {reason}") from reason
    return httpcore.URL(scheme=parsed.raw_scheme, host=parsed.raw_host, port=parsed.port, target=parsed.raw_path)


def _port(url: httpcore.URL) -> int:
    return url.port or (443 if url.scheme == b"https" else 80)


def _judge(answer: httpcore.Response) -> None:
    if 200 <= answer.status < 300:
        return
    said = f"it answered {answer.status} {answer.extensions.get('reason_phrase', b'').decode('latin-1')}".rstrip()
    if answer.status in _LATER or answer.status >= 500:
        raise base.NotNow(said, retry_after_ms=_retry_after_ms(answer))
    raise base.Undeliverable(said)


async def _drain(answer: httpcore.Response) -> None:
    """A short body is read, so that the connection can be used again; it is of no interest, and may be without end."""
    read = 0
    async for piece in answer.aiter_stream():
        read += len(piece)
        if read > _DRAINED_BYTES:
            return


def _retry_after_ms(answer: httpcore.Response) -> int:
    """Seconds only: the form with a date depends on two clocks."""
    text = next((value for name, value in answer.headers if name.lower() == b"retry-after"), b"").decode("latin-1")
    return min(int(text), MAX_RETRY_AFTER_S) * 1000 if text.isascii() and text.isdigit() and len(text) < 9 else 0
