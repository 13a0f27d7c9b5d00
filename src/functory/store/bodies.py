"""The stored form of a function: JSON, so that people and other tools can read the database."""

from __future__ import annotations

import msgspec

from functory.model import errors
from functory.model.function import Function

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Function).decode


def of_function(function: Function) -> bytes:
    """The JSON of a function; `InvalidArgument` for what JSON cannot write."""
    try:
        return _encode(function)
    except (UnicodeEncodeError, OverflowError, TypeError) as reason:
        raise errors.InvalidArgument(f"function '{function.name}' cannot be stored: {reason}") from reason


def to_function(body: bytes | str) -> Function:
    """The function again; `StorageCorrupt` if the body is not one."""
    try:
        return _decode(body)
    except msgspec.DecodeError as reason:
        raise errors.StorageCorrupt(f"a stored function cannot be read: {reason}") from reason
