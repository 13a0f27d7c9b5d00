"""Reads a tar as it flows by: one member after another, each header bounded. Synchronous, nothing is written.

The standard library's reader takes headers of any length into memory, and fails where the blocks of zeros at the end
are missing, as some tools leave them out.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Iterator
from typing import NamedTuple

BLOCK = 512
_HEADER_BYTES = 1 << 20
"""The longest extended header: names, attributes that nobody here looks at."""
_PIECE_BYTES = 1 << 20
_KINDS = {
    b"0": stat.S_IFREG, b"\0": stat.S_IFREG, b"7": stat.S_IFREG, b"2": stat.S_IFLNK, b"3": stat.S_IFCHR,
    b"4": stat.S_IFBLK, b"5": stat.S_IFDIR, b"6": stat.S_IFIFO,
}  # fmt: skip
HARD_LINK = -1


class Broken(ValueError):
    """This is no tar, or one that cannot be read; the message says where."""


class Member(NamedTuple):
    """One entry."""

    name: str
    """As it is written; bytes that are not UTF-8 are kept as Python keeps them in paths."""
    kind: int
    """`stat.S_IFREG`, `S_IFDIR`, `S_IFLNK`, …, or HARD_LINK."""
    mode: int
    size: int
    link: str
    modified_s: int
    offset: int
    """Where its content begins."""


class Tar:
    """The members of a stream. Content that nobody asks for is passed over."""

    def __init__(self, read: Callable[[int], bytes]) -> None:
        """`read(n)` answers up to n bytes, and none at the end only."""
        self._read = read
        self._left = 0
        """Of the member that was told last, with its padding."""
        self._size = 0
        self._at = 0

    def __iter__(self) -> Iterator[Member]:
        extended: dict[str, str] = {}
        while True:
            self._pass_over()
            header = self._take(BLOCK, at_end=True)
            if not header or header == bytes(BLOCK):
                return
            kind, size = header[156:157], _number(header[124:136])
            _check(header)
            if kind in (b"x", b"L", b"K", b"g"):
                text = self._extended(size)
                if kind == b"x":
                    extended |= _records(text)
                elif kind != b"g":
                    extended["path" if kind == b"L" else "linkpath"] = _text(text)
                continue
            yield self._member(header, kind, size, extended)
            extended = {}

    def pieces(self) -> Iterator[bytes]:
        """The content of the member that was told last."""
        while self._size:
            data = self._read(min(self._size, _PIECE_BYTES))
            if not data:
                raise Broken("it ends in the middle of a file")
            self._size -= len(data)
            self._left -= len(data)
            self._at += len(data)
            yield data

    def _member(self, header: bytes, kind: bytes, size: int, extended: dict[str, str]) -> Member:
        if kind == b"S" or any(name.startswith("GNU.sparse") for name in extended):
            raise Broken("it holds a file in pieces (sparse), which no image builder writes")
        name = extended.get("path") or _name(header)
        form = HARD_LINK if kind == b"1" else _KINDS.get(kind, 0)
        if not form:
            raise Broken(f"{name[:80]!r} is of a kind that is not known: {kind!r}")
        if form == stat.S_IFREG and name.endswith("/"):
            form = stat.S_IFDIR
        size = _decimal(extended["size"]) if "size" in extended else size
        if form != stat.S_IFREG:
            size = 0
        self._size, self._left = size, size + -size % BLOCK
        link = extended.get("linkpath") or _text(header[157:257])
        return Member(name, form, _number(header[100:108]), size, link, _number(header[136:148]), self._at)

    def _extended(self, size: int) -> bytes:
        if size > _HEADER_BYTES:
            raise Broken(f"it has a header of {size} bytes; {_HEADER_BYTES} are allowed")
        return self._take(size + -size % BLOCK)[:size]

    def _take(self, size: int, *, at_end: bool = False) -> bytes:
        found = b""
        while len(found) < size:
            data = self._read(size - len(found))
            if not data:
                if at_end:  # no blocks of zeros at the end, or a rest of one
                    return b""
                raise Broken("it ends in the middle of a header")
            found += data
        self._at += size
        return found

    def _pass_over(self) -> None:
        self._size = 0
        while self._left:
            data = self._read(min(self._left, _PIECE_BYTES))
            if not data:
                if self._left < BLOCK:  # the padding of the last file is left out too
                    self._left = 0
                    return
                raise Broken("it ends in the middle of a file")
            self._left -= len(data)
            self._at += len(data)


def _check(header: bytes) -> None:
    total = sum(header[:148]) + 8 * 0x20 + sum(header[156:])
    if _number(header[148:156]) != total:
        raise Broken("it has a header whose sum is wrong: this is no tar")


def _number(field: bytes) -> int:
    if field[0] & 0x80:  # base 256
        if field[0] != 0x80:
            return 0  # negative: a time before 1970
        return int.from_bytes(field[1:], "big")
    text = field.split(b"\0", 1)[0].strip()
    try:
        return int(text, 8) if text else 0
    except ValueError:
        raise Broken(f"it has a header with {field[:16]!r} for a number") from None


def _name(header: bytes) -> str:
    name = _text(header[:100])
    prefix = _text(header[345:500]) if header[257:263] == b"ustar\0" else ""
    return f"{prefix}/{name}" if prefix else name


def _text(raw: bytes) -> str:
    return raw.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")


def _records(raw: bytes) -> dict[str, str]:
    """`LENGTH NAME=VALUE` and a line's end, again and again; only what is used here is kept."""
    found: dict[str, str] = {}
    while raw:
        length, space, _ = raw.partition(b" ")
        size = _decimal(length.decode("ascii", "replace")) if space and len(length) < 8 else 0
        record = raw[len(length) + 1 : size - 1]
        if not len(length) + 2 < size <= len(raw):
            raise Broken("it has an extended header that cannot be read")
        name, _, value = record.partition(b"=")
        if name in (b"path", b"linkpath", b"size") or name.startswith(b"GNU.sparse"):
            found[name.decode()] = value.decode("utf-8", "surrogateescape")
        raw = raw[size:]
    return found


def _decimal(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise Broken(f"it has an extended header with {text[:20]!r} for a number")
    return int(text)
