"""What an instance says when it is ready. Information only, bounded by its types."""

from __future__ import annotations

from typing import Annotated

import msgspec

from functory.runtimes import wire

_MOST_US = 1 << 40
Told = Annotated[int, msgspec.Meta(ge=0, le=_MOST_US)]
"""A number from an instance. It goes into answers and records, where one of 400 digits would fail those of others."""


class Hello(msgspec.Struct, frozen=True, rename="camel"):
    """Its fields."""

    protocol: int
    mode: Annotated[str, msgspec.Meta(max_length=32)] = "blocking"
    import_us: Told = 0
    init_us: Told = 0
    restore_us: Annotated[int, msgspec.Meta(ge=-1, le=_MOST_US)] = -1
    """What a copy of a template needed to be an instance; negative for what is no copy."""
    pid: Told = 0


def read(meta: bytes) -> Hello | None:
    """The greeting; None if it is none, or of another protocol than ours."""
    try:
        hello = msgspec.json.decode(meta, type=Hello)
    except msgspec.MsgspecError:
        return None
    return hello if hello.protocol == wire.PROTOCOL else None
