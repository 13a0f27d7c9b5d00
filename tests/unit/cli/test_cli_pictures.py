"""The size of a picture, of its first bytes."""

from __future__ import annotations

import struct
import zlib

import pytest

from functory.cli import pictures


def png(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + header + struct.pack(">I", zlib.crc32(header))


def jpeg(width: int, height: int) -> bytes:
    app = b"\xff\xe0" + struct.pack(">H", 16) + b"JFIF\0" + bytes(9)
    tables = b"\xff\xc4" + struct.pack(">H", 5) + bytes(3)
    frame = b"\xff\xc2" + struct.pack(">HBHHB", 17, 8, height, width, 3) + bytes(9)
    return b"\xff\xd8" + app + tables + frame


@pytest.mark.parametrize("made", [png, jpeg])
def test_width_and_height_are_found(made: type) -> None:
    assert pictures.measure(made(640, 427)) == (640, 427)


@pytest.mark.parametrize("data", [b"", b"GIF89a", png(1, 1)[:20], jpeg(1, 1)[:30], b"\xff\xd8" + b"\xff\xe0\0\0" * 9])
def test_what_is_no_picture_is_refused(data: bytes) -> None:
    with pytest.raises(ValueError, match="picture"):
        pictures.measure(data)
