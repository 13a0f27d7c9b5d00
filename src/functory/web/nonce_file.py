"""What a starting node must know of the nonces that the one before it took, so that nothing can be replayed to it.

A ring of the last nonces in a mapped file: adding one is a write to memory, which the kernel keeps whatever becomes of
the process. So kill -9 loses none. Nonces that the ring had to drop leave a floor: requests dated at or before it are
refused. A machine that lost its power may not have written all of it: then the floor is the moment of the next start.

Floors are kept for groups of keys, of which there are 1024: a key whose requests are dated a quarter of an hour ahead,
and so many that they fill the ring, shuts out itself after a restart, not everybody.

    0        8         16       52      53   64                      64 + 8 KB
    | magic  | floor_s | boot   | clean | …  | floors, one per group | slots: digest u64, date in seconds u64

A digest's lowest ten bits are the group of its key.
"""

from __future__ import annotations

import mmap
import os
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from struct import Struct
from zlib import crc32

from functory.model import errors

SLOTS = 1 << 17
"""Two megabytes."""
KNOWN_S = 3600
"""So long after the last of them, the nonces of the node before are of no use: their dates alone are refused."""

GROUPS = 1 << 10
"""Of keys; each has a floor of its own."""

_MAGIC = b"FNNONCE2"
_HEADER = Struct("<8sQ36sB11x")
_SLOT_BYTES = 16
_CLEAN_AT = 52
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")


def boot_id() -> bytes:
    """Changes whenever the machine starts."""
    try:
        return _BOOT_ID.read_bytes().strip()[:36].ljust(36, b"-")
    except OSError:
        return b"?" * 36


class NonceFile:
    """The ring. Not for several processes at a time: the data folder's lock sees to that."""

    def __init__(self, path: Path, *, now_s: int, fresh: bool, boot: Callable[[], bytes] = boot_id) -> None:
        """`fresh`: no node has used this folder before, so a missing file has lost nothing.

        `Unavailable` if the file cannot be made.
        """
        try:
            self._map, found = _opened(path)
        except OSError as failure:
            raise errors.Unavailable(f"{path} cannot be used: {failure.strerror}") from failure
        # Native numbers: the file belongs to one machine.
        numbers = self._numbers = memoryview(self._map)[_HEADER.size :].cast("Q")
        self._floors, self._slots = numbers[:GROUPS], numbers[GROUPS:]
        self._next = 0
        self.floor_s = 0
        """Requests dated at or before it are refused, whoever sends them."""
        self._lost_s: list[int] = [0] * GROUPS
        """The same for each group: of what the node before had to drop."""
        self._before: set[int] = set()
        self._latest_s = 0
        if found:
            self._load(now_s, boot())
        elif not fresh:
            self.floor_s = now_s
        self._map[: _HEADER.size] = _HEADER.pack(_MAGIC, self.floor_s, boot(), 0)
        self._map.flush()  # a power cut from now on must not find `clean`

    def knows(self, digest: int, second: int) -> bool:
        """Whether the node before took it, or may have."""
        if second <= self.floor_s or second <= self._lost_s[digest % GROUPS]:
            return True
        if not self._before:
            return False
        if second > self._latest_s + KNOWN_S:
            self._before = set()
        return digest in self._before

    def add(self, digest: int, second: int) -> None:
        """This node took it."""
        slots, at = self._slots, self._next
        dropped_s = slots[at + 1]
        if dropped_s:
            group = slots[at] % GROUPS
            if dropped_s > self._floors[group]:
                self._floors[group] = dropped_s
        slots[at] = digest
        slots[at + 1] = second
        at += 2
        self._next = at if at < len(slots) else 0

    def close(self) -> None:
        """All of it is on the disk."""
        if not self._map.closed:
            self._map.flush()
            self._map[_CLEAN_AT] = 1
            self._map.flush()
            self._floors.release()
            self._slots.release()
            self._numbers.release()
            self._map.close()

    def _load(self, now_s: int, boot: bytes) -> None:
        _, floor_s, last_boot, clean = _HEADER.unpack_from(self._map)
        self.floor_s = floor_s if clean or last_boot == boot else max(floor_s, now_s)
        self._lost_s = self._floors.tolist()
        seconds = self._slots[1::2].tolist()
        self._before = set(self._slots[::2].tolist()) - {0}
        self._latest_s = max(seconds)
        # Written on behind the newest date: what is dropped first is old, and whatever is dropped raises the floor.
        self._next = 2 * (seconds.index(self._latest_s) + 1) % len(self._slots)


def digest_of(access_key_id: str, nonce: bytes) -> int:
    """54 bits of a nonce of a key over ten of the key alone, never 0."""
    key = access_key_id.encode()
    of_nonce = int.from_bytes(blake2b(b"%b %b" % (key, nonce), digest_size=8).digest(), "little")
    return of_nonce // GROUPS * GROUPS + crc32(key) % GROUPS or GROUPS


def _opened(path: Path) -> tuple[mmap.mmap, bool]:
    """The mapped file, and whether it held a ring already."""
    size = _HEADER.size + 8 * GROUPS + SLOTS * _SLOT_BYTES
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        found = os.fstat(fd).st_size == size and os.pread(fd, len(_MAGIC), 0) == _MAGIC
        if not found:
            os.ftruncate(fd, 0)
            # A mapped page without a place on a full disk would end the process.
            os.posix_fallocate(fd, 0, size)
        return mmap.mmap(fd, size), found
    finally:
        os.close(fd)
