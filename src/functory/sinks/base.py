"""Seam: deliver one thing, safely more than once.

What every sink promises:

* `deliver` returns once the other side has taken it. It may be called again with the same `Delivery.id` after any
  failure or crash; a sink hands that id on, so that the other side can tell.
* `Undeliverable` where trying again is of no use, `NotNow` where it is; anything else counts as `NotNow`.
* A delivery is bounded in time by the sink itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

import msgspec

from functory.lifecycle import Service
from functory.model import errors, ids

MAX_DESTINATION_CHARS = 1_024
_FUNCTION = re.compile(
    r"acs:fc:(?P<region>[a-z0-9-]*):(?P<account>[A-Za-z0-9_-]*):functions/(?P<name>[^/]+)(/(?P<qualifier>[^/]+))?"
)
_LATER = {
    "acs:mns:": "a queue or topic of the message service",
    "acs:eventbridge:": "an event bus",
    "acs:mq:": "a RocketMQ topic",
    "acs:rocketmq:": "a RocketMQ topic",
}


_SERVED = (
    "served are functions (acs:fc:{region}:{account}:functions/{name}, with /{qualifier} if wanted) and URLs of http "
    "and https"
)


class Kind(StrEnum):
    """What a destination is."""

    FUNCTION = "function"
    HTTP = "http"


class Destination(NamedTuple):
    """A destination, understood."""

    kind: Kind
    function_name: str = ""
    qualifier: str = ""
    url: str = ""


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """One thing to deliver."""

    id: str
    """The same in every attempt; unique on this node."""
    account_id: str
    destination: str
    body: bytes
    """JSON."""
    trace_parent: str = ""
    hops: int = 0
    """How many destinations led to the task that this tells of: functions that tell functions may go round."""


class Undeliverable(Exception):
    """It will never be taken."""


class NotNow(Exception):
    """It may be taken later."""

    def __init__(self, message: str, *, retry_after_ms: int = 0) -> None:
        super().__init__(message)
        self.retry_after_ms = retry_after_ms


class Sink(Service, Protocol):
    """Delivers to destinations of one kind."""

    async def deliver(self, delivery: Delivery) -> None:
        """Returns once it was taken; `Undeliverable`, `NotNow`."""


Sinks = Mapping[Kind, Sink]


def parse(destination: str) -> Destination:
    """What a destination is; `InvalidArgument` for what this node cannot deliver to."""
    if len(destination) > MAX_DESTINATION_CHARS or not destination.isprintable():
        raise errors.InvalidArgument(f"a destination has at most {MAX_DESTINATION_CHARS} printable characters")
    if destination.startswith(("http://", "https://")):
        return _http(destination)
    match = _FUNCTION.fullmatch(destination)
    if match:
        name = ids.check_function_name(match["name"])
        return Destination(Kind.FUNCTION, function_name=name, qualifier=match["qualifier"] or ids.LATEST)
    what = next((what for prefix, what in _LATER.items() if destination.startswith(prefix)), "")
    reason = f"is {what}: this node cannot deliver there" if what else "is not understood"
    raise errors.InvalidArgument(f"destination {destination[:200]!r} {reason}", hint=_SERVED)


def _http(url: str) -> Destination:
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as reason:
        raise errors.InvalidArgument(f"destination {url!r} is not a valid URL: {reason}") from None
    if not host or port == 0 or parts.username or parts.password or " " in url:
        raise errors.InvalidArgument(f"destination {url!r} is not a URL of a host, without user and password")
    return Destination(Kind.HTTP, url=url)
