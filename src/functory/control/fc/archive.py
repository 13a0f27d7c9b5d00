"""The code in a request: from base64 in JSON to an archive in the code store.

The text may have 67 MB. It is decoded in a thread and in pieces, so that the loop gets its turn between them.
"""

from __future__ import annotations

import asyncio
import binascii
import io

import msgspec

from functory.control.fc.inputs import CodeInput
from functory.control.parts import Code, CodeStore
from functory.control.uploads import Uploads
from functory.model import errors

_PIECE_CHARS = 4 * 65536
_INLINE_CHARS = 65536
_MAX_CHECKSUM = 20


async def store_code(
    given: CodeInput | None, code: CodeStore, uploads: Uploads | None = None, account_id: str = ""
) -> Code | None:
    """Stores the code that `given` carries and returns once it is durable; None if it carries none.

    `uploads`: where an object lies that it names, of this account.
    """
    if given is None:
        return None
    if given.oss_object_name and uploads is not None:
        zip_bytes: bytes | None = await uploads.take(account_id, given.oss_bucket_name or "", given.oss_object_name)
    else:
        zip_bytes = await _zip_bytes(given)
    if zip_bytes is None:
        return None
    return await code.add(zip_bytes, checksum=_checksum(given))


async def _zip_bytes(given: CodeInput) -> bytes | None:
    if given.oss_bucket_name or given.oss_object_name:
        raise errors.InvalidArgument(
            "code.ossBucketName and code.ossObjectName are not supported by this node yet",
            hint="send the zip in code.zipFile, in base64",
        )
    text = memoryview(given.zip_file)
    if bytes(text[:5]) in (b"", b"null", b'""'):
        return None
    if bytes(text[:1]) != b'"':
        raise errors.InvalidArgument("the body is not valid: Expected `str` - at `$.code.zipFile`")
    return _decode(text) if len(text) <= _INLINE_CHARS else await asyncio.to_thread(_decode, text)


def _checksum(given: CodeInput) -> str | None:
    """The CRC-64 that the caller says the zip has."""
    if not given.checksum:
        return None
    if not (given.checksum.isascii() and given.checksum.isdigit()) or len(given.checksum) > _MAX_CHECKSUM:
        raise errors.InvalidArgument("code.checksum is not valid: the CRC-64 of the zip as a decimal number")
    return given.checksum


def _decode(text: memoryview) -> bytes:
    """The bytes of a JSON string in strict base64: nothing but its alphabet, padded."""
    try:
        return _from_base64(text[1:-1])
    except binascii.Error as wrong:
        if b"\\" in bytes(text):  # some encoders write a slash as \/
            return _unescaped(text)
        raise errors.InvalidArgument(f"code.zipFile is not base64: {wrong}") from None


def _unescaped(text: memoryview) -> bytes:
    try:
        return _from_base64(memoryview(msgspec.json.decode(text, type=str).encode("utf-8", "replace")))
    except (msgspec.DecodeError, UnicodeError, binascii.Error) as wrong:
        raise errors.InvalidArgument(f"code.zipFile is not base64: {wrong}") from None


def _from_base64(text: memoryview) -> bytes:
    out = io.BytesIO()
    for start in range(0, len(text), _PIECE_CHARS):
        piece = text[start : start + _PIECE_CHARS]
        if start + _PIECE_CHARS < len(text) and piece[-1] == ord("="):
            raise binascii.Error("Padding before the end")
        out.write(binascii.a2b_base64(piece, strict_mode=True))
    return out.getvalue()
