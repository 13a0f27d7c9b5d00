"""The audit event: who asked for what, when, and what came of it."""

from __future__ import annotations

import msgspec

MAX_TEXT = 512


class AuditEvent(msgspec.Struct, frozen=True, kw_only=True):
    """One management call."""

    request_id: str
    at_ms: int
    account_id: str
    """Whose key it was; empty if nobody could be told from the request."""
    access_key_id: str
    method: str
    path: str
    """As it was sent, without the query, cut at 512 characters."""
    operation: str
    """The operation's name, or empty if there is none."""
    status: int
    """The HTTP status that was answered."""
    code: str = ""
    """The error's code; empty if it went well."""
    changes: bool = False
    """Whether it is of a kind that changes things, rather than looks."""
