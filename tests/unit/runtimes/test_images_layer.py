"""Layers of images are hostile until unpacked: what comes out, what is left out, what is refused."""

from __future__ import annotations

import contextlib
import os
import stat
import tarfile
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import image_kit
from functory.model import errors
from functory.runtimes.images import layer, tar
from functory.runtimes.images.layer import LayerLimits

LIMITS = LayerLimits()
LINK, HARD = {"type": tarfile.SYMTYPE}, {"type": tarfile.LNKTYPE}


def unpack(data: bytes, folder: Path, limits: LayerLimits = LIMITS) -> layer.Unpacked:
    at = 0

    def read(size: int) -> bytes:
        nonlocal at
        piece = data[at : at + min(size, 1000)]  # as little as a pipe may give
        at += len(piece)
        return piece

    folder.mkdir(exist_ok=True)
    return layer.unpack(tar.Tar(read), str(folder), limits)


def is_whiteout(path: Path) -> bool:
    found = path.lstat()
    return stat.S_ISCHR(found.st_mode) and found.st_rdev == 0


def is_opaque(path: Path) -> bool:
    return "user.overlay.opaque" in os.listxattr(path)


def test_files_folders_and_links_come_out_as_they_went_in(tmp_path: Path) -> None:
    data = image_kit.layer(
        ("a", None),
        ("a/file", b"x" * 70_000, {"mode": 0o640, "mtime": 1_600_000_000}),
        ("a/second", b"", {**HARD, "linkname": "a/file"}),
        ("deep/in/implied/folders", b"y"),
        ("link", b"", {**LINK, "linkname": "/usr/lib"}),
    )
    found = unpack(data, tmp_path / "out")
    out = tmp_path / "out"
    assert (out / "a/second").read_bytes() == b"x" * 70_000
    assert (out / "a/file").stat().st_nlink == 2
    assert (out / "a/file").stat().st_mtime == 1_600_000_000
    assert (out / "deep/in/implied/folders").read_bytes() == b"y"
    assert os.readlink(out / "link") == "/usr/lib"
    assert found.files == 8
    assert found.size_bytes == 70_001


def test_everybody_may_do_what_the_owner_may_and_no_set_id_bit_stays(tmp_path: Path) -> None:
    modes = {"shadow": (0o640, 0o646), "su": (0o4755, 0o757), "closed": (0o000, 0o606), "run": (0o700, 0o707)}
    unpack(image_kit.layer(*((name, b"x", {"mode": mode}) for name, (mode, _) in modes.items())), tmp_path / "out")
    seen = {name: stat.S_IMODE((tmp_path / "out" / name).stat().st_mode) for name in modes}
    assert seen == {name: mode for name, (_, mode) in modes.items()}


def test_a_closed_folder_is_filled_all_the_same(tmp_path: Path) -> None:
    unpack(image_kit.layer(("closed", None, {"mode": 0}), ("closed/x", b"x")), tmp_path / "out")
    assert (tmp_path / "out/closed/x").read_bytes() == b"x"


def test_an_archive_without_its_end_is_read(tmp_path: Path) -> None:
    data = image_kit.layer(("a", b"1"), ("b", b"2" * 600), ended=False)
    unpack(data, tmp_path / "out")
    assert (tmp_path / "out/b").read_bytes() == b"2" * 600
    unpack(data[: -(512 - 600 % 512)], tmp_path / "unpadded")
    assert (tmp_path / "unpadded/b").read_bytes() == b"2" * 600


def test_an_empty_archive_is_an_empty_layer(tmp_path: Path) -> None:
    assert unpack(b"", tmp_path / "nothing").files == 0
    assert unpack(image_kit.layer(), tmp_path / "ended").files == 0


def test_what_a_layer_takes_away_is_marked_for_the_overlay(tmp_path: Path) -> None:
    out = tmp_path / "out"
    unpack(
        image_kit.layer(
            ("etc/.wh.gone", b""),
            ("var/.wh..wh..opq", b""),
            ("var/new", b"n"),
            (".wh.folder", b""),
            ("folder", None),
            ("kept", b"k"),
            (".wh.kept", b""),
            ("again", None),
            (".wh.again", b""),
            ("etc/.wh..wh.plnk", b""),
        ),
        out,
    )
    assert is_whiteout(out / "etc/gone")
    assert is_opaque(out / "var")
    assert (out / "var/new").exists()
    assert (out / "folder").is_dir()
    assert is_opaque(out / "folder")
    assert (out / "kept").read_bytes() == b"k", "what a layer brings itself it does not take away"
    assert is_opaque(out / "again")
    assert sorted(os.listdir(out / "etc")) == ["gone"]


