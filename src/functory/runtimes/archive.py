"""A zip of code: checked whole before the first file is written, then unpacked within limits. Synchronous, no network.

The zip is hostile input. Names must stay inside the folder; only files, folders and links that stay inside are taken;
sizes are bounded by what the zip declares and again by what really comes out. Each refusal says which entry and why.
"""

from __future__ import annotations

import io
import os
import re
import stat
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import fastcrc
import msgspec

from functory.model import errors

PIECE_BYTES = 1 << 20
_DRIVE = re.compile(r"[A-Za-z]:")
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


class CodeLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How large code may be."""

    zip_bytes: int = 500 << 20
    """The zip itself; the official limit."""
    unpacked_bytes: int = 2 << 30
    """All files together."""
    files: int = 50_000
    """Files, folders and links together."""
    ratio: int = 250
    """Unpacked to packed size, once more than `free_bytes` come out. Text seldom passes 20, a bomb has 1,000."""
    free_bytes: int = 16 << 20
    """Up to this size any ratio is harmless."""
    path_bytes: int = 1024
    """The length of a path inside the zip."""
    name_bytes: int = 255
    """The length of one part of it: what file systems take."""
    depth: int = 100
    """How many parts a path may have."""


class Entry(NamedTuple):
    """An entry that may be unpacked."""

    path: str
    """Relative, normal, without a slash at either end."""
    kind: int
    """`stat.S_IFREG`, `S_IFDIR` or `S_IFLNK`."""
    mode: int
    info: zipfile.ZipInfo


class Unpacked(NamedTuple):
    """What came out."""

    files: int
    size_bytes: int


def crc64(data: bytes) -> str:
    """CRC-64/XZ as a decimal string: what official clients call CRC-64/ECMA-182 and compare to skip an upload."""
    return str(fastcrc.crc64.xz(data))


def unpack(data: bytes, folder: Path, limits: CodeLimits) -> Unpacked:
    """Unpack into the empty `folder`. `InvalidArgument` or `EntityTooLarge` says what is wrong with the zip.

    Files become 0644, or 0755 where any execute bit is set, folders 0755, whatever else the zip says.
    """
    if len(data) > limits.zip_bytes:
        raise errors.EntityTooLarge(f"the code has {len(data)} bytes: {limits.zip_bytes} are allowed")
    with _open(data, limits) as archive:
        entries = check(archive, len(data), limits)
        for path in _folders(entries):
            _make_folder(folder / path)
        size_bytes = 0
        for entry in entries:
            if entry.kind == stat.S_IFREG:
                size_bytes += _write_file(archive, entry, folder / entry.path)
        # Last, so that nothing is ever written through a link.
        for entry in entries:
            if entry.kind == stat.S_IFLNK:
                _make_link(archive, entry, folder, limits)
        for entry in entries:
            if entry.kind == stat.S_IFLNK:
                _check_end(entry, folder)
    return Unpacked(len(entries) - sum(entry.kind == stat.S_IFDIR for entry in entries), size_bytes)


def check(archive: zipfile.ZipFile, packed_bytes: int, limits: CodeLimits) -> list[Entry]:
    """The entries of the zip, all of them allowed by what they declare."""
    infos = archive.infolist()
    if len(infos) > limits.files:
        raise errors.EntityTooLarge(f"the zip holds {len(infos)} entries: {limits.files} are allowed")
    entries = [entry for info in infos if (entry := _entry(info, limits)) is not None]
    _check_size(sum(entry.info.file_size for entry in entries), packed_bytes, limits)
    _check_tree(entries)
    return entries


class _Bounded(io.BytesIO):
    """The zip as a file. While `most` is set, no single read may be longer.

    `zipfile` reads the whole list of entries at once and makes an object of every 46 bytes of it: this bounds that.
    """

    most: int | None = None

    def read(self, size: int | None = -1, /) -> bytes:
        if self.most is not None and size is not None and size > self.most:
            raise errors.EntityTooLarge(f"the zip's list of entries has {size} bytes: {self.most} are allowed")
        return super().read(size)


def _open(data: bytes, limits: CodeLimits) -> zipfile.ZipFile:
    file = _Bounded(data)
    file.most = max(1 << 17, 256 * limits.files)
    try:
        archive = zipfile.ZipFile(file)
    except UnicodeDecodeError as reason:
        raise errors.InvalidArgument("the zip holds a name that is not UTF-8") from reason
    except (zipfile.BadZipFile, ValueError, EOFError, OSError, NotImplementedError, OverflowError) as reason:
        raise errors.InvalidArgument(f"the code is not a zip that can be read: {reason}") from reason
    file.most = None
    return archive


def _entry(info: zipfile.ZipInfo, limits: CodeLimits) -> Entry | None:
    """The entry, if it is allowed; None for the root folder itself."""
    name = _name(info)
    path = _path(name, limits)
    mode = info.external_attr >> 16
    kind = stat.S_IFDIR if name.endswith("/") else stat.S_IFMT(mode) or stat.S_IFREG
    if kind not in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK):
        raise errors.InvalidArgument(f"{path!r} in the zip is a device, socket or pipe: only files, folders and links")
    if info.flag_bits & 0x1:
        raise errors.InvalidArgument(f"{path!r} in the zip is encrypted")
    if info.compress_type not in _METHODS:
        raise errors.InvalidArgument(f"{path!r} in the zip is packed by method {info.compress_type}: use deflate")
    if not path and kind != stat.S_IFDIR:
        raise errors.InvalidArgument("the zip holds an entry without a name")
    return Entry(path, kind, mode, info) if path else None


def _name(info: zipfile.ZipInfo) -> str:
    """The name as text. Without the flag that says UTF-8 it was read as code page 437, but is UTF-8 all the same."""
    name = info.orig_filename
    if info.flag_bits & 0x800 or name.isascii():
        return name
    try:
        return name.encode("cp437").decode()
    except UnicodeError:
        raise errors.InvalidArgument(f"the name {name[:80]!r} in the zip is not UTF-8") from None


def _path(name: str, limits: CodeLimits) -> str:
    """The name as a normal relative path that stays inside."""
    shown = repr(name[:80])
    if len(name.encode()) > limits.path_bytes:
        raise errors.InvalidArgument(f"the name {shown}… in the zip is longer than {limits.path_bytes} bytes")
    if _CONTROL.search(name):
        raise errors.InvalidArgument(f"the name {shown} in the zip holds control characters")
    if "\\" in name:
        raise errors.InvalidArgument(f"the name {shown} in the zip holds a backslash: zip with forward slashes")
    if name.startswith("/") or _DRIVE.match(name):
        raise errors.InvalidArgument(f"the name {shown} in the zip is absolute: names must be relative")
    parts = [part for part in name.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise errors.InvalidArgument(f"the name {shown} in the zip leaves the code folder")
    if any(len(part.encode()) > limits.name_bytes for part in parts):
        raise errors.InvalidArgument(f"a part of the name {shown} in the zip is longer than {limits.name_bytes} bytes")
    if len(parts) > limits.depth:
        raise errors.InvalidArgument(f"the name {shown}… in the zip has {len(parts)} parts: {limits.depth} are allowed")
    return "/".join(parts)


def _check_size(size_bytes: int, packed_bytes: int, limits: CodeLimits) -> None:
    if size_bytes > limits.unpacked_bytes:
        raise errors.EntityTooLarge(f"the code unpacks to {size_bytes} bytes: {limits.unpacked_bytes} are allowed")
    if size_bytes > limits.free_bytes and size_bytes > limits.ratio * packed_bytes:
        raise errors.EntityTooLarge(
            f"the code unpacks to {size_bytes} bytes, {size_bytes // packed_bytes} times its packed size: "
            f"{limits.ratio} times are allowed"
        )


def _check_tree(entries: list[Entry]) -> None:
    """No path twice, and nothing below a file or link. A folder may be listed again."""
    kinds: dict[str, int] = {}
    for entry in entries:
        if entry.path in kinds and (entry.kind, kinds[entry.path]) != (stat.S_IFDIR, stat.S_IFDIR):
            raise errors.InvalidArgument(f"{entry.path!r} is in the zip twice")
        kinds[entry.path] = entry.kind
    for path in kinds:
        for parent in _parents(path):
            if kinds.get(parent, stat.S_IFDIR) != stat.S_IFDIR:
                raise errors.InvalidArgument(f"{path!r} in the zip lies below {parent!r}, which is no folder")


def _parents(path: str) -> Iterator[str]:
    """The folders above, the nearest first."""
    while path := path.rpartition("/")[0]:
        yield path


def _folders(entries: list[Entry]) -> list[str]:
    """All folders, also those only implied by what lies in them; parents first."""
    found = {entry.path for entry in entries if entry.kind == stat.S_IFDIR}
    for entry in entries:
        found.update(_parents(entry.path))
    return sorted(found)


def _make_folder(path: Path) -> None:
    path.mkdir()
    path.chmod(0o755)  # whatever the umask


def _write_file(archive: zipfile.ZipFile, entry: Entry, path: Path) -> int:
    """Write one file, never more than it declares; how many bytes came out."""
    mode = 0o755 if entry.mode & 0o111 else 0o644
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, mode)
    with os.fdopen(descriptor, "wb", buffering=0) as file:
        os.fchmod(descriptor, mode)
        size_bytes = 0
        try:
            with archive.open(entry.info) as packed:
                while piece := packed.read(PIECE_BYTES):
                    size_bytes += len(piece)
                    if size_bytes > entry.info.file_size:
                        raise zipfile.BadZipFile("it is larger than it declares")
                    _write_all(file, piece)
        except _BROKEN as reason:
            raise _broken(entry, reason) from reason
        if size_bytes != entry.info.file_size:
            raise _broken(entry, zipfile.BadZipFile("it is shorter than it declares"))
    return size_bytes


_BROKEN = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, RuntimeError, ValueError)


def _broken(entry: Entry, reason: Exception) -> errors.InvalidArgument:
    return errors.InvalidArgument(f"{entry.path!r} in the zip is broken: {reason}")


def _write_all(file: io.FileIO, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[file.write(rest) :]


def _make_link(archive: zipfile.ZipFile, entry: Entry, folder: Path, limits: CodeLimits) -> None:
    if entry.info.file_size > limits.path_bytes:
        raise errors.InvalidArgument(f"the link {entry.path!r} in the zip is longer than {limits.path_bytes} bytes")
    try:
        with archive.open(entry.info) as packed:
            target = packed.read(limits.path_bytes + 1).decode()
    except UnicodeDecodeError as reason:
        raise errors.InvalidArgument(f"the link {entry.path!r} in the zip is not UTF-8") from reason
    except _BROKEN as reason:
        raise _broken(entry, reason) from reason
    if not target or _CONTROL.search(target) or target.startswith("/"):
        raise errors.InvalidArgument(f"the link {entry.path!r} in the zip does not point inside the code folder")
    meant = os.path.normpath(os.path.join(os.path.dirname(entry.path), target))
    if meant == ".." or meant.startswith("../"):
        raise errors.InvalidArgument(f"the link {entry.path!r} in the zip points out of the code folder")
    os.symlink(target, folder / entry.path)


def _check_end(entry: Entry, folder: Path) -> None:
    """Where a chain of links really ends: each may stay inside by its words and their sum still leave."""
    root = os.path.realpath(folder)
    end = os.path.realpath(folder / entry.path)
    if end != root and not end.startswith(root + os.sep):
        raise errors.InvalidArgument(f"the link {entry.path!r} in the zip points out of the code folder")
