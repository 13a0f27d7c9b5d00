"""Deliver by HTTP(S): a signed POST of JSON.

    POST /their/path
    content-type: application/json
    x-functory-delivery: 42-1842                 the same in every attempt
    x-functory-timestamp: 1767225600             seconds since 1970, of this attempt
    x-functory-signature: v1=<hex HMAC-SHA256 of "{timestamp}.{delivery}.{body}" with the account's secret>

2xx means taken. 408, 425, 429 and 5xx, and whatever goes wrong on the way, is tried again; any other answer is final.
Redirects are not followed: a signed body goes where its owner sent it and nowhere else.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable

import httpx

from functory.clock import Clock
from functory.model import errors
from functory.sinks import base
from functory.sinks.base import Delivery

TIMEOUT_S = 30.0
CONNECT_S = 5.0
MAX_RETRY_AFTER_S = 3600
_LATER = frozenset({408, 425, 429})
_USER_AGENT = "functory"


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
        timeout_s: float = TIMEOUT_S,
        transport: httpx.AsyncBaseTransport | None = None,
    ) -> None:
        self._secret_of = secret_of
        self._clock = clock
        self._timeout = httpx.Timeout(timeout_s, connect=min(CONNECT_S, timeout_s))
        self._transport = transport
        self._client: httpx.AsyncClient | None = None

    async def start(self) -> None:
        """Ready to connect."""
        # trust_env off: a proxy of the operator's shell is not where users' results go.
        self._client = httpx.AsyncClient(
            timeout=self._timeout, transport=self._transport, follow_redirects=False, trust_env=False
        )

    async def stop(self) -> None:
        """Close the connections."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def deliver(self, delivery: Delivery) -> None:
        """Returns once the other side answered 2xx."""
        if self._client is None:
            raise errors.Unavailable("the HTTP sink is not running")
        now_s = int(self._clock.now_s())
        headers = {
            "content-type": "application/json",
            "user-agent": _USER_AGENT,
            "x-functory-delivery": delivery.id,
            "x-functory-timestamp": str(now_s),
            "x-functory-signature": sign(self._secret_of(delivery.account_id), delivery.id, now_s, delivery.body),
        }
        if delivery.trace_parent:
            headers["traceparent"] = delivery.trace_parent
        try:
            # The answer's body is of no interest, and may be without end.
            async with self._client.stream(
                "POST", delivery.destination, content=delivery.body, headers=headers
            ) as answer:
                _judge(answer)
        except httpx.InvalidURL as reason:
            raise base.Undeliverable(f"the URL is not valid: {reason}") from reason
        except httpx.HTTPError as reason:
            raise base.NotNow(f"{type(reason).__name__}: {reason}") from reason


def _judge(answer: httpx.Response) -> None:
    if answer.is_success:
        return
    said = f"it answered {answer.status_code} {answer.reason_phrase}"
    if answer.status_code in _LATER or answer.status_code >= 500:
        raise base.NotNow(said, retry_after_ms=_retry_after_ms(answer))
    raise base.Undeliverable(said)


def _retry_after_ms(answer: httpx.Response) -> int:
    """Seconds only: the form with a date depends on two clocks."""
    text = answer.headers.get("retry-after", "")
    return min(int(text), MAX_RETRY_AFTER_S) * 1000 if text.isascii() and text.isdigit() and len(text) < 9 else 0
