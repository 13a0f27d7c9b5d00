"""The process that unpacks a layer: `python -m functory.runtimes.images.unpack JOB`.

    blob ──SHA-256──→ gunzip or unzstd ──SHA-256──→ tar ──→ files, durable ──→ {"files", "size_bytes"} on stdout
                                                            or {"code", "message"}

A process of its own: it costs the node's loop nothing, a decompressor that is fooled is not in the node, and its memory
is bounded. It ends with the node, whose next start removes what it left half made. JOB is JSON, a `Job`.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import resource
import sys
import zlib
from collections.abc import Callable
from typing import BinaryIO, cast

import msgspec
import zstandard

from functory.model import errors
from functory.runtimes import folders
from functory.runtimes.images import layer, pages, tar
from functory.runtimes.images.layer import LayerLimits
from functory.sandbox import confine

_MEMORY_BYTES = 1 << 30
_WINDOW_BYTES = 128 << 20
_READ_BYTES = 1 << 18
_GZIP, _ZSTD = b"\x1f\x8b", b"\x28\xb5\x2f\xfd"
_NICE = 10


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """One layer to unpack."""

    path: str
    """The file that holds it."""
    offset: int = 0
    """Where in the file it begins."""
    size: int
    digest: str = ""
    """SHA-256 of the blob in hex; empty where nothing says it."""
    diff_id: str
    """SHA-256 of the tar in hex."""
    folder: str
    """An empty folder."""
    owner: int = -1
    """Who the files shall belong to; -1 = whoever runs this."""
    limits: LayerLimits = LayerLimits()


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What the process says."""

    files: int = 0
    size_bytes: int = 0
    code: str = ""
    """Of the error, if there was one."""
    message: str = ""


class _Counted(io.RawIOBase):
    """A stream that is hashed as it is read, and may only be so long."""

    def __init__(self, read: Callable[[int], bytes], most: int, what: str) -> None:
        self._inner = read
        self._left = most
        self._most = most
        self._what = what
        self._hash = hashlib.sha256()

    def read(self, size: int = -1, /) -> bytes:
        data = self._inner(_READ_BYTES if size < 0 else min(size, _READ_BYTES))
        self._left -= len(data)
        if self._left < 0:
            raise errors.EntityTooLarge(f"{self._what} of the image has more than {self._most} bytes")
        self._hash.update(data)
        return data

    def readable(self) -> bool:
        return True

    def drain(self) -> str:
        """Reads to the end; the hash of all of it."""
        while self.read(_READ_BYTES):
            pass
        return self._hash.hexdigest()


def run(job: Job) -> layer.Unpacked:
    """Unpacks, checks both digests and makes it durable; `InvalidArgument`, `EntityTooLarge`, OSError."""
    with open(job.path, "rb", buffering=0) as file:
        file.seek(job.offset)
        rest = [job.size]

        def part(size: int) -> bytes:
            data = file.read(min(size, rest[0])) or b""
            rest[0] -= len(data)
            return data

        blob = _Counted(part, job.size, "a layer")
        try:
            unpacked = _plain(blob, file.name, job)
            content = _Counted(unpacked, job.limits.unpacked_bytes + (job.limits.files << 11), "a layer")
            found = layer.unpack(tar.Tar(content.read), job.folder, job.limits, job.owner)
            diff_id = content.drain()
        except (zlib.error, EOFError, gzip.BadGzipFile, zstandard.ZstdError) as wrong:
            raise errors.InvalidArgument(f"a layer of the image cannot be unpacked: {wrong}") from None
        if job.digest and blob.drain() != job.digest:
            raise errors.InvalidArgument(f"a layer of the image is damaged: its digest is not sha256:{job.digest}")
    if diff_id != job.diff_id:
        raise errors.InvalidArgument(
            f"a layer of the image is not what the image says: its diff_id is not sha256:{job.diff_id}"
        )
    folders.sync_tree_at_once(job.folder)
    pages.let_go(job.folder)
    return found


def _plain(blob: _Counted, path: str, job: Job) -> Callable[[int], bytes]:
    """The tar in it. What packed it is seen by its first bytes: what manifests say of it is often wrong."""
    with open(path, "rb") as again:
        again.seek(job.offset)
        head = again.read(min(4, job.size))
    if head.startswith(_GZIP):
        return gzip.GzipFile(fileobj=io.BufferedReader(cast(io.RawIOBase, _Into(blob)), _READ_BYTES)).read
    if head == _ZSTD:
        packer = zstandard.ZstdDecompressor(max_window_size=_WINDOW_BYTES)
        return packer.stream_reader(cast(BinaryIO, blob), read_across_frames=True).read
    return blob.read


class _Into(io.RawIOBase):
    """A stream as the buffered reader wants it."""

    def __init__(self, source: _Counted) -> None:
        self._source = source

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        data = self._source.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)


def main(argument: str) -> int:
    """Runs a job and says how it went."""
    confine.die_with_parent(0)
    os.nice(_NICE)
    os.umask(0o022)
    resource.setrlimit(resource.RLIMIT_DATA, (_MEMORY_BYTES, _MEMORY_BYTES))
    try:
        found = run(msgspec.json.decode(argument, type=Job))
        done = Done(files=found.files, size_bytes=found.size_bytes)
    except errors.FunctoryError as failure:
        done = Done(code=type(failure).__name__, message=str(failure))
    except OSError as failure:
        done = Done(code=f"OSError {failure.errno or 0}", message=failure.strerror or str(failure))
    except MemoryError:
        done = Done(code="InvalidArgument", message="a layer of the image takes too much memory to unpack")
    sys.stdout.buffer.write(msgspec.json.encode(done))
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
