"""Pages of lists: `limit` and an opaque `nextToken` that is the last key seen.

A page starts after a key, not at a position, so that what is added or removed in between moves nothing.
"""

from __future__ import annotations

import base64
import binascii

from functory.model import errors

DEFAULT_LIMIT = 20
MAX_LIMIT = 100
_MAX_TOKEN = 512


def check_limit(limit: int | None) -> int:
    """1 to 100; 20 if not given."""
    if limit is None:
        return DEFAULT_LIMIT
    if not 1 <= limit <= MAX_LIMIT:
        raise errors.InvalidArgument(f"limit {limit} is not valid: 1 to {MAX_LIMIT}")
    return limit


def token(last_key: str) -> str:
    """The token of the page after `last_key`."""
    return base64.urlsafe_b64encode(last_key.encode()).decode()


def key_after(given: str) -> str:
    """The key that a token stands for; empty for the first page."""
    try:
        if len(given) > _MAX_TOKEN:
            raise ValueError("too long")
        key = base64.b64decode(given.encode("ascii"), altchars=b"-_", validate=True).decode()
    except (ValueError, binascii.Error):
        raise errors.InvalidArgument("nextToken is not one that this node gave") from None
    if not key.isprintable():
        raise errors.InvalidArgument("nextToken is not one that this node gave")
    return key
