"""A folder or a file as a zip: the same source gives the same bytes.

Names are sorted, times are fixed and only the executable bit of a mode is kept, so the checksum tells whether the code
changed, and an upload of what is there already can be skipped. Left out: version control, caches, virtual environments,
deploy files (they describe the function, they are not its code), and what `.functoryignore` names.

A symbolic link that stays inside the folder is packed as what it points to; one that leaves it is refused: what lies
outside is not the function's, and packing it would publish it.
"""

from __future__ import annotations

import io
import os
import stat
import zipfile
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path

import msgspec
from fastcrc import crc64

from functory.sdk.errors import PackageError

IGNORE_FILE = ".functoryignore"
LEFT_OUT_FOLDERS = frozenset({".git", ".hg", ".svn", "__pycache__", ".venv", "venv", "node_modules", ".functory"})
LEFT_OUT_FILES = frozenset(
    {"functory.toml", "functory.yaml", "functory.yml", "s.yaml", "s.yml", IGNORE_FILE, ".DS_Store"}
)
LEFT_OUT_SUFFIXES = (".pyc", ".pyo")
MAX_BYTES = 500 * 1024 * 1024
"""The official limit of a code package."""
_EPOCH = (1980, 1, 1, 0, 0, 0)
_LEVEL = 6


class Package(msgspec.Struct, frozen=True, kw_only=True):
    """Code, ready to be uploaded."""

    data: bytes
    """The zip."""
    checksum: str
    """CRC-64/XZ of the zip as a decimal number: the node's `codeChecksum`."""
    files: int
    source_bytes: int
    """The files as they lie on disk."""


def pack(source: Path, *, max_bytes: int = MAX_BYTES, keep: frozenset[str] = frozenset()) -> Package:
    """The zip of a folder, or of one file. `PackageError` says what cannot be packed.

    `keep`: folders that are packed although they are left out as a rule.
    """
    if source.is_file():
        entries = iter([(source.name, source)])
    elif source.is_dir():
        entries = files_of(source, keep)
    else:
        raise PackageError(
            f"there is no file or folder {str(source)!r}", hint="give a folder with code, or one source file"
        )
    return _zipped(entries, source, max_bytes)


def files_of(folder: Path, keep: frozenset[str] = frozenset()) -> Iterator[tuple[str, Path]]:
    """Name inside the zip and path of every file that belongs to the function, in order of name."""
    ignored = read_ignored(folder)
    found: list[tuple[str, Path]] = []
    root = folder.resolve()
    _walk(root, root, "", ignored, found, (root,), keep)
    return iter(sorted(found))


def read_ignored(folder: Path) -> list[str]:
    """The patterns of `.functoryignore`: one a line, `#` starts a comment.

    A pattern with a slash in it is matched with the path from the folder, another with the name alone; `name/` means
    folders only.
    """
    try:
        lines = (folder / IGNORE_FILE).read_text("utf-8").splitlines()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as failure:
        raise PackageError(f"{folder / IGNORE_FILE} cannot be read: {failure}") from failure
    patterns = [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
    negated = next((pattern for pattern in patterns if pattern.startswith("!")), None)
    if negated:
        raise PackageError(f"{folder / IGNORE_FILE}: {negated!r} is not understood", hint="only simple globs are")
    return patterns


def is_ignored(name: str, is_folder: bool, patterns: list[str], keep: frozenset[str] = frozenset()) -> bool:
    """Whether a file or folder, `a/b` from the root, stays out."""
    last = name.rpartition("/")[2]
    if last in (LEFT_OUT_FOLDERS - keep if is_folder else LEFT_OUT_FILES):
        return True
    if not is_folder and last.endswith(LEFT_OUT_SUFFIXES):
        return True
    return any(_matches(pattern, name, last, is_folder) for pattern in patterns)


def _matches(pattern: str, name: str, last: str, is_folder: bool) -> bool:
    if pattern.endswith("/"):
        if not is_folder:
            return False
        pattern = pattern.rstrip("/")
    if "/" in pattern:
        return fnmatchcase(name, pattern.removeprefix("/"))
    return fnmatchcase(last, pattern)


def _walk(
    root: Path,
    folder: Path,
    inside: str,
    ignored: list[str],
    found: list[tuple[str, Path]],
    above: tuple[Path, ...],
    keep: frozenset[str],
) -> None:
    """Adds the files of `folder`. `above`: the real folders on the way here, so that a loop of links ends."""
    for entry in _scan(folder):
        name = f"{inside}{entry.name}"
        path = Path(entry.path)
        if is_ignored(name, entry.is_dir(), ignored, keep):
            continue
        real = _inside(root, path, name) if entry.is_symlink() else path
        if entry.is_dir():
            if real in above:
                raise PackageError(f"{name} is a link to a folder that holds it")
            _walk(root, path, f"{name}/", ignored, found, (*above, real), keep)
        elif entry.is_file():
            found.append((name, real))
        else:
            raise PackageError(f"{name} is neither a file nor a folder", hint=f"name it in {IGNORE_FILE}")


def _scan(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as failure:
        raise PackageError(f"{folder} cannot be read: {failure.strerror}") from failure


def _inside(root: Path, path: Path, name: str) -> Path:
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError) as failure:
        raise PackageError(f"{name} is a link to nothing", hint=f"remove it, or name it in {IGNORE_FILE}") from failure
    if not real.is_relative_to(root):
        raise PackageError(
            f"{name} is a link to {real}, outside the folder", hint=f"copy it here, or name it in {IGNORE_FILE}"
        )
    return real


def _zipped(entries: Iterator[tuple[str, Path]], source: Path, max_bytes: int) -> Package:
    out = io.BytesIO()
    files = source_bytes = 0
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED, compresslevel=_LEVEL) as archive:
        for name, path in entries:
            data, mode = _read(path, name, max_bytes)
            source_bytes += len(data)
            files += 1
            archive.writestr(_entry(name, mode), data, compresslevel=_LEVEL)
            if source_bytes > max_bytes:
                raise _too_large(source, max_bytes)
    if not files:
        raise PackageError(f"the folder {source} holds no files", hint="make a function there with: functory new NAME")
    data = out.getvalue()
    return Package(data=data, checksum=str(crc64.xz(data)), files=files, source_bytes=source_bytes)


def _read(path: Path, name: str, max_bytes: int) -> tuple[bytes, int]:
    try:
        status = path.stat()
        if status.st_size > max_bytes:
            raise _too_large(path, max_bytes)
        return path.read_bytes(), status.st_mode
    except OSError as failure:
        raise PackageError(f"{name} cannot be read: {failure.strerror}") from failure


def _entry(name: str, mode: int) -> zipfile.ZipInfo:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError as failure:
        raise PackageError(f"{name!r} is not a name that can be packed: it is not UTF-8") from failure
    info = zipfile.ZipInfo(name, _EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    info.create_system = 3  # Unix, wherever it is packed: the mode below is only read then
    info.external_attr = (stat.S_IFREG | (0o755 if mode & stat.S_IXUSR else 0o644)) << 16
    return info


def _too_large(source: Path, max_bytes: int) -> PackageError:
    return PackageError(
        f"{source} is larger than {max_bytes // (1024 * 1024)} MB, the most that code may be",
        hint=f"name what the function does not need in {IGNORE_FILE}, or move data out of the code",
    )
