"""Zips of code are hostile until checked: what is unpacked, and what is refused with which reason."""

from __future__ import annotations

import contextlib
import io
import os
import stat
import struct
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from functory.model import errors
from functory.runtimes import archive
from functory.runtimes.archive import CodeLimits

LIMITS = CodeLimits()


def entry(name: str, data: bytes = b"", *, mode: int = 0o100644, method: int = zipfile.ZIP_STORED) -> bytes:
    return zipped((name, data, mode, method))


def zipped(*entries: tuple[str, bytes] | tuple[str, bytes, int] | tuple[str, bytes, int, int]) -> bytes:
    """A zip of (name, data, mode, method)."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for name, data, *rest in entries:
            info = zipfile.ZipInfo(name)
            info.external_attr = (rest[0] if rest else 0o100644) << 16
            info.compress_type = rest[1] if len(rest) > 1 else zipfile.ZIP_DEFLATED
            made.writestr(info, data)
    return file.getvalue()


def renamed(data: bytes, old: bytes, new: bytes) -> bytes:
    """The zip with a name replaced where it stands, both in the list and before the data."""
    assert len(old) == len(new)
    assert data.count(old) == 2
    return data.replace(old, new)


def unpack(data: bytes, folder: Path, limits: CodeLimits = LIMITS) -> archive.Unpacked:
    return archive.unpack(data, folder, limits)


def refused(data: bytes, folder: Path, *words: str, limits: CodeLimits = LIMITS) -> errors.RequestError:
    with pytest.raises(errors.RequestError) as caught:
        unpack(data, folder, limits)
    for word in words:
        assert word in caught.value.message
    return caught.value


def test_files_and_folders_come_out_as_they_went_in(tmp_path: Path) -> None:
    data = zipped(
        ("index.py", b"def handler(e, c): return e\n"), ("pkg/", b"", 0o040755), ("pkg/deep/er/x.txt", b"x" * 3_000_000)
    )
    assert unpack(data, tmp_path) == archive.Unpacked(files=2, size_bytes=3_000_028)
    assert (tmp_path / "index.py").read_bytes() == b"def handler(e, c): return e\n"
    assert (tmp_path / "pkg/deep/er/x.txt").read_bytes() == b"x" * 3_000_000


@pytest.mark.parametrize(
    ("mode", "becomes"), [(0, 0o644), (0o100600, 0o644), (0o100777, 0o755), (0o104711, 0o755), (0o100010, 0o755)]
)
def test_only_the_execute_bit_of_a_mode_counts(tmp_path: Path, mode: int, becomes: int) -> None:
    old = os.umask(0o077)
    try:
        unpack(zipped(("d/bootstrap", b"", mode)), tmp_path)
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "d/bootstrap").stat().st_mode) == becomes
    assert stat.S_IMODE((tmp_path / "d").stat().st_mode) == 0o755


def test_names_in_other_scripts_come_out_with_and_without_the_flag(tmp_path: Path) -> None:
    data = zipped(("函数.py", b"1"))
    unpack(data, tmp_path)
    unflagged = data.replace(struct.pack("<H", 0x800), struct.pack("<H", 0), 2)
    other = tmp_path / "other"
    other.mkdir()
    unpack(unflagged, other)
    assert (tmp_path / "函数.py").exists()
    assert (other / "函数.py").exists()


def test_a_name_with_needless_dots_and_slashes_is_made_normal(tmp_path: Path) -> None:
    unpack(zipped(("./", b"", 0o040755), ("./a//b/./c.py", b"1")), tmp_path)
    assert (tmp_path / "a/b/c.py").read_bytes() == b"1"


@pytest.mark.parametrize("data", [b"", b"no zip", b"PK\x05\x06", entry("x", b"data" * 99)[:-30], b"PK\x03\x04" * 50])
def test_what_is_no_zip_is_refused(tmp_path: Path, data: bytes) -> None:
    assert isinstance(refused(data, tmp_path, "not a zip"), errors.InvalidArgument)


def test_a_flipped_bit_is_refused_with_the_name_of_the_file(tmp_path: Path) -> None:
    data = bytearray(entry("some/file.py", b"0123456789" * 100))
    data[200] ^= 1
    assert isinstance(refused(bytes(data), tmp_path, "'some/file.py'", "broken"), errors.InvalidArgument)


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("/etc/passwd", "absolute"),
        ("../x", "leaves"),
        ("a/../../x", "leaves"),
        ("a/..", "leaves"),
        ("C:/x", "absolute"),
        ("c:x", "absolute"),
        ("a/\nb", "control"),
        ("a/" + "b" * 256, "longer"),
        ("a/" * 600 + "b", "longer"),
        ("a/" * 200 + "b", "201 parts"),
        ("é" * 200, "longer"),
    ],
)
def test_a_name_that_may_not_be_is_refused(tmp_path: Path, name: str, why: str) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    assert isinstance(refused(entry(name, b"1"), inside, why), errors.InvalidArgument)
    assert list(tmp_path.iterdir()) == [inside]
    assert list(inside.iterdir()) == []


def test_a_backslash_or_a_zero_in_a_name_is_refused(tmp_path: Path) -> None:
    refused(renamed(entry("..xyy", b"1"), b"..xyy", b"..\\yy"), tmp_path, "backslash")
    refused(renamed(entry("axyy", b"1"), b"axyy", b"a\x00yy"), tmp_path, "control")


def test_a_name_that_is_not_utf8_is_refused(tmp_path: Path) -> None:
    refused(renamed(entry("a??b", b"1"), b"a??b", b"a\xff\xfeb"), tmp_path, "not UTF-8")
    flagged = entry("ß", b"1").replace("ß".encode(), b"\xff\xfe")
    refused(flagged, tmp_path, "not UTF-8")


def test_links_that_stay_inside_are_kept(tmp_path: Path) -> None:
    data = zipped(
        ("lib/libx.so", b"libx.so.1", 0o120777), ("lib/libx.so.1", b"ELF"), ("up", b"lib/../lib", 0o120777),
        ("gone", b"not/there", 0o120777),
    )  # fmt: skip
    assert unpack(data, tmp_path).files == 4
    assert (tmp_path / "lib/libx.so").read_bytes() == b"ELF"
    assert (tmp_path / "up/libx.so.1").read_bytes() == b"ELF"
    assert (tmp_path / "gone").is_symlink()


@pytest.mark.parametrize("target", ["/etc/passwd", "..", "../x", "d/../../x", "", "a\x00b", "x" * 2000])
def test_a_link_that_points_out_is_refused(tmp_path: Path, target: str) -> None:
    refused(zipped(("d/f", b"1"), ("link", target.encode(), 0o120777)), tmp_path, "'link'")


def test_links_that_only_together_leave_are_refused(tmp_path: Path) -> None:
    data = zipped(("a/b/f", b"1"), ("deep", b"a/b", 0o120777), ("a/b/up", b"../../deep/../../..", 0o120777))
    refused(data, tmp_path, "points out")


def test_nothing_is_written_through_a_link(tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    inside = tmp_path / "inside"
    outside.mkdir()
    inside.mkdir()
    refused(zipped(("d", b"../outside", 0o120777), ("d/f", b"1")), inside, "no folder")
    refused(zipped(("d/f", b"1"), ("d", b"../outside", 0o120777)), inside, "no folder")
    assert list(outside.iterdir()) == []


@pytest.mark.parametrize("kind", [stat.S_IFCHR, stat.S_IFBLK, stat.S_IFIFO, stat.S_IFSOCK])
def test_devices_are_refused(tmp_path: Path, kind: int) -> None:
    refused(entry("dev", mode=kind | 0o666), tmp_path, "'dev'", "device")


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize(
    "names", [("a", "a"), ("a", "./a"), ("a/b", "a//b"), ("a", "a/")], ids=["same", "dot", "slashes", "folder"]
)
def test_the_same_name_twice_is_refused(tmp_path: Path, names: tuple[str, str]) -> None:
    refused(zipped(*((name, b"") for name in names)), tmp_path, "twice")


def test_a_file_below_a_file_is_refused(tmp_path: Path) -> None:
    refused(zipped(("a", b"1"), ("a/b/c", b"2")), tmp_path, "'a'", "no folder")


def test_an_encrypted_entry_is_refused(tmp_path: Path) -> None:
    data = bytearray(entry("secret", b"1"))
    data[6] |= 1
    data[data.index(b"PK\x01\x02") + 8] |= 1
    refused(bytes(data), tmp_path, "'secret'", "encrypted")


@pytest.mark.parametrize("method", [zipfile.ZIP_LZMA, zipfile.ZIP_BZIP2])
def test_an_unusual_packing_is_refused(tmp_path: Path, method: int) -> None:
    refused(entry("x", b"1", method=method), tmp_path, "deflate")


def test_limits_are_kept(tmp_path: Path) -> None:
    many = zipped(*((f"f{number}", b"") for number in range(11)))
    large = entry("x", os.urandom(2000))
    for data, limits in (
        (many, CodeLimits(files=10)),
        (large, CodeLimits(unpacked_bytes=1999)),
        (large, CodeLimits(zip_bytes=1000)),
    ):
        assert isinstance(refused(data, tmp_path, limits=limits), errors.EntityTooLarge)
        assert list(tmp_path.iterdir()) == []
    unpack(many, tmp_path, CodeLimits(files=11))


def test_a_bomb_is_refused_by_what_it_declares(tmp_path: Path) -> None:
    bomb = zipped(("x", bytes(20_000_000)))
    assert isinstance(refused(bomb, tmp_path, "times its packed size"), errors.EntityTooLarge)
    assert list(tmp_path.iterdir()) == []


def test_a_bomb_that_declares_little_never_writes_more(tmp_path: Path) -> None:
    bomb = zipped(("x", bytes(5_000_000)))
    lying = bomb.replace(struct.pack("<I", 5_000_000), struct.pack("<I", 1000))
    refused(lying, tmp_path, "'x'", "broken")
    assert (tmp_path / "x").stat().st_size <= 1000


def test_a_list_of_entries_larger_than_all_limits_is_not_even_read(tmp_path: Path) -> None:
    record = zipped(("x", b""))
    start = record.index(b"PK\x01\x02")
    central = record[start : start + 47]
    end = struct.pack("<4sHHHHIIH", b"PK\x05\x06", 0, 0, 0xFFFF, 0xFFFF, len(central) * 50_000, start, 0)
    data = record[:start] + central * 50_000 + end
    refused(data, tmp_path, "list of entries", limits=CodeLimits(files=100))


def test_the_checksum_is_what_official_clients_compute() -> None:
    assert archive.crc64(b"123456789") == str(0x995DC9BBDF1939FA)


@given(junk=st.binary(max_size=300), at=st.integers(0, 400), name=st.text(max_size=20))
def test_any_damage_is_refused_or_harmless_but_never_leaves_the_folder(
    tmp_path_factory: pytest.TempPathFactory, junk: bytes, at: int, name: str
) -> None:
    folder = tmp_path_factory.mktemp("zip")
    inside = folder / "inside"
    inside.mkdir()
    data = bytearray(zipped(("a/b.py", b"print(1)\n" * 20), ("l", b"a/b.py", 0o120777)))
    if name and name.isprintable() and not name.startswith("/"):
        data = bytearray(zipped((name, b"1")))
    data[at : at + len(junk)] = junk
    with contextlib.suppress(errors.RequestError):
        unpack(bytes(data), inside)
    assert list(folder.iterdir()) == [inside]
