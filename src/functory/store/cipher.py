"""Secrets at rest: sealed with a data key that lies in a file of its own.

A copy of the database alone tells no secret.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from functory.model import errors

KEY_BYTES = 32
NONCE_BYTES = 12


class Cipher(Protocol):
    """Seals secrets. `context` names what is sealed: what was sealed for one name does not open under another."""

    @property
    def key_id(self) -> str:
        """Tells keys apart, and nothing of them."""

    def derive(self, purpose: str) -> Cipher:
        """The cipher of another key, which follows from this one's and the purpose."""

    def seal(self, secret: bytes, context: str) -> bytes:
        """The secret, unreadable."""

    def open(self, sealed: bytes, context: str) -> bytes:
        """The secret again; `StorageCorrupt` if it was sealed with another key or changed since."""


class AesCipher:
    """AES-256-GCM. Sealed bytes are the nonce, the ciphertext and the tag."""

    def __init__(self, key: bytes, random: Callable[[int], bytes] = os.urandom) -> None:
        self._aes = AESGCM(key)
        self._key = key
        self._random = random
        self.key_id = _derived(key, "key id")[:4].hex()

    def derive(self, purpose: str) -> AesCipher:
        """The cipher of another key."""
        return AesCipher(_derived(self._key, purpose), self._random)

    def seal(self, secret: bytes, context: str) -> bytes:
        """The secret, unreadable."""
        nonce = self._random(NONCE_BYTES)
        return nonce + self._aes.encrypt(nonce, secret, context.encode())

    def open(self, sealed: bytes, context: str) -> bytes:
        """The secret again."""
        try:
            return self._aes.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], context.encode())
        except (InvalidTag, ValueError) as reason:
            raise errors.StorageCorrupt(
                f"{context} cannot be opened with this node's data key",
                hint="restore the key file that belongs to this database",
            ) from reason


def _derived(key: bytes, purpose: str) -> bytes:
    return HKDF(hashes.SHA256(), KEY_BYTES, salt=None, info=b"functory: " + purpose.encode()).derive(key)


def from_key_file(path: Path, random: Callable[[int], bytes] = os.urandom, *, sealed: Path | None = None) -> AesCipher:
    """The cipher of the key in `path`; a new key is made, durable and private to its owner, if there is no file.

    `StorageCorrupt` if the file does not hold a key, or is missing although what it sealed (`sealed`) is there: a new
    one would open nothing, and stand where the right one belongs.
    """
    if not path.exists():
        if sealed is not None and sealed.exists():
            raise errors.StorageCorrupt(
                f"{path} is missing, and without it the secrets in {sealed} cannot be opened",
                hint="restore it from the backup; a node without its data starts in a new folder",
            )
        _write_key(path, random(KEY_BYTES))
    key = path.read_bytes()
    if len(key) != KEY_BYTES:
        raise errors.StorageCorrupt(
            f"{path} holds {len(key)} bytes instead of a key of {KEY_BYTES}", hint="restore the file from a backup"
        )
    return AesCipher(key, random)


def _write_key(path: Path, key: bytes) -> None:
    """Write whole or not at all: half a key would be taken for a damaged one for ever."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, key)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    os.replace(new, path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
