"""Seam: bytes by key, whole or not at all.

What every back end promises:

* `put` returns once the bytes are durable under `key`; before that nobody sees any of them, after a crash they are
  there whole or not at all. Putting the same key again replaces it in one step.
* Keys are 1-255 characters of `a-z0-9._-/`, without empty, `.` or `..` parts; another key is `InvalidArgument`.
* `get` of a missing key raises `KeyError`. `delete` of one is harmless.
* `StorageFull` when there is no room: nothing is left behind then.
* All methods are coroutines and never block the loop.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Protocol

from functory.lifecycle import Service
from functory.model import errors

_KEY = re.compile(r"[a-z0-9_-][a-z0-9._-]*(/[a-z0-9_-][a-z0-9._-]*)*")


def check_key(key: str) -> str:
    """The key, if it is allowed."""
    if len(key) > 255 or not _KEY.fullmatch(key):
        raise errors.InvalidArgument(f"blob key {key[:80]!r} is not valid")
    return key


class Blob(Service, Protocol):
    """A place for bytes."""

    async def put(self, key: str, data: bytes) -> None:
        """Stores `data` under `key`."""

    async def get(self, key: str, *, offset: int = 0, size: int | None = None) -> bytes:
        """The bytes from `offset`, all or `size` of them."""

    async def exists(self, key: str) -> bool:
        """Whether there is something under `key`."""

    async def delete(self, key: str) -> None:
        """Removes it."""

    def list(self, prefix: str = "") -> AsyncIterator[str]:
        """All keys that start with `prefix`, in order."""
