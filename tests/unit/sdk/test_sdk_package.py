"""Packing: the same source gives the same bytes, and nothing gets in that should not."""

from __future__ import annotations

import io
import os
import stat
import zipfile
from pathlib import Path

import pytest
from fastcrc import crc64

from functory.sdk import package
from functory.sdk.errors import PackageError


def write(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def opened(packed: package.Package) -> zipfile.ZipFile:
    return zipfile.ZipFile(io.BytesIO(packed.data))


def names(packed: package.Package) -> list[str]:
    return opened(packed).namelist()


FILES = {"index.py": "a = 1\n", "lib/util.py": "b = 2\n", "data/z.txt": "z"}


def test_the_same_source_gives_the_same_bytes_whatever_its_times_and_order(tmp_path: Path) -> None:
    one = write(tmp_path / "one", FILES)
    two = write(tmp_path / "two", dict(reversed(FILES.items())))
    os.utime(two / "index.py", (1, 1))
    (two / "lib" / "util.py").chmod(0o600)
    assert package.pack(one) == package.pack(two)


@pytest.mark.parametrize("change", ["content", "name", "executable"])
def test_a_change_of_content_name_or_executable_bit_changes_the_checksum(tmp_path: Path, change: str) -> None:
    folder = write(tmp_path / "f", FILES)
    before = package.pack(folder)
    if change == "content":
        (folder / "index.py").write_text("a = 2\n")
    elif change == "name":
        (folder / "index.py").rename(folder / "main.py")
    else:
        (folder / "index.py").chmod(0o755)
    assert package.pack(folder).checksum != before.checksum


def test_the_checksum_is_crc_64_xz_of_the_zip_in_decimal(tmp_path: Path) -> None:
    packed = package.pack(write(tmp_path / "f", FILES))
    assert packed.checksum == str(crc64.xz(packed.data))
    # The check value of the algorithm's catalogue entry, so that it is this one of its many relatives.
    assert crc64.xz(b"123456789") == 0x995DC9BBDF1939FA


def test_names_are_sorted_and_the_executable_bit_is_kept(tmp_path: Path) -> None:
    folder = write(tmp_path / "f", {**FILES, "bootstrap": "#!/bin/sh\n"})
    (folder / "bootstrap").chmod(0o750)
    archive = opened(package.pack(folder))
    assert archive.namelist() == ["bootstrap", "data/z.txt", "index.py", "lib/util.py"]
    modes = {entry.filename: stat.S_IMODE(entry.external_attr >> 16) for entry in archive.infolist()}
    assert modes["bootstrap"] == 0o755
    assert modes["index.py"] == 0o644


def test_caches_and_version_control_and_the_functions_description_stay_out(tmp_path: Path) -> None:
    left_out = [
        ".git/HEAD", "__pycache__/index.pyc", "lib/__pycache__/x.pyc", ".venv/bin/python", "old.pyc",
        "node_modules/a/index.js", ".functory/credentials.json", "functory.toml", ".functoryignore",
    ]  # fmt: skip
    folder = write(tmp_path / "f", {**FILES, **dict.fromkeys(left_out, "")})
    assert names(package.pack(folder)) == sorted(FILES)


def test_functoryignore_names_files_folders_and_paths(tmp_path: Path) -> None:
    ignore = "# notes\n*.md\nbuild/\n/data/raw*\n\n"
    files = {
        "index.py": "", "README.md": "", "docs/guide.md": "", "build/out.js": "", "sub/build/out.js": "",
        "data/raw.csv": "", "data/kept.csv": "", "build.txt": "", ".functoryignore": ignore,
    }  # fmt: skip
    packed = package.pack(write(tmp_path / "f", files))
    assert names(packed) == ["build.txt", "data/kept.csv", "index.py"]


def test_a_negated_pattern_is_refused_rather_than_misread(tmp_path: Path) -> None:
    folder = write(tmp_path / "f", {"index.py": "", ".functoryignore": "*.md\n!keep.md\n"})
    with pytest.raises(PackageError, match=r"!keep\.md"):
        package.pack(folder)


def test_a_link_that_stays_inside_is_packed_as_what_it_points_to(tmp_path: Path) -> None:
    folder = write(tmp_path / "f", FILES)
    (folder / "alias.py").symlink_to("index.py")
    (folder / "more").symlink_to("lib")
    archive = opened(package.pack(folder))
    assert archive.read("alias.py") == b"a = 1\n"
    assert archive.read("more/util.py") == b"b = 2\n"


@pytest.mark.parametrize("target", ["/etc/hostname", "../secret.txt", ".."])
def test_a_link_that_leaves_the_folder_is_refused(tmp_path: Path, target: str) -> None:
    write(tmp_path, {"secret.txt": "s"})
    folder = write(tmp_path / "f", FILES)
    (folder / "link").symlink_to(target)
    with pytest.raises(PackageError, match="link"):
        package.pack(folder)


def test_a_folder_that_links_to_itself_is_refused(tmp_path: Path) -> None:
    folder = write(tmp_path / "f", FILES)
    (folder / "lib" / "again").symlink_to(folder / "lib")
    with pytest.raises(PackageError, match="a folder that holds it"):
        package.pack(folder)


def test_a_link_to_nothing_is_named(tmp_path: Path) -> None:
    folder = write(tmp_path / "f", FILES)
    (folder / "gone.py").symlink_to("missing.py")
    with pytest.raises(PackageError, match=r"gone\.py is a link to nothing"):
        package.pack(folder)


def test_a_pipe_in_the_folder_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    folder = write(tmp_path / "f", FILES)
    os.mkfifo(folder / "pipe")
    with pytest.raises(PackageError, match="pipe is neither a file nor a folder"):
        package.pack(folder)


def test_one_file_is_packed_alone(tmp_path: Path) -> None:
    write(tmp_path, {"report.py": "x", "other.py": "y"})
    assert names(package.pack(tmp_path / "report.py")) == ["report.py"]


def test_what_is_too_large_is_refused_with_the_limit(tmp_path: Path) -> None:
    folder = write(tmp_path / "f", {"index.py": "", "model.bin": "x" * (2 << 20)})
    with pytest.raises(PackageError, match="larger than 1 MB"):
        package.pack(folder, max_bytes=1 << 20)


def test_many_small_files_count_together(tmp_path: Path) -> None:
    folder = write(tmp_path / "f", {f"{n}.bin": "x" * (300 << 10) for n in range(4)})
    with pytest.raises(PackageError, match="larger than 1 MB"):
        package.pack(folder, max_bytes=1 << 20)


def test_an_empty_folder_and_a_missing_one_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PackageError, match="holds no files"):
        package.pack(tmp_path)
    with pytest.raises(PackageError, match="no file or folder"):
        package.pack(tmp_path / "none")


def test_folders_that_are_left_out_as_a_rule_can_be_kept(tmp_path: Path) -> None:
    (tmp_path / "node_modules" / "a").mkdir(parents=True)
    (tmp_path / "node_modules" / "a" / "index.js").write_text("x")
    (tmp_path / "index.js").write_text("y")
    assert package.pack(tmp_path).files == 1
    assert package.pack(tmp_path, keep=frozenset({"node_modules"})).files == 2
    (tmp_path / ".functoryignore").write_text("node_modules/\n")
    assert package.pack(tmp_path, keep=frozenset({"node_modules"})).files == 1, "what the user says counts more"
