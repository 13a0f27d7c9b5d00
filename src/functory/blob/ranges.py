"""Which part of a blob may be asked for."""

from __future__ import annotations

from functory.model import errors


def check_range(offset: int, size: int | None) -> None:
    """Passes if a blob can have these bytes; what lies behind its end is simply not there."""
    if not 0 <= offset < 2**63 or (size is not None and not 0 <= size < 2**63):
        raise errors.InvalidArgument(f"{size} bytes from {offset} cannot be read: neither may be negative")
