"""What every blob store promises (`blob.base`)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeAlias

from functory.blob.base import Blob
from functory.lifecycle import running
from functory.model import errors
from functory.testing.checks import samples

MakeBlob: TypeAlias = Callable[[], Blob]
Check: TypeAlias = Callable[[MakeBlob], Awaitable[None]]


async def bytes_come_back_as_they_were_put(make: MakeBlob) -> None:
    async with running(blob := make()):
        for key, data in (("empty", b""), ("code/x.zip", bytes(range(256)) * 5000), ("a-b_c.d/0", b"\x00\xff")):
            await blob.put(key, data)
            assert await blob.get(key) == data


async def a_part_can_be_read(make: MakeBlob) -> None:
    async with running(blob := make()):
        await blob.put("k", b"0123456789")
        assert await blob.get("k", offset=3) == b"3456789"
        assert await blob.get("k", offset=3, size=2) == b"34"
        assert await blob.get("k", size=0) == b""
        assert await blob.get("k", offset=9, size=5) == b"9"
        assert await blob.get("k", offset=99) == b""
        await samples.raises(errors.InvalidArgument, blob.get("k", offset=-1))
        await samples.raises(errors.InvalidArgument, blob.get("k", size=-1))


async def putting_again_replaces(make: MakeBlob) -> None:
    async with running(blob := make()):
        await blob.put("k", b"the long first")
        await blob.put("k", b"second")
        assert await blob.get("k") == b"second"


async def readers_see_one_or_the_other_whole(make: MakeBlob) -> None:
    versions = [bytes([number]) * 300_000 for number in range(8)]
    async with running(blob := make()):
        await blob.put("k", versions[0])
        writes = [blob.put("k", version) for version in versions]
        reads = [blob.get("k") for _ in range(20)]
        answers = await asyncio.gather(*[each for pair in zip(reads, writes, strict=False) for each in pair])
        for rest in reads[8:]:
            assert await rest in versions
        assert all(answer in versions for answer in answers if answer is not None)


async def what_is_missing_says_so(make: MakeBlob) -> None:
    async with running(blob := make()):
        await blob.put("there/x", b"1")
        for key in ("gone", "there", "there/x/y"):
            try:
                answer = await blob.get(key)
            except KeyError:
                continue
            raise AssertionError(f"{key} is not there, but answered {answer!r}")
        assert not await blob.exists("there")
        assert await blob.exists("there/x")


async def a_deleted_blob_is_gone_and_may_be_deleted_again(make: MakeBlob) -> None:
    async with running(blob := make()):
        await blob.put("a/b", b"1")
        await blob.delete("a/b")
        await blob.delete("a/b")
        await blob.delete("never/was")
        assert not await blob.exists("a/b")
        assert await _keys(blob) == []


async def a_key_may_begin_with_another(make: MakeBlob) -> None:
    async with running(blob := make()):
        for key in ("a", "a/b", "a/b/c", "a.b", "a-"):
            await blob.put(key, key.encode())
        for key in ("a", "a/b", "a/b/c"):
            assert await blob.get(key) == key.encode()
        assert await _keys(blob) == ["a", "a-", "a.b", "a/b", "a/b/c"]


async def keys_are_listed_in_order_by_prefix(make: MakeBlob) -> None:
    keys = sorted(f"{part}/{number}" for part in ("code", "code2", "body") for number in range(5))
    async with running(blob := make()):
        for key in keys[::-1]:
            await blob.put(key, b"")
        assert await _keys(blob) == keys
        assert await _keys(blob, "code/") == [key for key in keys if key.startswith("code/")]
        assert await _keys(blob, "code") == [key for key in keys if key.startswith("code")]
        assert await _keys(blob, "../") == []


async def a_bad_key_is_refused(make: MakeBlob) -> None:
    async with running(blob := make()):
        for key in (
            "",
            "/a",
            "a/",
            "a//b",
            ".",
            "..",
            "a/../b",
            "../x",
            "A",
            "a b",
            "a+b",
            "a\x00",
            "ä",
            "a\n",
            "x" * 256,
        ):
            for call in (blob.put(key, b""), blob.get(key), blob.exists(key), blob.delete(key)):
                await samples.raises(errors.InvalidArgument, call)
        longest = "/".join(["x" * 127, "y" * 127])
        await blob.put(longest, b"1")
        await blob.put("z" * 255, b"2")
        assert await _keys(blob) == [longest, "z" * 255]


async def it_refuses_before_the_start_and_after_the_stop(make: MakeBlob) -> None:
    blob = make()
    await blob.stop()  # harmless
    await samples.raises(errors.Unavailable, blob.get("k"))
    await blob.start()
    await blob.put("k", b"1")
    await blob.stop()
    await blob.stop()
    for call in (blob.put("k", b""), blob.get("k"), blob.exists("k"), blob.delete("k"), _keys(blob)):
        await samples.raises(errors.Unavailable, call)


async def blobs_are_there_after_a_new_start(make: MakeBlob) -> None:
    async with running(blob := make()):
        await blob.put("a/b", b"1")
    async with running(blob := make()):
        assert await blob.get("a/b") == b"1"


async def a_full_disk_is_said_and_leaves_nothing(make: MakeBlob) -> None:
    """For a maker whose blobs have room for 1 MB, not for 8."""
    async with running(blob := make()):
        await blob.put("small", b"1")
        await samples.raises(errors.StorageFull, blob.put("large", b"x" * 8_000_000))
        await samples.raises(errors.StorageFull, blob.put("small", b"x" * 8_000_000))
        assert await _keys(blob) == ["small"]
        assert await blob.get("small") == b"1"
        await blob.put("after", b"x" * 100_000)


async def _keys(blob: Blob, prefix: str = "") -> list[str]:
    return [key async for key in blob.list(prefix)]


CHECKS: tuple[Check, ...] = (
    bytes_come_back_as_they_were_put,
    a_part_can_be_read,
    putting_again_replaces,
    readers_see_one_or_the_other_whole,
    what_is_missing_says_so,
    a_deleted_blob_is_gone_and_may_be_deleted_again,
    a_key_may_begin_with_another,
    keys_are_listed_in_order_by_prefix,
    a_bad_key_is_refused,
    it_refuses_before_the_start_and_after_the_stop,
)
"""What every blob store promises."""

DURABLE_CHECKS: tuple[Check, ...] = (blobs_are_there_after_a_new_start,)
"""What blob stores that outlive their process promise too."""