def test_devices_and_pipes_are_left_out(tmp_path: Path) -> None:
    kinds = {"block": tarfile.BLKTYPE, "char": tarfile.CHRTYPE, "pipe": tarfile.FIFOTYPE}
    entries = [(f"dev/{name}", b"", {"type": kind, "devmajor": 8}) for name, kind in kinds.items()]
    unpack(image_kit.layer(*entries, ("dev/zero", b"", {"type": tarfile.CHRTYPE}), ("x", b"x")), tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").rglob("*")) == ["x"]


def test_what_comes_later_wins(tmp_path: Path) -> None:
    unpack(
        image_kit.layer(("a", b"1"), ("a", b"2"), ("b", None), ("b/x", b"x"), ("b", b"file"), ("c", b"c"), ("c", None)),
        tmp_path / "out",
    )
    out = tmp_path / "out"
    assert (out / "a").read_bytes() == b"2"
    assert (out / "b").read_bytes() == b"file"
    assert (out / "c").is_dir()


def test_a_leading_slash_means_the_images_root(tmp_path: Path) -> None:
    unpack(image_kit.layer(("/etc/x", b"x"), ("./y", b"y"), (".", None)), tmp_path / "out")
    assert (tmp_path / "out/etc/x").exists()
    assert (tmp_path / "out/y").exists()


HOSTILE: dict[str, tuple[list[image_kit.Entry], str]] = {
    "a name that leaves": ([("../../escape", b"x")], "leaves"),
    "a name that leaves in its middle": ([("a/../../escape", b"x")], "leaves"),
    "a file through a link": ([("l", b"", {**LINK, "linkname": "/tmp"}), ("l/escape", b"x")], "no folder"),
    "a folder through a link": ([("l", b"", {**LINK, "linkname": ".."}), ("l/escape", None)], "no folder"),
    "a file below a file": ([("f", b"x"), ("f/escape", b"x")], "no folder"),
    "a second name outside": ([("h", b"", {**HARD, "linkname": "/etc/passwd"})], "no file there"),
    "a second name that leaves": ([("h", b"", {**HARD, "linkname": "../../etc/passwd"})], "leaves"),
    "a second name of a folder": ([("d", None), ("h", b"", {**HARD, "linkname": "d"})], "no file there"),
    "a whiteout of the parent": ([(".wh...", b"")], "no name"),
    "a whiteout of the folder itself": ([("a/.wh..", b"")], "no name"),
    "a whiteout without a name": ([(".wh.", b"")], "no name"),
    "a whiteout through a link": ([("l", b"", {**LINK, "linkname": "/"}), ("l/.wh.etc", b"")], "no folder"),
    "an opaque link": ([("l", b"", {**LINK, "linkname": "/"}), ("l/.wh..wh..opq", b"")], "no folder"),
    "a deep name": ([("x/" * 140 + "y", b"x")], "too deep"),
    "a long name": ([("y" * 5000, b"x")], "longer than"),
    "a link that leads nowhere": ([("l", b"", LINK)], "nowhere"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_could_reach_out_of_the_image_is_refused(name: str, tmp_path: Path) -> None:
    entries, word = HOSTILE[name]
    with pytest.raises(errors.InvalidArgument, match=word):
        unpack(image_kit.layer(*entries), tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out"]
    assert not list(tmp_path.rglob("escape"))


def test_a_header_that_would_fill_the_memory_is_refused(tmp_path: Path) -> None:
    info = tarfile.TarInfo("x")
    info.type, info.size = tarfile.XHDTYPE, 1 << 40
    with pytest.raises(errors.InvalidArgument, match="header"):
        unpack(info.tobuf(tarfile.GNU_FORMAT), tmp_path / "out")


def test_too_many_files_and_too_many_bytes_are_refused(tmp_path: Path) -> None:
    many = image_kit.layer(*((f"f{number}", b"") for number in range(11)))
    with pytest.raises(errors.EntityTooLarge, match="10 files"):
        unpack(many, tmp_path / "many", LayerLimits(files=10))
    with pytest.raises(errors.EntityTooLarge, match="100 bytes"):
        unpack(image_kit.layer(("a", b"x" * 60), ("b", b"x" * 60)), tmp_path / "large", LayerLimits(unpacked_bytes=100))


@given(st.integers(min_value=0, max_value=3000), st.integers(min_value=0, max_value=255))
def test_a_damaged_archive_is_refused_or_read_but_never_an_accident(at: int, value: int) -> None:
    data = bytearray(image_kit.layer(("a/b", b"x" * 600), ("l", b"", {**LINK, "linkname": "a"}), ("c", b"y")))
    data[at % len(data)] = value
    with tempfile.TemporaryDirectory() as folder:
        with contextlib.suppress(errors.RequestError):
            unpack(bytes(data), Path(folder) / "out")
        assert os.listdir(folder) == ["out"]
