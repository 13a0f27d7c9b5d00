"""The blob store's in-memory twin: the same promises and the same strictness, but for durability."""

from __future__ import annotations

from collections.abc import AsyncIterator

from functory.blob import base, ranges
from functory.model import errors


class MemoryBlob:
    """`blob.base.Blob` for tests. `room_bytes`: how much it holds before it says `StorageFull`."""

    def __init__(self, *, room_bytes: int | None = None) -> None:
        self._room_bytes = room_bytes
        self._blobs: dict[str, bytes] = {}
        self._open = False

    async def start(self) -> None:
        """Open."""
        self._open = True

    async def stop(self) -> None:
        """Refuse everything; what is stored stays for the next start."""
        self._open = False

    async def put(self, key: str, data: bytes) -> None:
        """Stores `data` under `key`; `StorageFull`."""
        self._check(key)
        others = sum(len(blob) for other, blob in self._blobs.items() if other != key)
        if self._room_bytes is not None and others + len(data) > self._room_bytes:
            raise errors.StorageFull
        self._blobs[key] = bytes(data)

    async def get(self, key: str, *, offset: int = 0, size: int | None = None) -> bytes:
        """The bytes from `offset`, all or `size` of them; `KeyError`."""
        self._check(key)
        ranges.check_range(offset, size)
        blob = self._blobs[key]
        return blob[offset:] if size is None else blob[offset : offset + size]

    async def exists(self, key: str) -> bool:
        """Whether there is something under `key`."""
        self._check(key)
        return key in self._blobs

    async def delete(self, key: str) -> None:
        """Removes it."""
        self._check(key)
        self._blobs.pop(key, None)

    async def list(self, prefix: str = "") -> AsyncIterator[str]:
        """All keys that start with `prefix`, in order."""
        self._check("any")
        for key in sorted(self._blobs):
            if key.startswith(prefix):
                yield key

    def _check(self, key: str) -> None:
        base.check_key(key)
        if not self._open:
            raise errors.Unavailable("the blob store is not running")
