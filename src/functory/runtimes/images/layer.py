"""Unpacks one layer into a folder that overlays are made of. Synchronous; the tar is hostile input.

Nothing is ever written through what the layer itself brought: each name's kind is known, since the folder was empty,
and what lies below a link or a file is refused. Devices, sockets and pipes are left out: nobody in a box could use
them. What the layer takes away from those below becomes a mark of the overlay that no right is needed for.

Files belong to the user that is root in the boxes, and everybody may do with them what their owner may: in an instance
there is no root, so its user is given what the image's author expects root to have. The folder of all layers is closed
to everybody else on the host.
"""

from __future__ import annotations

import os
import shutil
import stat
from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from functory.model import errors
from functory.runtimes.images import tar

_WHITEOUT, _OPAQUE = ".wh.", ".wh..wh..opq"
_OPAQUE_MARK = "user.overlay.opaque"
_GONE = -2
"""The kind of a name that is taken away from the layers below."""


class LayerLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How large a layer may be."""

    unpacked_bytes: int = 10 << 30
    """The tar, and with it all files together."""
    files: int = 200_000
    """Files, folders and links together."""
    path_bytes: int = 3000
    name_bytes: int = 255
    depth: int = 128


class Unpacked(NamedTuple):
    """What came out."""

    files: int
    size_bytes: int


def unpack(archive: tar.Tar, folder: str, limits: LayerLimits, owner: int = -1) -> Unpacked:
    """Unpacks into the empty `folder`; `InvalidArgument` or `EntityTooLarge` says what is wrong.

    `owner`: whom it shall belong to; -1 = whoever runs this.
    """
    work = _Layer(folder, limits, owner)
    try:
        for member in archive:
            work.take(member, archive)
    except tar.Broken as wrong:
        raise errors.InvalidArgument(f"a layer of the image cannot be read: {wrong}") from None
    work.finish()
    return Unpacked(len(work.kinds), work.size_bytes)


class _Layer:
    """One layer while it is unpacked."""

    def __init__(self, folder: str, limits: LayerLimits, owner: int) -> None:
        self._folder = folder
        self._limits = limits
        self._owner = owner
        self.kinds: dict[str, int] = {}
        """What lies under each path, the root left out."""
        self._modes: dict[str, int] = {}
        """Of folders: set at the end, as a closed one could not be written to."""
        self.size_bytes = 0

    def take(self, member: tar.Member, archive: tar.Tar) -> None:
        """One member, whatever came before it."""
        path = self._path(member.name)
        if not path:
            self._modes[""] = member.mode
            return
        parent, _, name = path.rpartition("/")
        if name.startswith(_WHITEOUT):
            self._take_away(parent, name)
            return
        if member.kind not in (stat.S_IFREG, stat.S_IFDIR, stat.S_IFLNK, tar.HARD_LINK):
            return
        self._parents(path)
        if member.kind == stat.S_IFDIR:
            self._make_folder(path, member.mode)
            return
        self._clear(path)
        if member.kind == stat.S_IFREG:
            self._write(path, member, archive.pieces())
        elif member.kind == stat.S_IFLNK:
            self._link(path, member.link)
        else:
            self._hard_link(path, member)
        self._count(path, member.kind)

    def finish(self) -> None:
        """The modes of folders, the deepest first."""
        for path in sorted(self._modes, reverse=True):
            os.chmod(self._place(path), _mode(self._modes[path]) | 0o707)
        self._own(self._folder)

    # --- names --------------------------------------------------------------------------------------------------------

    def _path(self, name: str) -> str:
        """Relative and normal. A slash in front means the image's root, as tools that read images take it."""
        shown, limits = repr(name[:80]), self._limits
        if len(os.fsencode(name)) > limits.path_bytes or "\0" in name:
            raise errors.InvalidArgument(f"the name {shown}… in a layer is longer than {limits.path_bytes} bytes")
        parts = [part for part in name.split("/") if part not in ("", ".")]
        if ".." in parts:
            raise errors.InvalidArgument(f"the name {shown} in a layer leaves the image")
        if len(parts) > limits.depth or any(len(os.fsencode(part)) > limits.name_bytes for part in parts):
            raise errors.InvalidArgument(
                f"the name {shown} in a layer is too deep or long: {limits.depth} parts of {limits.name_bytes} bytes"
            )
        return "/".join(parts)

    def _place(self, path: str) -> str:
        return f"{self._folder}/{path}" if path else self._folder

    def _parents(self, path: str) -> None:
        at = path.find("/")
        while at >= 0:
            above = path[:at]
            kind = self.kinds.get(above)
            if kind in (None, _GONE):
                self._make_folder(above, 0o755)
            elif kind != stat.S_IFDIR:
                raise errors.InvalidArgument(f"{path[:99]!r} in a layer lies below {above[-80:]!r}, which is no folder")
            at = path.find("/", at + 1)

    def _clear(self, path: str) -> None:
        """What comes later wins."""
        kind = self.kinds.pop(path, None)
        if kind == stat.S_IFDIR:
            shutil.rmtree(self._place(path))
            inside = path + "/"
            for below in [one for one in self.kinds if one.startswith(inside)]:
                del self.kinds[below]
                self._modes.pop(below, None)
            self._modes.pop(path, None)
        elif kind is not None:
            os.unlink(self._place(path))

    def _count(self, path: str, kind: int) -> None:
        self.kinds[path] = kind
        if len(self.kinds) > self._limits.files:
            raise errors.EntityTooLarge(f"a layer of the image holds more than {self._limits.files} files")

    # --- what is made -------------------------------------------------------------------------------------------------

    def _make_folder(self, path: str, mode: int) -> None:
        before = self.kinds.get(path)
        if before != stat.S_IFDIR:
            self._clear(path)
            os.mkdir(self._place(path), 0o700)
            self._own(self._place(path))
            self._count(path, stat.S_IFDIR)
            if before == _GONE:
                self._mark_opaque(path)
        self._modes[path] = mode

    def _write(self, path: str, member: tar.Member, pieces: Iterable[bytes]) -> None:
        self.size_bytes += member.size
        if self.size_bytes > self._limits.unpacked_bytes:
            raise errors.EntityTooLarge(f"a layer of the image holds more than {self._limits.unpacked_bytes} bytes")
        fd = os.open(self._place(path), os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        try:
            for piece in pieces:
                rest = memoryview(piece)
                while rest:
                    rest = rest[os.write(fd, rest) :]
            if self._owner >= 0:
                os.fchown(fd, self._owner, self._owner)
            os.fchmod(fd, _mode(member.mode) | 0o606)
            # Compiled files name the time of their source.
            modified_s = min(member.modified_s, 1 << 33)
            os.utime(fd, (modified_s, modified_s))
        finally:
            os.close(fd)

    def _link(self, path: str, target: str) -> None:
        if not target or len(os.fsencode(target)) > self._limits.path_bytes:
            raise errors.InvalidArgument(f"the link {path[:200]!r} in a layer leads nowhere")
        os.symlink(target, self._place(path))
        self._own(self._place(path))

    def _hard_link(self, path: str, member: tar.Member) -> None:
        target = self._path(member.link)
        if self.kinds.get(target) not in (stat.S_IFREG, stat.S_IFLNK, tar.HARD_LINK):
            raise errors.InvalidArgument(
                f"{path[:200]!r} in a layer is a second name of {target[:200]!r}, which is no file there"
            )
        os.link(self._place(target), self._place(path), follow_symlinks=False)

    def _take_away(self, parent: str, name: str) -> None:
        self._parents(f"{parent}/x" if parent else "x")
        if name == _OPAQUE:
            self._mark_opaque(parent)
            return
        gone = name[len(_WHITEOUT) :]
        if gone in ("", ".", ".."):
            raise errors.InvalidArgument(f"the name {name!r} in a layer takes away what has no name")
        if gone.startswith(_WHITEOUT):
            return  # notes of an old storage driver to itself
        path = f"{parent}/{gone}" if parent else gone
        before = self.kinds.get(path)
        if before == stat.S_IFDIR:
            self._mark_opaque(path)
        elif before is None:
            os.mknod(self._place(path), stat.S_IFCHR, 0)
            self._own(self._place(path))
            self._count(path, _GONE)

    def _mark_opaque(self, path: str) -> None:
        """Nothing of the layers below is seen in this folder."""
        try:
            os.setxattr(self._place(path), _OPAQUE_MARK, b"y")
        except OSError as failure:
            raise errors.Unavailable(
                f"the file system of the data folder takes no attributes ({failure.strerror}), which layers need",
                hint="put the data folder on ext4, xfs or btrfs",
            ) from failure

    def _own(self, place: str) -> None:
        if self._owner >= 0:
            os.chown(place, self._owner, self._owner, follow_symlinks=False)


def _mode(mode: int) -> int:
    """Without set-id bits; others may do what the owner may."""
    return (mode & 0o777) | ((mode >> 6) & 0o7)
