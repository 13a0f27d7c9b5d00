"""What an instance says when it is ready. Information only, bounded by its types."""

from __future__ import annotations

import msgspec

from functory.runtimes import wire


class Hello(msgspec.Struct, frozen=True, rename="camel"):
    """Its fields."""

    protocol: int
    mode: str = "blocking"
    import_us: int = 0
    init_us: int = 0
    restore_us: int = -1
    """What a copy of a template needed to be an instance; negative for what is no copy."""
    pid: int = 0


def read(meta: bytes) -> Hello | None:
    """The greeting; None if it is none, or of another protocol than ours."""
    try:
        hello = msgspec.json.decode(meta, type=Hello)
    except msgspec.MsgspecError:
        return None
    return hello if hello.protocol == wire.PROTOCOL else None
