"""The trigger: the binding of a source to a function, and what its configuration means.

A trigger keeps its configuration as the JSON text it was given: clients compare what they sent with what they get back.
`http_config` and `timer_config` read it; keys that nobody knows are passed over.
"""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TypeVar

import msgspec

from functory.model import errors, ids

T = TypeVar("T")

TRIGGER_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_-]{0,127}")
METHODS = ("HEAD", "DELETE", "POST", "GET", "OPTIONS", "PUT", "PATCH")
MAX_CONFIG_BYTES = 64 * 1024
PER_FUNCTION = 50
"""Triggers of one function."""


class TriggerKind(StrEnum):
    """The kinds that work here."""

    HTTP = "http"
    TIMER = "timer"


OTHER_KINDS = frozenset({"oss", "log", "mns_topic", "cdn_events", "tablestore", "eventbridge"})
"""Official kinds whose sources are not there yet."""


class AuthKind(StrEnum):
    """Who may call an HTTP trigger or custom domain."""

    ANONYMOUS = "anonymous"  #: everybody
    FUNCTION = "function"  #: whoever holds an access key of the account
    JWT = "jwt"  #: whoever holds a token that a given key set signed


class Cors(msgspec.Struct, frozen=True, kw_only=True, rename="camel", omit_defaults=True):
    """Which pages of other origins may call."""

    allow_credentials: bool | None = None
    allow_headers: list[str] | None = None
    allow_methods: list[str] | None = None
    allow_origins: list[str] | None = None
    expose_headers: list[str] | None = None
    max_age: int | None = None
    """Seconds."""


class HttpConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`triggerConfig` of kind http."""

    auth_type: AuthKind = AuthKind.FUNCTION
    """Not said = signed: nothing is open to strangers by oversight."""
    auth_config: str | None = None
    """JSON text: the rules of `jwt`."""
    methods: list[str] | None = None
    """None = GET."""
    disable_url_internet: bool | None = msgspec.field(default=None, name="disableURLInternet")
    """Only clients in private networks may call."""
    cors_config: Cors | None = None


class TimerConfig(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """`triggerConfig` of kind timer."""

    cron_expression: str
    enable: bool | None = None
    """None = true."""
    payload: str | None = None


class Trigger(msgspec.Struct, frozen=True, kw_only=True):
    """A trigger at one revision; a change makes a new record with `epoch + 1`."""

    account_id: str
    function_name: str
    name: str
    trigger_id: str
    """Stays the same over all changes; a trigger made anew under an old name has another."""
    kind: TriggerKind
    qualifier: str = ids.LATEST
    config: str
    """`triggerConfig` as given."""
    description: str = ""
    invocation_role: str = ""
    source_arn: str = ""
    created_at_ms: int
    modified_at_ms: int
    epoch: int = 1

    @property
    def key(self) -> tuple[str, str, str]:
        """Account, function and name."""
        return (self.account_id, self.function_name, self.name)


def check_trigger_name(name: object) -> str:
    """The name, if it is 1-128 characters of `A-Za-z0-9_-` and does not start with a digit or hyphen."""
    if not isinstance(name, str) or not TRIGGER_NAME.fullmatch(name):
        shown = repr(name if not isinstance(name, str) else name[:80])
        raise errors.InvalidArgument(
            f"triggerName {shown} is not valid: 1-128 letters, digits, '_' or '-', not starting with a digit or '-'"
        )
    return name


def http_config(text: str) -> HttpConfig:
    """What the configuration of an HTTP trigger says; `InvalidArgument`."""
    return _read(text, HttpConfig)


def timer_config(text: str) -> TimerConfig:
    """What the configuration of a timer says; `InvalidArgument`."""
    return _read(text, TimerConfig)


def _read(text: str, into: type[T]) -> T:
    if len(text) > MAX_CONFIG_BYTES:
        raise errors.InvalidArgument(f"triggerConfig has {len(text)} characters; {MAX_CONFIG_BYTES} are allowed")
    try:
        return msgspec.json.decode(text, type=into)
    except msgspec.ValidationError as wrong:
        raise errors.InvalidArgument(f"triggerConfig is not valid: {wrong}") from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as wrong:
        raise errors.InvalidArgument(f"triggerConfig is not a JSON text: {wrong}") from None
