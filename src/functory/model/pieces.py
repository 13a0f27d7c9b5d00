"""Bytes that come in pieces, kept so that small pieces cost no more than large ones.

A piece of two bytes in a list of its own takes fifty. Whoever chooses the size of the pieces, a client with its chunks
or a function with its frames, could make a megabyte that is allowed into thirty that are not.
"""

from __future__ import annotations

SMALL_BYTES = 1024
"""A piece shorter than this is added to the one before it, if that grows too."""
_GROWN_BYTES = 65536


class Pieces:
    """Grows at its end. Large pieces are kept as they are, uncopied."""

    __slots__ = ("_pieces", "size_bytes")

    def __init__(self) -> None:
        self._pieces: list[bytes | bytearray] = []
        self.size_bytes = 0

    def add(self, piece: bytes) -> None:
        """One more piece."""
        self.size_bytes += len(piece)
        if len(piece) >= SMALL_BYTES:
            self._pieces.append(piece)
        elif piece:
            last = self._pieces[-1] if self._pieces else None
            if isinstance(last, bytearray) and len(last) < _GROWN_BYTES:
                last += piece
            else:
                self._pieces.append(bytearray(piece))

    def take(self) -> list[bytes | bytearray]:
        """All that there is; nothing is left."""
        taken, self._pieces, self.size_bytes = self._pieces, [], 0
        return taken

    def joined(self) -> bytes:
        """All of it as one; it stays."""
        return b"".join(self._pieces)
