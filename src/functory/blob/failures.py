"""What the operating system's errors mean to those who store files."""

from __future__ import annotations

import errno

from functory.model import errors

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


def of_os(failure: OSError, what: str) -> errors.SystemFault:
    """The error to raise: `StorageFull` where there is no room, else a `SystemFault` that names `what` failed."""
    if failure.errno in _NO_ROOM:
        return errors.StorageFull(hint="free some space, or move the data folder to a larger disk")
    return errors.SystemFault(f"{what} failed: {failure}", hint="check the data folder and who owns it")
