"""Payloads and results: small ones in the row, large ones in the blob store, with a checksum in the row.

A blob is durable before the row that names it. One whose row was never written, or is gone, is found by its day.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from datetime import UTC, datetime

from functory.blob.base import Blob
from functory.model import errors
from functory.model.task import Content, inline

INLINE_BYTES = 32_768
_PREFIX = "tasks/"


class Bodies:
    """Stores and loads contents. `now_ms`: the queue's clock."""

    def __init__(self, blob: Blob, *, now_ms: Callable[[], int]) -> None:
        self._blob = blob
        self._now_ms = now_ms

    @staticmethod
    def fits(size_bytes: int) -> bool:
        """Whether so much lies in the row."""
        return size_bytes <= INLINE_BYTES

    async def store(self, name: str, data: bytes) -> Content:
        """A content of `data`; durable under `name` if it is large."""
        if self.fits(len(data)):
            return inline(data)
        key = f"{_PREFIX}{_day(self._now_ms())}/{name.lower()}"
        await self._blob.put(key, data)
        return Content(ref=f"{key}#{zlib.crc32(data):08x}", size_bytes=len(data))

    async def load(self, content: Content) -> bytes:
        """The bytes of a content; `StorageCorrupt` if they are gone or not those that were stored."""
        if not content.ref:
            return content.data
        key, _, checksum = content.ref.rpartition("#")
        try:
            data = await self._blob.get(key)
        except KeyError:
            raise errors.StorageCorrupt(f"blob {key} is missing") from None
        found = f"{zlib.crc32(data):08x}"
        if found != checksum:
            raise errors.StorageCorrupt(f"blob {key} has CRC-32 {found} instead of {checksum}")
        return data

    async def drop(self, ref: str) -> None:
        """The row of this blob is gone."""
        await self._blob.delete(ref.rpartition("#")[0])

    async def collect(self, older_than_ms: int) -> int:
        """Deletes blobs of days before that of `older_than_ms`, whose rows cannot be there any more."""
        limit = f"{_PREFIX}{_day(older_than_ms)}/"
        old = [key async for key in self._blob.list(_PREFIX) if key < limit]
        for key in old:
            await self._blob.delete(key)
        return len(old)


def _day(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y%m%d")
