"""Environment variables at rest: sealed inside the stored body of a function, so that the rest stays readable.

    {"name": "shop", …, "environment": {}, "sealed_environment": "KEY:BASE64"}

KEY names the key it was sealed with: a body of another key is told apart from a damaged one. A body without the field
is one from before, and is read as it is.
"""

from __future__ import annotations

import base64
import binascii

import msgspec

from functory.model import errors
from functory.store.cipher import Cipher

FIELD = "sealed_environment"
_MARK = f'"{FIELD}"'.encode()
_EMPTY = msgspec.Raw(b"{}")
_STANDING, _NULL = "standing", b"null"
_PURPOSE = "environment variables"

_decode = msgspec.json.Decoder(dict[str, msgspec.Raw]).decode
_encode = msgspec.json.Encoder().encode
_text = msgspec.json.Decoder(str).decode


class Sealing:
    """Seals and opens bodies of functions and of versions."""

    def __init__(self, cipher: Cipher) -> None:
        self._cipher = cipher.derive(_PURPOSE)

    def seal(self, body: bytes) -> bytes:
        """A function's body to be stored."""
        fields = _decode(body)
        plain = bytes(fields.get("environment", _EMPTY))
        standing = bytes(fields.get(_STANDING, _NULL))
        if standing != _NULL:  # the revision that calls go to meanwhile has variables of its own
            fields[_STANDING] = msgspec.Raw(self.seal(standing))
        elif plain == b"{}":
            return body
        if plain == b"{}":
            return _encode(fields)
        sealed = base64.b64encode(self._cipher.seal(plain, _context(fields))).decode()
        return _encode({**fields, "environment": _EMPTY, FIELD: f"{self._cipher.key_id}:{sealed}"})

    def open(self, body: bytes) -> bytes:
        """The body again; `StorageCorrupt`."""
        if _MARK not in body:
            return body
        try:
            fields = _decode(body)
            standing = bytes(fields.get(_STANDING, _NULL))
            if standing != _NULL:
                fields[_STANDING] = msgspec.Raw(self.open(standing))
            if FIELD not in fields:  # the words stand in some value, or in the other revision
                return _encode(fields)
            key_id, _, sealed = _text(fields.pop(FIELD)).partition(":")
            data = base64.b64decode(sealed, validate=True)
        except (msgspec.DecodeError, binascii.Error, ValueError) as reason:
            raise errors.StorageCorrupt(f"a stored function cannot be read: {reason}") from reason
        if key_id != self._cipher.key_id:
            raise errors.StorageCorrupt(
                f"environment variables were sealed with key {key_id[:16]}, this node has {self._cipher.key_id}",
                hint="restore the key file that belongs to this database",
            )
        return _encode({**fields, "environment": msgspec.Raw(self._cipher.open(data, _context(fields)))})

    def seal_version(self, body: bytes) -> bytes:
        """A version's body, which holds a function's."""
        fields = _decode(body)
        return _encode({**fields, "function": msgspec.Raw(self.seal(bytes(fields["function"])))})

    def open_version(self, body: bytes) -> bytes:
        """The body again."""
        if _MARK not in body:
            return body
        fields = _decode(body)
        return _encode({**fields, "function": msgspec.Raw(self.open(bytes(fields["function"])))})


def _context(fields: dict[str, msgspec.Raw]) -> str:
    """What was sealed for one function does not open in another's row."""
    return f"environment of {_text(fields['account_id'])}/{_text(fields['function_id'])}"
